//! The socket lists of `/proc/net` (proc_pid_net(5)): one parser per format.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::bytes;

pub(crate) const AF_UNIX: i64 = 1;
pub(crate) const AF_INET: i64 = 2;
pub(crate) const AF_INET6: i64 = 10;
pub(crate) const AF_PACKET: i64 = 17;

const IPPROTO_TCP: i64 = 6;

/// TCP states by their number in the kernel (include/net/tcp_states.h), under osquery's names.
const TCP_STATES: [&str; 12] = [
    "UNKNOWN",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSED",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];
const TCP_LISTEN: usize = 10;

/// A socket as the kernel lists it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// 0 when no descriptor can lead to it any more (`TIME_WAIT`) or yet (not accepted).
    pub(crate) inode: u64,
    pub(crate) family: i64,
    pub(crate) protocol: i64,
    /// Address and port; `None` outside IP.
    pub(crate) local: Option<(IpAddr, u16)>,
    pub(crate) remote: Option<(IpAddr, u16)>,
    /// Name of a unix socket, empty for none.
    pub(crate) path: Vec<u8>,
    /// Empty outside TCP.
    pub(crate) state: &'static str,
    /// Whether it waits for peers that it does not know yet, under a name or port.
    pub(crate) listens: bool,
    /// Inode number of its network namespace; `None` when that could not be told.
    pub(crate) namespace: Option<u64>,
}

/// How a list is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// IP sockets of a family and protocol.
    Ip(i64, i64),
    Unix,
    Packet,
}

/// The lists in a directory such as `/proc/net`. A kernel without a protocol has no file for it.
pub(crate) const LISTS: &[(&str, Format)] = &[
    ("tcp", Format::Ip(AF_INET, IPPROTO_TCP)),
    ("tcp6", Format::Ip(AF_INET6, IPPROTO_TCP)),
    ("udp", Format::Ip(AF_INET, 17)),
    ("udp6", Format::Ip(AF_INET6, 17)),
    ("udplite", Format::Ip(AF_INET, 136)),
    ("udplite6", Format::Ip(AF_INET6, 136)),
    ("icmp", Format::Ip(AF_INET, 1)),
    ("icmp6", Format::Ip(AF_INET6, 58)),
    ("raw", Format::Ip(AF_INET, 255)),
    ("raw6", Format::Ip(AF_INET6, 255)),
    ("unix", Format::Unix),
    ("packet", Format::Packet),
];

