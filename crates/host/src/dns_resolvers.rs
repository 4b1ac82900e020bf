//! `dns_resolvers`: from `/etc/resolv.conf` (resolv.conf(5)).
//!
//! What the file says is listed, also where the C library stops earlier: it asks three name servers at most.

use std::net::Ipv4Addr;

use collector::{Host, Row, Rows, Table, int, pid_with_namespace, repeated, text};
use model::{Extent, Query, ScanError};

use crate::bytes;
use crate::text_file;

pub(crate) static TABLE: Table<Resolver, Host> = Table {
    name: "dns_resolvers",
    about: "Name servers, search domains and sort lists of the resolver's configuration.",
    identity: repeated(&["type", "id"]),
    extent: Extent::Whole { rows: 4 },
    columns: &[
        int("id", "Place among those of its type, from 0.", |r| r.id.into()),
        text("type", "`nameserver`, `sortlist` or `search`.", |r| r.kind.into()),
        text("address", "Address of a name server or sort list, or a search domain.", |r| {
            (&r.address).into()
        }),
        text("netmask", "`32` for a name server, the mask of a sort list as an address, or empty.", |r| {
            (&r.netmask).into()
        }),
        int("options", "Options of the resolver, the same in every row: bits RES_* of resolv.h.", |r| {
            r.options.into()
        }),
        pid_with_namespace(),
    ],
    scan,
    examples: &["SELECT address FROM dns_resolvers WHERE type = 'nameserver'"],
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolver {
    id: i64,
    kind: &'static str,
    address: Vec<u8>,
    netmask: Vec<u8>,
    options: i64,
}

impl Row for Resolver {
    fn heap_bytes(&self) -> usize {
        self.address.capacity() + self.netmask.capacity()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Resolver>, ScanError> {
    let content = text_file::read_or_note(host, &query.run, TABLE.name, "/etc/resolv.conf");
    Ok(Box::new(parse(&content).into_iter().map(Ok)))
}

fn parse(content: &[u8]) -> Vec<Resolver> {
    let (mut servers, mut sorted, mut search) = (Vec::new(), Vec::new(), Vec::new());
    let mut options = RES_INIT | RES_DEFAULT;
    for line in bytes::lines(content) {
        // A keyword starts its line, and so does the mark of a comment.
        let mut words = bytes::words(line);
        let keyword = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        words.next();
        match keyword {
            b"nameserver" => servers.extend(words.next().map(|word| (word.to_vec(), b"32".to_vec()))),
            b"sortlist" => sorted.extend(words.map(pair_of_sortlist)),
            // The last one of these two lines counts.
            b"search" => search = words.map(|word| (word.to_vec(), Vec::new())).collect(),
            b"domain" => search = words.take(1).map(|word| (word.to_vec(), Vec::new())).collect(),
            b"options" => options |= words.map(option_bits).fold(0, |all, bits| all | bits),
            _ => {}
        }
    }
    let numbered = |kind, found: Vec<(Vec<u8>, Vec<u8>)>| {
        let resolver = move |(id, (address, netmask))| Resolver { id, kind, address, netmask, options };
        (0..).zip(found).map(resolver)
    };
    numbered("nameserver", servers)
        .chain(numbered("sortlist", sorted))
        .chain(numbered("search", search))
        .collect()
}

/// `130.155.160.0/255.255.240.0`; without a mask, that of the address's class.
fn pair_of_sortlist(word: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts = word.splitn(2, |b| *b == b'/' || *b == b'&');
    let address = parts.next().unwrap_or_default();
    let netmask = match parts.next() {
        Some(mask) => mask.to_vec(),
        None => class_mask(address).unwrap_or_default().into(),
    };
    (address.to_vec(), netmask)
}

fn class_mask(address: &[u8]) -> Option<&'static str> {
    let address: Ipv4Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
    Some(match address.octets()[0] {
        0..128 => "255.0.0.0",
        128..192 => "255.255.0.0",
        _ => "255.255.255.0",
    })
}

const RES_INIT: i64 = 0x1;
/// RES_RECURSE, RES_DEFNAMES and RES_DNSRCH.
const RES_DEFAULT: i64 = 0x2c0;

/// The bit of a word after `options`, as glibc sets it; 0 for those that set a number (`ndots:n`).
fn option_bits(word: &[u8]) -> i64 {
    match word {
        b"debug" => 0x2,
        b"use-vc" => 0x8,
        b"rotate" => 0x4000,
        b"no-check-names" => 0x8000,
        b"edns0" => 0x10_0000,
        b"single-request" => 0x20_0000,
        b"single-request-reopen" => 0x40_0000,
        b"no-tld-query" => 0x100_0000,
        b"no-reload" => 0x200_0000,
        b"trust-ad" => 0x400_0000,
        b"no-aaaa" => 0x800_0000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(content: &[u8]) -> Vec<(i64, &'static str, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        parse(content).iter().map(|r| (r.id, r.kind, text(&r.address), text(&r.netmask))).collect()
    }

    #[test]
    fn servers_sort_lists_and_domains_are_numbered_apart() {
        let found = facts(
            b"# written by hand\n; also a comment\nnameserver 192.0.2.53\nnameserver\tfe80::1%eth0 # trailing\n\
              search old.example\nsearch corp.example  lab.example\nsortlist 130.155.160.0/255.255.240.0 10.0.0.0\n\
              \x20nameserver 203.0.113.1\nnameserver\nnonsense \xff\n",
        );
        let wanted = [
            (0, "nameserver", "192.0.2.53", "32"),
            (1, "nameserver", "fe80::1%eth0", "32"),
            (0, "sortlist", "130.155.160.0", "255.255.240.0"),
            (1, "sortlist", "10.0.0.0", "255.0.0.0"),
            (0, "search", "corp.example", ""),
            (1, "search", "lab.example", ""),
        ];
        assert_eq!(found, wanted.map(|(id, kind, address, mask)| (id, kind, address.into(), mask.into())));
    }

    #[test]
    fn the_last_of_domain_and_search_counts() {
        let found = facts(b"search a.example b.example\ndomain c.example d.example\n");
        assert_eq!(found, [(0, "search", "c.example".into(), String::new())]);
    }

    #[test]
    fn options_are_the_resolvers_bits() {
        let options = |content: &[u8]| parse(content)[0].options;
        assert_eq!(options(b"nameserver ::1\n"), 0x2c1);
        assert_eq!(options(b"nameserver ::1\noptions edns0 trust-ad ndots:2\noptions rotate\n"), 0x0410_42c1);
    }
}
