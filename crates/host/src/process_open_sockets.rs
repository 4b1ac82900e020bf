//! `process_open_sockets`: the socket lists of `/proc/PID/net` (proc_pid_net(5)) joined with the links in
//! `/proc/PID/fd`, over every network namespace that a process lives in.
//!
//! A socket that the kernel does not list has no row: one that is neither bound nor connected, and other
//! families such as netlink and vsock.

use collector::{Host, Table, int, key, repeated, text};
use model::Extent;

use crate::net::owners::{self, Owned};

pub(crate) static TABLE: Table<Owned, Host> = Table {
    name: "process_open_sockets",
    about: "Sockets, with a row for each descriptor of a process that leads to one.",
    identity: repeated(&["pid", "fd", "socket", "net_namespace"]),
    extent: Extent::Whole { rows: 300 },
    columns: &[
        key(int(
            "pid",
            "Process that holds it; -1 when nobody is seen to (no privilege, or TIME_WAIT).",
            |s| s.pid.into(),
        )),
        int("fd", "Number of the descriptor in the process, or -1.", |s| s.fd.into()),
        int("socket", "Inode number; 0 when no descriptor can lead to it.", |s| s.socket.inode.into()),
        int("family", "Address family: 1 unix, 2 IPv4, 10 IPv6, 17 packet.", |s| s.socket.family.into()),
        int(
            "protocol",
            "IP protocol (1, 6, 17, 58, 136; 255 raw); 0 for unix, the ethertype for packet sockets.",
            |s| s.socket.protocol.into(),
        ),
        text("local_address", "Address here; empty outside IP.", |s| s.local_address().into()),
        text("remote_address", "Address of the peer; empty outside IP.", |s| s.remote_address().into()),
        int("local_port", "Port here, the IP protocol of a raw socket, or 0.", |s| {
            s.socket.local.map_or(0, |(_, port)| port).into()
        }),
        int("remote_port", "Port of the peer, or 0.", |s| s.socket.remote.map_or(0, |(_, port)| port).into()),
        text("path", "Name of a unix socket, `@` in place of each NUL; empty for none.", |s| {
            (&s.socket.path).into()
        }),
        text("state", "TCP state such as `LISTEN` or `ESTABLISHED`; empty outside TCP.", |s| {
            s.socket.state.into()
        }),
        text("net_namespace", "Inode number of the network namespace that it is in.", |s| {
            s.socket.namespace.map(|inode| inode.to_string()).into()
        }),
    ],
    scan: |host, query| owners::owned(host, query, TABLE.name),
    examples: &[
        "SELECT pid, remote_address, remote_port FROM process_open_sockets WHERE state = 'ESTABLISHED'",
        "SELECT pid, protocol FROM process_open_sockets WHERE family = 17",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, Scan};
    use model::Op;

    fn tcp(port: u16, inode: u64) -> String {
        format!(
            "   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
        )
    }

    /// Two namespaces; process 7 lives in the second and holds a socket of the first too.
    fn two_namespaces() -> Fixture {
        let machine = Fixture::new();
        machine
            .link("/proc/1/ns/net", "net:[100]")
            .link("/proc/1/fd/4", "socket:[11]")
            .link("/proc/1/fd/5", "socket:[11]")
            .link("/proc/7/ns/net", "net:[200]")
            .link("/proc/7/fd/3", "socket:[21]")
            .link("/proc/7/fd/8", "socket:[12]")
            .file("/proc/net/tcp", tcp(22, 11) + &tcp(23, 12) + &tcp(24, 13) + &tcp(25, 0))
            .file("/proc/7/net/tcp", tcp(80, 21));
        machine
    }

    const ALL: [&str; 6] = [
        "1|4|11|2|6|0.0.0.0|0.0.0.0|22|0||LISTEN|100",
        "1|5|11|2|6|0.0.0.0|0.0.0.0|22|0||LISTEN|100",
        "7|3|21|2|6|0.0.0.0|0.0.0.0|80|0||LISTEN|200",
        "7|8|12|2|6|0.0.0.0|0.0.0.0|23|0||LISTEN|100",
        "-1|-1|13|2|6|0.0.0.0|0.0.0.0|24|0||LISTEN|100",
        "-1|-1|0|2|6|0.0.0.0|0.0.0.0|25|0||LISTEN|100",
    ];

    #[test]
    fn each_descriptor_is_a_row_and_so_is_a_socket_that_nobody_holds() {
        assert_eq!(two_namespaces().scan(&TABLE).lines(), ALL);
    }

    #[test]
    fn a_lookup_finds_what_a_full_scan_would() {
        let machine = two_namespaces();
        for pids in [&[1][..], &[7], &[7, 1], &[-1], &[7, -1], &[9], &[]] {
            let found = machine.scan(&TABLE).when("pid", Op::Eq, pids.iter().copied()).lines();
            let of_pid = |row: &&str| pids.iter().any(|pid| row.starts_with(&format!("{pid}|")));
            let found: Vec<&str> = found.iter().map(String::as_str).filter(of_pid).collect();
            assert_eq!(found, ALL.into_iter().filter(of_pid).collect::<Vec<_>>(), "{pids:?}");
        }
    }

    #[test]
    fn a_listener_of_this_process_is_found_by_pid() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = Scan::of(&TABLE, Host::live()).equal("pid", std::process::id()).lines();
        let wanted = format!("|2|6|127.0.0.1|0.0.0.0|{port}|0||LISTEN|");
        assert_eq!(found.iter().filter(|row| row.contains(&wanted)).count(), 1, "{found:#?}");
    }
}