/// The sockets of a list. Lines of another form, such as the heading, are passed over.
pub(crate) fn parse(format: Format, content: &[u8], namespace: Option<u64>) -> Vec<Socket> {
    let mut sockets: Vec<Socket> = Vec::new();
    for line in content.strip_suffix(b"\n").unwrap_or(content).split(|b| *b == b'\n') {
        let socket = match format {
            Format::Ip(family, protocol) => ip(line, family, protocol),
            Format::Unix => unix(line),
            Format::Packet => packet(line),
        };
        match (socket, sockets.last_mut()) {
            (Some(socket), _) => sockets.push(Socket { namespace, ..socket }),
            // The kernel writes the name of a unix socket as it is, line feeds too. A name that goes on like
            // a whole line cannot be told from one.
            (None, Some(last)) if !last.path.is_empty() => {
                last.path.push(b'\n');
                last.path.extend(line);
            }
            _ => {}
        }
    }
    sockets
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref …`.
fn ip(line: &[u8], family: i64, protocol: i64) -> Option<Socket> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next()?.strip_suffix(':')?;
    let local = endpoint(words.next()?, family)?;
    let remote = endpoint(words.next()?, family)?;
    let state = usize::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(5)?.parse().ok()?;
    // Without the word after it, the inode number may be cut.
    words.next()?;
    let is_tcp = protocol == IPPROTO_TCP;
    Some(Socket {
        inode,
        family,
        protocol,
        local: Some(local),
        remote: Some(remote),
        path: Vec::new(),
        state: if is_tcp { TCP_STATES.get(state).unwrap_or(&TCP_STATES[0]) } else { "" },
        listens: if is_tcp { state == TCP_LISTEN } else { remote.1 == 0 },
        namespace: None,
    })
}

/// `0100007F:1F90`: the address as 32-bit words in hexadecimal, each in the machine's byte order, and the port.
fn endpoint(text: &str, family: i64) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match (family, address.len()) {
        (AF_INET, 8) => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        (AF_INET6, 32) => {
            let mut bytes = [0; 16];
            for (n, bytes) in bytes.chunks_exact_mut(4).enumerate() {
                bytes.copy_from_slice(&word(8 * n)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

/// `Num: RefCount Protocol Flags Type St Inode Path` (unix_seq_show in net/unix/af_unix.c).
fn unix(line: &[u8]) -> Option<Socket> {
    const SO_ACCEPTCON: u64 = 0x1_0000;
    const SOCK_DGRAM: u64 = 2;
    const SS_UNCONNECTED: u64 = 1;

    let (number, mut rest) = bytes::split_once(line, b':')?;
    let is_hex = !number.is_empty() && number.iter().all(u8::is_ascii_hexdigit);
    let mut word = |radix| -> Option<u64> {
        rest = rest.trim_ascii_start();
        let (word, after) = rest.split_at(rest.iter().position(|b| *b == b' ').unwrap_or(rest.len()));
        rest = after;
        u64::from_str_radix(std::str::from_utf8(word).ok()?, radix).ok()
    };
    let (_references, protocol, flags) = (word(16).filter(|_| is_hex)?, word(16)?, word(16)?);
    let (kind, state, inode) = (word(16)?, word(16)?, word(10)?);
    let path = rest.strip_prefix(b" ").unwrap_or(rest).to_vec();
    let waits = flags & SO_ACCEPTCON != 0 || kind == SOCK_DGRAM && state == SS_UNCONNECTED;
    Some(Socket {
        inode,
        family: AF_UNIX,
        protocol: protocol as i64,
        local: None,
        remote: None,
        listens: waits && !path.is_empty(),
        path,
        state: "",
        namespace: None,
    })
}

/// `sk RefCnt Type Proto Iface R Rmem User Inode`, the protocol in hexadecimal (net/packet/af_packet.c).
fn packet(line: &[u8]) -> Option<Socket> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let protocol = i64::from_str_radix(words.nth(3)?, 16).ok()?;
    let inode = words.nth(4)?.parse().ok()?;
    Some(Socket {
        inode,
        family: AF_PACKET,
        protocol,
        local: None,
        remote: None,
        path: Vec::new(),
        state: "",
        listens: false,
        namespace: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Format = Format::Ip(AF_INET, 6);
    const TCP6: Format = Format::Ip(AF_INET6, 6);
    const UDP: Format = Format::Ip(AF_INET, 17);

    fn addresses(socket: &Socket) -> [String; 2] {
        [socket.local, socket.remote].map(|end| end.map_or_else(String::new, |(a, p)| format!("{a} {p}")))
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn tcp_sockets_carry_addresses_ports_and_states() {
        let content = b"\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1077 1 00000000f1d8f306 100 0 0 10 0                      
   1: 020200C0:A3D2 08080808:01BB 01 00000000:00000000 02:000A4B1C 00000000  1000        0 2088 2 0000000000000000 20 4 30 10 -1                     
   2: 020200C0:A3D4 08080808:01BB 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000                                      
   3: 00000000:0016 00000000:0000 63 00000000:00000000 00:00000000 00000000     0        0 5 1 0 100 0 0 10 0
";
        let sockets = parse(TCP, content, Some(4026531840));
        assert_eq!(addresses(&sockets[0]), ["127.0.0.1 8080", "0.0.0.0 0"]);
        assert_eq!(addresses(&sockets[1]), ["192.0.2.2 41938", "8.8.8.8 443"]);
        let facts: Vec<_> = sockets.iter().map(|s| (s.inode, s.state, s.listens)).collect();
        assert_eq!(
            facts,
            [
                (1077, "LISTEN", true),
                (2088, "ESTABLISHED", false),
                (0, "TIME_WAIT", false),
                (5, "UNKNOWN", false)
            ]
        );
        assert_eq!(sockets[0].namespace, Some(4026531840));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn ipv6_addresses_are_written_as_the_kernel_means_them() {
        let content = b"\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 20 4 30 10 -1
   2: 000080FE00000000FF00FC0201000000:0035 B80D0120000000000000000001000000:0035 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0 20 4 30 10 -1
";
        let ends: Vec<_> = parse(TCP6, content, None).iter().map(addresses).collect();
        assert_eq!(ends[0], [":: 22", ":: 0"]);
        assert_eq!(ends[1], ["::ffff:127.0.0.1 80", "::ffff:127.0.0.2 54321"]);
        assert_eq!(ends[2], ["fe80::2fc:ff:0:1 53", "2001:db8::1 53"]);
    }

    #[test]
    fn a_udp_socket_listens_until_it_is_connected_and_has_no_state() {
        let content = b"\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  341: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31 2 0000000000000000 0
  342: 00000000:0045 08080808:0035 01 00000000:00000000 00:00000000 00000000     0        0 32 2 0000000000000000 0
";
        let sockets = parse(UDP, content, None);
        assert_eq!(
            sockets.iter().map(|s| (s.listens, s.state)).collect::<Vec<_>>(),
            [(true, ""), (false, "")]
        );
    }

    #[test]
    fn truncated_lines_and_garbage_are_passed_over() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1077 1";
        assert_eq!(parse(TCP, line.as_bytes(), None).len(), 1);
        for len in 0..line.len() - 1 {
            assert!(parse(TCP, &line.as_bytes()[..len], None).is_empty(), "{len}");
        }
        for garbage in ["", "\n\n", "\u{ff}\u{0}", "0: 0100007G:0 0:0 A", "0: é100007F:1F90 0:0", "x y z"] {
            for (_, format) in LISTS {
                assert!(parse(*format, garbage.as_bytes(), None).is_empty(), "{garbage:?}");
            }
        }
        assert!(parse(TCP6, line.as_bytes(), None).is_empty(), "an IPv4 line in a list of IPv6");
    }

    #[test]
    fn unix_names_keep_their_bytes() {
        let content = b"\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 21403 /run/systemd/private
0000000000000000: 00000003 00000000 00000000 0001 03    74
0000000000000000: 00000003 00000000 00000000 0001 03 21500 /run/systemd/private
0000000000000000: 00000002 00000000 00000000 0002 01 21501 @abs\xfftract name 
0000000000000000: 00000002 00000000 00000000 0002 01 21502
";
        let sockets = parse(Format::Unix, content, None);
        let facts: Vec<_> = sockets.iter().map(|s| (s.inode, &s.path[..], s.listens)).collect();
        assert_eq!(
            facts,
            [
                (21403, &b"/run/systemd/private"[..], true),
                (74, b"", false),
                (21500, b"/run/systemd/private", false),
                (21501, b"@abs\xfftract name ", true),
                (21502, b"", false),
            ]
        );
    }

    #[test]
    fn a_line_feed_in_a_unix_name_does_not_end_it() {
        let content = b"\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 21403 /tmp/a
b: c

0000000000000000: 00000002 00000000 00010000 0001 01 21404 /tmp/d
";
        let sockets = parse(Format::Unix, content, None);
        assert_eq!(sockets[0].path, b"/tmp/a\nb: c\n");
        assert_eq!(sockets[1].path, b"/tmp/d");
    }

    #[test]
    fn packet_sockets_carry_the_ethertype() {
        let content = b"\
sk               RefCnt Type Proto  Iface R Rmem   User   Inode
00000000c3b8c7ee 3      3    0003   2     1 0      0      9007
00000000c3b8c7ef 3      2    888e   0     1 0      0      9008
";
        let sockets = parse(Format::Packet, content, None);
        assert_eq!(
            sockets.iter().map(|s| (s.protocol, s.inode)).collect::<Vec<_>>(),
            [(3, 9007), (0x888e, 9008)]
        );
    }
}
