//! `etc_hosts`: from `/etc/hosts` (hosts(5)).

use collector::{Host, Row, Rows, Table, pid_with_namespace, repeated, text};
use model::{Extent, Query, ScanError};

use crate::bytes;
use crate::text_file;

pub(crate) static TABLE: Table<HostsLine, Host> = Table {
    name: "etc_hosts",
    about: "Names that this machine resolves by itself.",
    identity: repeated(&["address", "hostnames"]),
    extent: Extent::Whole { rows: 10 },
    columns: &[
        text("address", "Address, as the file has it.", |l| (&l.address).into()),
        text("hostnames", "Its names, with one space between them.", |l| (&l.hostnames).into()),
        pid_with_namespace(),
    ],
    scan,
    examples: &["SELECT address, hostnames FROM etc_hosts WHERE address NOT IN ('127.0.0.1', '::1')"],
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostsLine {
    address: Vec<u8>,
    hostnames: Vec<u8>,
}

impl Row for HostsLine {
    fn heap_bytes(&self) -> usize {
        self.address.capacity() + self.hostnames.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<HostsLine>, ScanError> {
    let content = text_file::read_or_note(host, &query.run, TABLE.name, "/etc/hosts");
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

fn parse(content: &[u8]) -> Vec<HostsLine> {
    let parse_line = |line: &[u8]| {
        let line = line.split(|b| *b == b'#').next()?;
        let mut words = bytes::words(line);
        let address = words.next()?.to_vec();
        Some(HostsLine { address, hostnames: words.collect::<Vec<_>>().join(&b' ') })
    };
    bytes::lines(content).filter_map(parse_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_and_comments_left_out() {
        let lines = parse(
            b"# hosts\n127.0.0.1\tlocalhost  loghost# local\n\n  ::1 ip6-localhost\r\n192.0.2.9 caf\xe9\n10.0.0.1",
        );
        let lines: Vec<_> = lines.iter().map(|l| (&l.address[..], &l.hostnames[..])).collect();
        let wanted: [(&[u8], &[u8]); 4] = [
            (b"127.0.0.1", b"localhost loghost"),
            (b"::1", b"ip6-localhost"),
            (b"192.0.2.9", b"caf\xe9"),
            (b"10.0.0.1", b""),
        ];
        assert_eq!(lines, wanted);
    }
}
