//! The project's nouns as messages, and back. What comes from a peer is checked here and nowhere else.

mod error;
mod event;
mod query;
mod schema;

pub(crate) use error::{failure, scan_error};
pub(crate) use event::{delivered, delivery, domain, domain_number};
pub(crate) use query::{Asked, Grant, op, ops, query, scan};
pub(crate) use schema::{schema, table};

use prost::Message;
use prost::bytes::Bytes;

use crate::frame::FrameError;
use crate::proto::{Answer, Request};
use crate::shape;

/// A request from a frame's payload.
///
/// # Errors
/// [`FrameError::Malformed`] when it is none, or holds more than a message may.
pub(crate) fn request(payload: Bytes) -> Result<Request, FrameError> {
    shape::check(&payload, &shape::REQUEST).map_err(FrameError::Malformed)?;
    Request::decode(payload).map_err(|e| FrameError::Malformed(e.to_string()))
}

/// An answer from a frame's payload.
///
/// # Errors
/// [`FrameError::Malformed`] when it is none, or holds more than a message may.
pub(crate) fn answer(payload: Bytes) -> Result<Answer, FrameError> {
    shape::check(&payload, &shape::ANSWER).map_err(FrameError::Malformed)?;
    Answer::decode(payload).map_err(|e| FrameError::Malformed(e.to_string()))
}
