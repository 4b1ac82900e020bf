//! The messages of `schemas/ipc.proto`, as they are on the wire.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated; the schema documents it"
)]

include!(concat!(env!("OUT_DIR"), "/daemoneye.ipc.v1.rs"));
