//! What the network tables share: parsers of `/proc/net` and of rtnetlink, and who owns which socket.

pub(crate) mod owners;
pub(crate) mod rtnetlink;
pub(crate) mod sockets;
