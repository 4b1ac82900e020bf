//! What a message may hold, looked at before it is decoded.
//!
//! Two bytes on the wire can be an empty message, which decoded takes hundreds; so repeated messages are
//! counted in place first, and memory is bounded by these counts and not by what a peer sends.

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::limits::{
    COLUMNS_MAX, CONSTRAINTS_MAX, EVENT_FIELDS_MAX, EVENTS_PER_FRAME_MAX, NOTES_PER_FRAME_MAX, TABLES_MAX,
};

/// The fields of a message that hold messages or repeat.
pub(crate) struct Shape(&'static [Part]);

struct Part {
    number: u32,
    most: usize,
    shape: Option<&'static Shape>,
}

const fn one(number: u32, shape: &'static Shape) -> Part {
    Part { number, most: 1, shape: Some(shape) }
}

const fn many(number: u32, most: usize, shape: &'static Shape) -> Part {
    Part { number, most, shape: Some(shape) }
}

const fn list(number: u32, most: usize) -> Part {
    Part { number, most, shape: None }
}

/// Sources that one collector has, and that one subscription names.
const SOURCES_MAX: usize = 256;
/// Columns of an identity, examples of a table, operations, domains.
const FEW_MAX: usize = 256;
/// Names that the events of one frame use: each event its own source and kind, and its fields' names.
const WORDS_MAX: usize = EVENTS_PER_FRAME_MAX * (EVENT_FIELDS_MAX + 2);
/// A part of a message that comes again is merged, so a repeat is no error but costs no memory either.
const LEAF: Shape = Shape(&[]);

const SCAN: Shape = Shape(&[many(3, CONSTRAINTS_MAX, &LEAF)]);
const SUBSCRIBE: Shape = Shape(&[list(1, FEW_MAX), list(2, SOURCES_MAX)]);
/// A request.
pub(crate) const REQUEST: Shape = Shape(&[one(3, &SCAN), one(7, &SUBSCRIBE)]);

const TABLE: Shape = Shape(&[list(3, COLUMNS_MAX), list(4, FEW_MAX), list(8, FEW_MAX)]);
const SERVER_HELLO: Shape = Shape(&[many(7, TABLES_MAX, &TABLE), list(8, FEW_MAX), list(9, SOURCES_MAX)]);
const BATCH: Shape = Shape(&[list(2, COLUMNS_MAX)]);
const NOTES: Shape = Shape(&[list(1, NOTES_PER_FRAME_MAX)]);
const EVENT: Shape = Shape(&[list(6, EVENT_FIELDS_MAX)]);
const EVENTS: Shape = Shape(&[list(1, WORDS_MAX), many(2, EVENTS_PER_FRAME_MAX, &EVENT)]);
const HEALTH: Shape = Shape(&[list(1, SOURCES_MAX)]);
/// An answer.
pub(crate) const ANSWER: Shape =
    Shape(&[one(2, &SERVER_HELLO), one(4, &BATCH), one(5, &NOTES), one(8, &EVENTS), one(9, &HEALTH)]);

/// Parts that a shape counts at most.
const PARTS_MAX: usize = 8;

/// Whether a message keeps to its shape. The error says what does not.
pub(crate) fn check(message: &[u8], shape: &Shape) -> Result<(), String> {
    let mut rest = message;
    let mut counts = [0_usize; PARTS_MAX];
    while !rest.is_empty() {
        let (number, kind) = decode_key(&mut rest).map_err(|e| e.to_string())?;
        let body = match kind {
            WireType::Varint => {
                decode_varint(&mut rest).map_err(|e| e.to_string())?;
                &[]
            }
            WireType::ThirtyTwoBit => take(&mut rest, 4)?,
            WireType::SixtyFourBit => take(&mut rest, 8)?,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut rest).map_err(|e| e.to_string())?;
                take(&mut rest, usize::try_from(length).unwrap_or(usize::MAX))?
            }
            // Groups nest without a length; the protocol has none.
            WireType::StartGroup | WireType::EndGroup => return Err("a group".into()),
        };
        let Some(place) = shape.0.iter().position(|part| part.number == number) else { continue };
        let part = &shape.0[place];
        let count = &mut counts[place];
        *count += 1;
        if *count > part.most {
            return Err(format!("more than {} of field {number}", part.most));
        }
        if let Some(shape) = part.shape {
            check(body, shape)?;
        }
    }
    Ok(())
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], String> {
    let (taken, after) = rest.split_at_checked(length).ok_or("a field is cut off")?;
    *rest = after;
    Ok(taken)
}
