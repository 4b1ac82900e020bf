//! `listening_ports`: those sockets of `process_open_sockets` that wait for peers.
//!
//! TCP sockets in LISTEN; other IP sockets without a peer's port; unix sockets that have a name and either accept
//! connections or take datagrams from anybody. osquery lists accepted connections of unix sockets as well.

use collector::{Host, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError};

use crate::net::owners::{self, Owned};

pub(crate) static TABLE: Table<Owned, Host> = Table {
    name: "listening_ports",
    about: "Sockets that wait for peers, with a row for each descriptor of a process that leads to one.",
    identity: repeated(&["pid", "fd", "socket", "net_namespace"]),
    extent: Extent::Whole { rows: 50 },
    columns: &[
        key(int(
            "pid",
            "Process that holds it; -1 when nobody is seen to, usually for want of privilege.",
            |s| s.pid.into(),
        )),
        int("port", "Port, the IP protocol of a raw socket, or 0 for a unix socket.", |s| {
            s.socket.local.map_or(0, |(_, port)| port).into()
        }),
        int("protocol", "IP protocol (1, 6, 17, 58, 136; 255 raw); 0 for unix.", |s| {
            s.socket.protocol.into()
        }),
        int("family", "Address family: 1 unix, 2 IPv4, 10 IPv6.", |s| s.socket.family.into()),
        text("address", "Address that it is bound to; empty for a unix socket.", |s| {
            s.local_address().into()
        }),
        int("fd", "Number of the descriptor in the process, or -1.", |s| s.fd.into()),
        int("socket", "Inode number of the socket.", |s| s.socket.inode.into()),
        text("path", "Name of a unix socket, `@` in place of each NUL; empty outside unix.", |s| {
            (&s.socket.path).into()
        }),
        text("net_namespace", "Inode number of the network namespace that it is in.", |s| {
            s.socket.namespace.map(|inode| inode.to_string()).into()
        }),
    ],
    scan,
    examples: &["SELECT pid, port, address FROM listening_ports WHERE family IN (2, 10) AND port <> 0"],
};

fn scan(host: &Host, query: &Query) -> Result<Rows<Owned>, ScanError> {
    let sockets = owners::owned(host, query, TABLE.name)?;
    Ok(Box::new(sockets.filter(|row| row.as_ref().map_or(true, |owned| owned.socket.listens))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scan;

    #[test]
    fn a_listener_is_listed_and_its_connections_are_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(here).unwrap();
        let _accepted = listener.accept().unwrap();
        let connected = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(here).unwrap();
        let udp_port = connected.local_addr().unwrap().port();
        let pid = std::process::id();
        let found = Scan::of(&TABLE, Host::live()).equal("pid", pid).lines();
        let with = |port: u16, protocol| format!("{pid}|{port}|{protocol}|2|127.0.0.1|");
        assert_eq!(
            found.iter().filter(|row| row.starts_with(&with(here.port(), 6))).count(),
            1,
            "{found:#?}"
        );
        assert!(!found.iter().any(|row| row.starts_with(&with(udp_port, 17))));
    }
}
