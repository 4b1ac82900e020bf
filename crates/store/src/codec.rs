//! How a record becomes bytes: the one place that knows the format.
//!
//! A value is: magic (1 byte), format (1 byte; 1 is bincode 2, standard configuration), the record's own schema
//! (u16, little endian), payload. A released schema is never changed: a new one gets the next number, and the
//! old struct stays to be read.

use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};

const MAGIC: u8 = 0xDE;
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 4;
/// Bytes of one record. A hostile length inside of one asks for no more memory than this.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;

/// A kind of record, in one released schema.
pub(crate) trait Record: Encode + Decode<()> {
    /// Its number, from 1.
    const SCHEMA: u16;
}

/// Why bytes are no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("a record does not begin as one")]
    NoRecord,
    #[error("a record has schema {0}, which is not known here")]
    Schema(u16),
    #[error("a record of schema {schema} cannot be decoded: {why}")]
    Payload { schema: u16, why: String },
}

/// What a kind of record begins with, to be read without the rest.
pub(crate) trait Head: Decode<()> {
    /// The record.
    type Of: Record;
}

/// The bytes of a record.
pub(crate) fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_as(R::SCHEMA, record, &mut bytes);
    bytes
}

/// Adds a record of a schema to these bytes. It may be of another type, which borrows what the record's own type has.
pub(crate) fn encode_as(schema: u16, record: &impl Encode, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&[MAGIC, FORMAT]);
    bytes.extend_from_slice(&schema.to_le_bytes());
    payload(record, bytes);
}

/// The bytes of fields that stand in the payload of a record as they are.
pub(crate) fn encode_part(fields: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    payload(fields, &mut bytes);
    bytes
}

fn payload(record: &impl Encode, bytes: &mut Vec<u8>) {
    #[allow(
        clippy::expect_used,
        reason = "records hold what bincode always encodes, and a Vec takes any length"
    )]
    bincode::encode_into_writer(record, Growing(bytes), bincode::config::standard())
        .expect("a record is encoded into memory");
}

/// Bytes that grow as they are written to: most of what a record writes is one byte.
struct Growing<'a>(&'a mut Vec<u8>);

impl Writer for Growing<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match bytes {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// The schema of a record's bytes.
pub(crate) fn schema(bytes: &[u8]) -> Result<u16, Undecodable> {
    match bytes {
        [MAGIC, FORMAT, low, high, ..] => Ok(u16::from_le_bytes([*low, *high])),
        _ => Err(Undecodable::NoRecord),
    }
}

/// The record of these bytes, which must be of its schema and nothing more.
pub(crate) fn decode<R: Record>(bytes: &[u8]) -> Result<R, Undecodable> {
    let schema = schema(bytes)?;
    if schema != R::SCHEMA {
        return Err(Undecodable::Schema(schema));
    }
    let payload = &bytes[HEADER_BYTES..];
    let config = bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();
    let why = match bincode::decode_from_slice::<R, _>(payload, config) {
        Ok((record, read)) if read == payload.len() => return Ok(record),
        Ok((_, read)) => format!("{} bytes follow it", payload.len() - read),
        Err(error) => error.to_string(),
    };
    Err(Undecodable::Payload { schema, why })
}

/// What the record of these bytes begins with.
pub(crate) fn decode_head<H: Head>(bytes: &[u8]) -> Result<H, Undecodable> {
    let schema = schema(bytes)?;
    if schema != H::Of::SCHEMA {
        return Err(Undecodable::Schema(schema));
    }
    let config = bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();
    match bincode::decode_from_slice::<H, _>(&bytes[HEADER_BYTES..], config) {
        Ok((head, _)) => Ok(head),
        Err(error) => Err(Undecodable::Payload { schema, why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode, wincode::SchemaRead, wincode::SchemaWrite)]
    struct Sample {
        n: u64,
        signed: i64,
        text: String,
        bytes: Vec<u8>,
        maybe: Option<u16>,
    }

    impl Record for Sample {
        const SCHEMA: u16 = 7;
    }

    fn sample() -> Sample {
        Sample { n: 300, signed: -70_000, text: "a\u{e9}".into(), bytes: vec![0, 255], maybe: Some(251) }
    }

    #[test]
    fn a_record_comes_back_and_damage_does_not() {
        let bytes = encode(&sample());
        assert_eq!(decode::<Sample>(&bytes), Ok(sample()));
        for end in 0..bytes.len() {
            assert!(decode::<Sample>(&bytes[..end]).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode::<Sample>(&longer), Err(Undecodable::Payload { schema: 7, .. })));
        let mut other = bytes;
        other[2] = 8;
        assert_eq!(decode::<Sample>(&other), Err(Undecodable::Schema(8)));
    }

    #[test]
    fn a_hostile_length_takes_no_memory() {
        let mut bytes = vec![MAGIC, FORMAT, 7, 0, 1, 2, 253];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(decode::<Sample>(&bytes).is_err());
    }

    #[test]
    fn wincode_reads_the_same_bytes() {
        use wincode::config::{Configuration, Deserialize};
        use wincode::{int_encoding::VarInt, len::BincodeLen};
        let config =
            Configuration::default().with_int_encoding::<VarInt>().with_length_encoding::<BincodeLen>();
        let bytes = encode(&sample());
        let read = <Sample as Deserialize<'_, _>>::deserialize(&bytes[HEADER_BYTES..], config);
        assert_eq!(read.ok(), Some(sample()));
    }
}
