//! The wire between a collector and its clients, both ends of it.
//!
//! A collector (procmond, or any other program) gives its tables to a [`TableService`] (or implements [`Service`]
//! itself) and starts a [`Server`] over a [`SocketListener`]. A client asks through [`Collectors`], which finds the collector of a table, or through one
//! [`Client`]. The messages are those of `schemas/ipc.proto`.

mod client;
mod events;
mod frame;
mod limits;
mod metrics;
mod place;
#[doc(hidden)]
pub mod proto;
mod server;
mod shape;
mod transport;
mod values;
mod wire;

/// The messages as they are on the wire, for tests and fuzzing of what a peer may send.
#[doc(hidden)]
pub mod testing {
    use std::time::Duration;

    use model::TableSchema;
    pub use prost::Message;

    use crate::client::decoded;
    use crate::frame::FrameError;
    use crate::proto::{self, request::Body};
    use crate::wire::{self, Grant};

    /// A request as a server takes it from a frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn request(payload: &[u8]) -> Result<proto::Request, FrameError> {
        crate::wire::request(payload.to_vec().into())
    }

    /// A request as [`request`], and of a scan the query of this table that a server makes of it.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn query(payload: &[u8], schema: &std::sync::Arc<TableSchema>) -> Result<(), FrameError> {
        let grant = Grant { time_max: Duration::from_secs(1), memory_bytes_max: 1 << 20 };
        match request(payload)?.body {
            Some(Body::Scan(asked)) => {
                wire::query(asked, schema, grant).map(drop).map_err(FrameError::Malformed)
            }
            _ => Ok(()),
        }
    }

    /// An answer as a client takes it from a frame, with all that it does before it hands it on.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn answer(payload: &[u8]) -> Result<(), FrameError> {
        decoded(crate::wire::answer(payload.to_vec().into())?)
    }
}

pub use client::{
    BackoffSettings, BreakerSettings, BreakerState, Client, Clock, CollectorScan, CollectorStatus,
    Collectors, ConnectError, Endpoint, Health, Hello, RemoteScan, Settings, Subscription, SystemClock,
    Timing,
};
pub use events::{Delivery, EventStream, Interest, SourceFacts};
pub use frame::{FrameError, FrameReader, HEADER_BYTES, append};
pub use limits::*;
pub use metrics::{CollectorCounts, FrameCounts, ServerCounts};
pub use place::{
    agent_socket, agent_sockets, default_socket, default_sockets, state_directories, state_directory,
};
pub use server::{Identity, Offer, Server, ServerLimits, Service, TableService};
pub use transport::{Bind, Listener, Peer, PipeListener, SocketListener, Transport, connect, pipe};
