//! Addresses and flows: `inet_aton`, `in_cidr_block`, `community_id_v1`.

use std::net::{IpAddr, Ipv4Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Value;
use rusqlite::types::ValueRef;
use sha1::{Digest, Sha1};

use super::call::{Call, Error, Result, quoted};

/// An IPv4 or IPv6 address; the zone of a link-local one (`%eth0`) is no part of its bytes.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once('%') {
        Some((address, _zone)) => address.parse().ok().filter(IpAddr::is_ipv6),
        None => text.parse().ok(),
    }
}

/// An address as a number of 128 bits, so that blocks of both families compare alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `inet_aton(address)`
pub(super) fn inet_aton(call: &Call<'_>) -> Result {
    let text = call.bytes(0);
    let address = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    Ok(address.map(Ipv4Addr::to_bits).into())
}

/// A block as the first bits of its addresses and how many they are, from 128.
fn block(text: &[u8]) -> Option<(u128, u32)> {
    let slash = text.iter().position(|byte| *byte == b'/')?;
    let (network, length) = (address(&text[..slash])?, &text[slash + 1..]);
    if !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: u32 = std::str::from_utf8(length).ok()?.parse().ok()?;
    let (unused, width) = if network.is_ipv4() { (96, 32) } else { (0, 128) };
    (length <= width).then(|| (bits(network), unused + length))
}

/// `in_cidr_block(block, address)`
///
/// osquery leaves out the first and the last address of an IPv4 block and fails on an address that cannot be
/// read or is of the other family; here a block is all its addresses, and these cases are NULL and 0.
pub(super) fn in_cidr_block(call: &Call<'_>) -> Result {
    let text = call.bytes(0);
    let Some((network, length)) = block(&text) else {
        let text = quoted(&text);
        return Err(Error::Argument(format!("in_cidr_block: {text} is not a block like '10.0.0.0/8'")));
    };
    // A socket of IPv6 shows its IPv4 peers as ::ffff:a.b.c.d, and they lie in IPv4 blocks.
    let inside = |address: IpAddr| (bits(address) ^ network).checked_shr(128 - length).unwrap_or(0) == 0;
    Ok(address(&call.bytes(1)).map(inside).into())
}

/// `community_id_v1(source_address, destination_address, source_port, destination_port, protocol, seed)`
pub(super) fn community_id_v1(call: &Call<'_>) -> Result {
    Ok(community_id(call).ok().into())
}

/// The same, but an argument that cannot be used ends the statement.
pub(super) fn community_id_v1_strict(call: &Call<'_>) -> Result {
    community_id(call)
        .map(Value::from)
        .map_err(|fault| Error::Argument(format!("community_id_v1_strict: {fault}")))
}

