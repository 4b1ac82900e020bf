//! The wire between a collector and its clients, both ends of it.
//!
//! A collector (procmond, or any other program) implements [`Service`] and starts a [`Server`] over a
//! [`SocketListener`]. A client asks through [`Collectors`], which finds the collector of a table, or through one
//! [`Client`]. The messages are those of `schemas/ipc.proto`.

mod client;
mod events;
mod frame;
mod limits;
mod metrics;
mod proto;
mod server;
mod shape;
mod transport;
mod values;
mod wire;

pub use client::{Client, ConnectError, Health, Hello, RemoteScan, Subscription, Timing};
pub use events::{Delivery, EventStream, Interest, SourceFacts};
pub use frame::{FrameError, FrameReader, HEADER_BYTES, append};
pub use limits::*;
pub use metrics::{FrameCounts, ServerCounts};
pub use server::{Identity, Offer, Server, ServerLimits, Service};
pub use transport::{Bind, Listener, Peer, PipeListener, SocketListener, Transport, connect, pipe};
