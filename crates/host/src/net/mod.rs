//! What the network tables share: parsers of `/proc/net` and of rtnetlink, and who owns which socket.

use std::net::IpAddr;

pub(crate) mod owners;
pub(crate) mod rtnetlink;
pub(crate) mod sockets;

/// An address as text; empty for none.
pub(crate) fn written(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| address.to_string())
}