fn community_id(call: &Call<'_>) -> std::result::Result<String, &'static str> {
    if !(5..=6).contains(&call.len()) {
        return Err("it takes five or six arguments");
    }
    let end = |argument, fault| match call.raw(argument) {
        ValueRef::Text(text) => address(text).ok_or(fault),
        _ => Err(fault),
    };
    let port = |argument, fault| call.integer(argument, 0..=0xffff).map(|port| port as u16).ok_or(fault);
    let seed = match call.len() {
        // osquery takes a signed number, the specification an unsigned one; the 16 bits are the same.
        6 => call.integer(5, -0x8000..=0xffff).ok_or("the seed is not an integer of 16 bits")? as u16,
        _ => 0,
    };
    let flow = Flow {
        source: end(0, "the source address is not an IP address")?,
        destination: end(1, "the destination address is not an IP address")?,
        source_port: port(2, "the source port is not an integer from 0 to 65535")?,
        destination_port: port(3, "the destination port is not an integer from 0 to 65535")?,
        protocol: call.integer(4, 0..=0xff).ok_or("the protocol is not an integer from 0 to 255")? as u8,
    };
    Ok(flow.community_id(seed))
}

struct Flow {
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
}

impl Flow {
    /// Version 1 of <https://github.com/corelight/community-id-spec>. For ICMP the ports are type and code.
    fn community_id(self, seed: u16) -> String {
        let mut ends = [(self.source, self.source_port), (self.destination, self.destination_port)];
        let mut one_way = false;
        if let Some(answers) = answers(self.protocol) {
            match answers.iter().find(|(message, _)| *message == self.source_port) {
                Some((_, answer)) => ends[1].1 = *answer,
                None => one_way = true,
            }
        }
        if ends[0] > ends[1] && !one_way {
            ends.swap(0, 1);
        }
        let mut sha = Sha1::new();
        sha.update(seed.to_be_bytes());
        for (address, _) in ends {
            match address {
                IpAddr::V4(v4) => sha.update(v4.octets()),
                IpAddr::V6(v6) => sha.update(v6.octets()),
            }
        }
        sha.update([self.protocol, 0]);
        for (_, port) in ends {
            sha.update(port.to_be_bytes());
        }
        format!("1:{}", STANDARD.encode(sha.finalize()))
    }
}

/// For the two ICMPs, which types of message answer each other (both ways); others go one way.
fn answers(protocol: u8) -> Option<&'static [(u16, u16)]> {
    match protocol {
        // Echo, router discovery, timestamp, information, address mask.
        1 => Some(&[
            (0, 8),
            (8, 0),
            (9, 10),
            (10, 9),
            (13, 14),
            (14, 13),
            (15, 16),
            (16, 15),
            (17, 18),
            (18, 17),
        ]),
        // Echo, listener, router and neighbour discovery, node information, home agent address.
        58 => Some(&[
            (128, 129),
            (129, 128),
            (130, 131),
            (131, 130),
            (133, 134),
            (134, 133),
            (135, 136),
            (136, 135),
            (139, 140),
            (140, 139),
            (144, 145),
            (145, 144),
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn ipv4_addresses_are_numbers() {
        check(&[
            ("inet_aton('1.0.1.5')", "16777477"),
            ("inet_aton('255.255.255.255')", "4294967295"),
            ("inet_aton('1.2.3')", "NULL"),
            ("inet_aton('01.2.3.4')", "NULL"),
            ("inet_aton('1.2.3.4 ')", "NULL"),
            ("inet_aton('::1')", "NULL"),
            ("inet_aton('')", "NULL"),
            ("inet_aton(1)", "NULL"),
        ]);
    }

    #[test]
    fn a_block_is_all_its_addresses_of_either_family() {
        check(&[
            ("in_cidr_block('10.0.0.0/26', '10.0.0.24')", "1"),
            ("in_cidr_block('10.0.0.0/26', '10.0.0.0')", "1"),
            ("in_cidr_block('10.0.0.0/26', '10.0.0.63')", "1"),
            ("in_cidr_block('10.0.0.0/26', '10.0.0.64')", "0"),
            ("in_cidr_block('198.51.100.14/24', '198.51.100.200')", "1"),
            ("in_cidr_block('10.0.0.1/32', '10.0.0.1')", "1"),
            ("in_cidr_block('10.0.0.1/32', '10.0.0.2')", "0"),
            ("in_cidr_block('10.0.0.0/31', '10.0.0.1')", "1"),
            ("in_cidr_block('0.0.0.0/0', '255.255.255.255')", "1"),
            ("in_cidr_block('2001:db8::/48', '2001:db8:0:ffff:ffff:ffff:ffff:ffff')", "1"),
            ("in_cidr_block('2001:db8::/48', '2001:db8:1::')", "0"),
            (
                "in_cidr_block('2a00:a040:019e:f12a:0000:0000:0000:0000/64', \
                 '2a00:a040:19e:f12a:658b:3589:b2ba:71a3')",
                "1",
            ),
            ("in_cidr_block('::1/128', '::1')", "1"),
            ("in_cidr_block('::1/128', '::2')", "0"),
            ("in_cidr_block('fe80::/10', 'fe80::1%eth0')", "1"),
            ("in_cidr_block('10.0.0.0/8', '::ffff:10.1.2.3')", "1"),
            ("in_cidr_block('10.0.0.0/8', '::ffff:11.1.2.3')", "0"),
            ("in_cidr_block('10.0.0.0/8', '2001:db8::1')", "0"),
            ("in_cidr_block('2001:db8::/32', '10.0.0.1')", "0"),
            ("in_cidr_block('::ffff:0:0/96', '10.0.0.1')", "1"),
            ("in_cidr_block('0.0.0.0/0', '::1')", "0"),
        ]);
    }

    #[test]
    fn an_address_that_is_none_is_null_and_a_block_that_is_none_an_error() {
        let fault = "is not a block like '10.0.0.0/8'";
        let error = |block: &str| format!("error: in_cidr_block: '{block}' {fault}");
        check(&[
            ("in_cidr_block('10.0.0.0/8', '')", "NULL"),
            ("in_cidr_block('10.0.0.0/8', 'localhost')", "NULL"),
            ("in_cidr_block('10.0.0.0/8', 1)", "NULL"),
            ("in_cidr_block('10.0.0.0', '10.0.0.1')", &error("10.0.0.0")),
            ("in_cidr_block('10.0.0.0/', '10.0.0.1')", &error("10.0.0.0/")),
            ("in_cidr_block('10.0.0.0/33', '10.0.0.1')", &error("10.0.0.0/33")),
            ("in_cidr_block('10.0.0.0/+8', '10.0.0.1')", &error("10.0.0.0/+8")),
            ("in_cidr_block('::/129', '::1')", &error("::/129")),
            ("in_cidr_block('10.0/8', '10.0.0.1')", &error("10.0/8")),
        ]);
    }

    #[test]
    fn community_ids_are_those_that_others_publish() {
        check(&[
            // TCP, both ways.
            (
                "community_id_v1('128.232.110.120', '66.35.250.204', 34855, 80, 6)",
                "'1:LQU9qZlK+B5F3KDmev6m5PMibrg='",
            ),
            (
                "community_id_v1('66.35.250.204', '128.232.110.120', 80, 34855, 6, 0)",
                "'1:LQU9qZlK+B5F3KDmev6m5PMibrg='",
            ),
            (
                "community_id_v1('66.35.250.204', '128.232.110.120', 80, 34855, 6, 1)",
                "'1:3V71V58M3Ksw/yuFALMcW0LAHvc='",
            ),
            // UDP, SCTP.
            ("community_id_v1('192.168.1.52', '8.8.8.8', 54585, 53, 17)", "'1:d/FP5EW3wiY1vCndhwleRRKHowQ='"),
            (
                "community_id_v1('8.8.8.8', '192.168.1.52', 53, 54585, 17, 1)",
                "'1:Q9We8WO3piVF8yEQBNJF4uiSVrI='",
            ),
            (
                "community_id_v1('192.168.170.8', '192.168.170.56', 7, 80, 132)",
                "'1:jQgCxbku+pNGw8WPbEc/TS/uTpQ='",
            ),
            (
                "community_id_v1('192.168.170.56', '192.168.170.8', 80, 7, 132, 1)",
                "'1:Y1/0jQg6e+I3ZwZZ9LP65DNbTXU='",
            ),
            // Echo request and its reply, router advertisement.
            ("community_id_v1('192.168.0.89', '192.168.0.1', 8, 0, 1)", "'1:X0snYXpgwiv9TZtqg64sgzUn6Dk='"),
            ("community_id_v1('192.168.0.1', '192.168.0.89', 0, 0, 1)", "'1:X0snYXpgwiv9TZtqg64sgzUn6Dk='"),
            (
                "community_id_v1('fe80::260:97ff:fe07:69ea', 'ff02::1', 134, 0, 58)",
                "'1:pkvHqCL88/tg1k4cPigmZXUtL00='",
            ),
            // One address of each family: the IPv4 one comes first.
            (
                "community_id_v1('66.35.250.204', '2001:0:3238:DFE1:63::FEFB', 80, 2347, 6)",
                "'1:rxU6O+b2d9kbSWjRmVDoBbowx6g='",
            ),
            (
                "community_id_v1('66.35.250.204', '2001:0:3238:DFE1:63::FEFB', 80, 2347, 6, 37)",
                "'1:jmJ2ORP31di4mtsQPIKzyoEb3yo='",
            ),
            (
                "community_id_v1('fe80::14b0:de4a:f8e8:522f%lo', '127.0.0.1', 10, 64, 6)",
                "'1:Jww+Ua4pSUNl9TvSUwvSHL4n93w='",
            ),
            (
                "community_id_v1('1.1.1.1', '2.2.2.2', 1, 2, 6, 65535) = \
                 community_id_v1('1.1.1.1', '2.2.2.2', 1, 2, 6, -1)",
                "1",
            ),
        ]);
    }

    #[test]
    fn a_flow_that_is_none_is_null_or_an_error() {
        let cases = [
            ("'foo', '2.2.2.2', 1, 2, 6", "the source address is not an IP address"),
            ("'1.1.1.1', 2, 1, 2, 6", "the destination address is not an IP address"),
            ("'1.1.1.1', '2.2.2.2', '1', 2, 6", "the source port is not an integer from 0 to 65535"),
            ("'1.1.1.1', '2.2.2.2', 1, 65536, 6", "the destination port is not an integer from 0 to 65535"),
            ("'1.1.1.1', '2.2.2.2', 1, 2, 256", "the protocol is not an integer from 0 to 255"),
            ("'1.1.1.1', '2.2.2.2', 1, 2, 6, 100000000", "the seed is not an integer of 16 bits"),
            ("'1.1.1.1', '2.2.2.2', 1, 2", "it takes five or six arguments"),
        ];
        for (arguments, fault) in cases {
            check(&[
                (&format!("community_id_v1({arguments})"), "NULL"),
                (
                    &format!("community_id_v1_strict({arguments})"),
                    &format!("error: community_id_v1_strict: {fault}"),
                ),
            ]);
        }
        check(&[
            ("community_id_v1_strict(NULL, '2.2.2.2', 1, 2, 6)", "error: …"),
            (
                "community_id_v1_strict('128.232.110.120', '66.35.250.204', 34855, 80, 6)",
                "'1:LQU9qZlK+B5F3KDmev6m5PMibrg='",
            ),
        ]);
    }
}
