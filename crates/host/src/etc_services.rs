//! `etc_services`: from `/etc/services` (services(5)).

use collector::{Host, Row, Rows, Table, int, repeated, text};
use model::{Extent, Query, ScanError};

use crate::bytes;
use crate::text_file;

pub(crate) static TABLE: Table<Service, Host> = Table {
    name: "etc_services",
    about: "Names of network services and their ports.",
    identity: repeated(&["name", "port", "protocol"]),
    extent: Extent::Whole { rows: 400 },
    columns: &[
        text("name", "Name of the service.", |s| (&s.name).into()),
        int("port", "Its port.", |s| s.port.into()),
        text("protocol", "Transport protocol: `tcp`, `udp`, …", |s| (&s.protocol).into()),
        text("aliases", "Other names, with one space between them.", |s| (&s.aliases).into()),
        text("comment", "What stands after `#` in its line, or empty.", |s| (&s.comment).into()),
    ],
    scan,
    examples: &["SELECT name FROM etc_services WHERE port = 22 AND protocol = 'tcp'"],
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    name: Vec<u8>,
    port: u16,
    protocol: Vec<u8>,
    aliases: Vec<u8>,
    comment: Vec<u8>,
}

impl Row for Service {
    fn heap_bytes(&self) -> usize {
        [&self.name, &self.protocol, &self.aliases, &self.comment].iter().map(|text| text.capacity()).sum()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Service>, ScanError> {
    let content = text_file::read_or_note(host, &query.run, TABLE.name, "/etc/services");
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

fn parse(content: &[u8]) -> Vec<Service> {
    bytes::lines(content).filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Service> {
    let mut halves = line.splitn(2, |b| *b == b'#');
    let mut words = bytes::words(halves.next()?);
    let name = words.next()?.to_vec();
    let (port, protocol) = bytes::split_once(words.next()?, b'/')?;
    let (port, protocol) = (bytes::decimal(port)?, protocol.to_vec());
    if protocol.is_empty() {
        return None;
    }
    let aliases = words.collect::<Vec<_>>().join(&b' ');
    Some(Service {
        name,
        port,
        protocol,
        aliases,
        comment: halves.next().unwrap_or_default().trim_ascii().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_into_its_columns() {
        let services =
            parse(b"# Network services\nhttp\t\t80/tcp\t\twww  web\t# WorldWideWeb # HTTP\ndomain 53/udp\n");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let http = &services[0];
        assert_eq!((text(&http.name), http.port, text(&http.protocol)), ("http".into(), 80, "tcp".into()));
        assert_eq!(
            (text(&http.aliases), text(&http.comment)),
            ("www web".into(), "WorldWideWeb # HTTP".into())
        );
        assert_eq!(
            (text(&services[1].name), services[1].aliases.len(), services.len()),
            ("domain".into(), 0, 2)
        );
    }

    #[test]
    fn lines_without_a_port_and_protocol_are_passed_over() {
        assert!(
            parse(b"\n#\nhttp\nhttp 80\nhttp 80/\nhttp /tcp\nhttp 65536/tcp\nhttp x/tcp\n\xff \xff/tcp\n")
                .is_empty()
        );
    }
}
