//! Dumps of the kernel's network configuration over rtnetlink(7).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with,
};

/// Room for one datagram of a dump, in bytes; the kernel fills at most 32 KiB (netlink_dump in af_netlink.c).
const DATAGRAM_MAX: usize = 64 << 10;
/// The kernel answers while it is asked, so a longer silence means that no answer comes.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// `struct nlmsghdr`, in bytes.
const HEADER: usize = 16;
/// The largest family-specific header of a request, in bytes: `struct ifinfomsg`.
const REQUEST_BODY_MAX: usize = 16;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What [`crate::Host::rtnetlink`] can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtnetlink {
    /// `RTM_GETLINK`: interfaces. A message starts with a `struct ifinfomsg`.
    Links,
    /// `RTM_GETADDR`: addresses of interfaces. A message starts with a `struct ifaddrmsg`.
    Addresses,
    /// `RTM_GETROUTE`: routes of every table. A message starts with a `struct rtmsg`.
    Routes,
}

impl Rtnetlink {
    /// The type of the request and of its answers, and the size of the family-specific header.
    const fn shape(self) -> (u16, u16, usize) {
        match self {
            Rtnetlink::Links => (18, 16, REQUEST_BODY_MAX),
            Rtnetlink::Addresses => (22, 20, 8),
            Rtnetlink::Routes => (26, 24, 12),
        }
    }
}

/// The messages of one dump, each without its netlink header: a family-specific header and attributes.
///
/// An item is an error when the kernel refuses, when an answer was cut, or, after everything else, when the
/// configuration changed while it was dumped, so that a message may be missing.
#[derive(Debug)]
pub struct RtnetlinkDump {
    socket: OwnedFd,
    answer: u16,
    buffer: Vec<u8>,
    /// The part of the buffer that is not yet given out.
    left: std::ops::Range<usize>,
    interrupted: bool,
    done: bool,
}

impl RtnetlinkDump {
    pub(crate) fn start(what: Rtnetlink) -> io::Result<RtnetlinkDump> {
        let (request, answer, body) = what.shape();
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_MAX))?;
        // A body of zeros asks for every address family.
        let mut message = [0; HEADER + REQUEST_BODY_MAX];
        let len = HEADER + body;
        message[..4].copy_from_slice(&(len as u32).to_ne_bytes());
        message[4..6].copy_from_slice(&request.to_ne_bytes());
        message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        sendto(&socket, &message[..len], SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let buffer = vec![0; DATAGRAM_MAX];
        Ok(RtnetlinkDump { socket, answer, buffer, left: 0..0, interrupted: false, done: false })
    }

    fn receive(&mut self) -> io::Result<()> {
        loop {
            let (_, len, from) =
                retry_on_intr(|| recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC))?;
            // Other processes may write to this socket too; the kernel's port is 0.
            let from_kernel =
                from.and_then(|a| SocketAddrNetlink::try_from(a).ok()).is_some_and(|a| a.pid() == 0);
            if !from_kernel {
                continue;
            }
            if len > self.buffer.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "netlink answer was cut"));
            }
            self.left = 0..len;
            return Ok(());
        }
    }

    fn step(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.done {
            if self.left.is_empty() {
                self.receive()?;
            }
            let (message, used) = split(&self.buffer[self.left.clone()])
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "netlink answer is malformed"))?;
            self.left.start += used;
            self.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
            match message.kind {
                NLMSG_DONE => self.done = true,
                NLMSG_ERROR => return Err(refusal(message.body)),
                NLMSG_NOOP => {}
                kind if kind == self.answer => return Ok(Some(message.body.to_vec())),
                _ => {}
            }
        }
        if std::mem::take(&mut self.interrupted) {
            return Err(io::Error::other("changed while it was read"));
        }
        Ok(None)
    }
}

impl Iterator for RtnetlinkDump {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let step = self.step();
        self.done |= step.is_err();
        step.transpose()
    }
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

/// The first message of a datagram, and how many bytes it takes up with its padding to four.
fn split(datagram: &[u8]) -> Option<(Message<'_>, usize)> {
    let header = datagram.first_chunk::<HEADER>()?;
    let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let body = datagram.get(HEADER..len)?;
    let kind = u16::from_ne_bytes([header[4], header[5]]);
    let flags = u16::from_ne_bytes([header[6], header[7]]);
    Some((Message { kind, flags, body }, len.next_multiple_of(4).min(datagram.len())))
}

/// What an `NLMSG_ERROR` says: a negated errno comes first.
fn refusal(body: &[u8]) -> io::Error {
    match body.first_chunk::<4>() {
        Some(errno) => io::Error::from_raw_os_error(i32::from_ne_bytes(*errno).wrapping_neg()),
        None => io::ErrorKind::InvalidData.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_datagram_is_split_into_its_messages() {
        let mut datagram = message(16, 2, b"abcde");
        let first = datagram.len();
        datagram.extend(message(NLMSG_DONE, 0, b""));
        let (message, used) = split(&datagram).unwrap();
        assert_eq!((message.kind, message.flags, message.body, used), (16, 2, &b"abcde"[..], first));
        assert_eq!(split(&datagram[used..]).unwrap().0.kind, NLMSG_DONE);
    }

    #[test]
    fn a_message_that_is_cut_or_lies_about_its_length_is_refused() {
        let whole = message(16, 0, b"abcd");
        assert!((0..whole.len()).all(|len| split(&whole[..len]).is_none()));
        let mut short = whole;
        short[..4].copy_from_slice(&3u32.to_ne_bytes());
        assert!(split(&short).is_none());
    }

    #[test]
    fn a_refusal_is_the_kernels_error() {
        assert_eq!(refusal(&(-1i32).to_ne_bytes()).kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn the_loopback_interface_is_among_the_links() {
        let links: Vec<_> = RtnetlinkDump::start(Rtnetlink::Links).unwrap().map(Result::unwrap).collect();
        // ifi_index of `struct ifinfomsg`; 1 is the loopback's in every network namespace.
        assert!(links.iter().any(|link| link[4..8] == 1i32.to_ne_bytes()));
    }
}
