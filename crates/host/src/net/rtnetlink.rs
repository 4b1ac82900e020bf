//! Messages of rtnetlink(7): interfaces, addresses and routes (include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use collector::{Host, Rtnetlink, reason};
use model::Query;

use super::sockets::{AF_INET, AF_INET6};

/// The messages of a dump. What went wrong becomes a note, and so does a directory that stands for a machine.
pub(crate) fn messages(
    host: &Host,
    query: &Query,
    table: &'static str,
    what: Rtnetlink,
) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
    let run = query.run.clone();
    let note = move |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::Unsupported => run.note(table, "", "known only on the running machine"),
        _ => run.note(table, "", reason(error)),
    };
    let dump = host.rtnetlink(what).inspect_err(&note).ok();
    dump.into_iter().flatten().filter_map(move |message| message.inspect_err(&note).ok())
}

/// Names of the interfaces, by index.
pub(crate) fn interface_names(host: &Host, query: &Query, table: &'static str) -> HashMap<i32, Vec<u8>> {
    let links = messages(host, query, table, Rtnetlink::Links).filter_map(|message| Link::parse(&message));
    links.map(|link| (link.index, link.name)).collect()
}

/// The attributes in the rest of a message: type and value. Ends early where they are malformed.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// The two highest bits of the type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
    const TYPE: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let [len0, len1, kind0, kind1] = *rest.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([kind0, kind1]) & TYPE, value))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i64::from(family) {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// A string attribute, which ends with a NUL.
fn string(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

/// An interface: `struct ifinfomsg` and `IFLA_*`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: i32,
    pub(crate) name: Vec<u8>,
    /// `ARPHRD_*`.
    pub(crate) kind: u16,
    /// `IFF_*`.
    pub(crate) flags: u32,
    /// Hardware address.
    pub(crate) mac: Vec<u8>,
    pub(crate) mtu: Option<u32>,
    /// How many asked for promiscuous mode.
    pub(crate) promiscuity: u32,
    /// The first ten counters of `struct rtnl_link_stats64`.
    pub(crate) counters: Option<[u64; 10]>,
}

impl Link {
    pub(crate) fn parse(message: &[u8]) -> Option<Link> {
        let kind = u16::from_ne_bytes(*message.get(2..)?.first_chunk()?);
        let index = u32_at(message, 4)? as i32;
        let mut link = Link { index, kind, flags: u32_at(message, 8)?, ..Link::default() };
        for (kind, value) in attributes(message.get(16..)?) {
            match kind {
                1 => link.mac = value.to_vec(),
                3 => link.name = string(value),
                4 => link.mtu = u32_at(value, 0),
                23 => link.counters = counters(value),
                30 => link.promiscuity = u32_at(value, 0).unwrap_or_default(),
                _ => {}
            }
        }
        Some(link)
    }
}

fn counters(stats: &[u8]) -> Option<[u64; 10]> {
    let mut counters = [0; 10];
    for (n, counter) in counters.iter_mut().enumerate() {
        *counter = u64::from_ne_bytes(*stats.get(8 * n..)?.first_chunk()?);
    }
    Some(counters)
}

/// An address of an interface: `struct ifaddrmsg` and `IFA_*`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) interface: i32,
    /// Name of an IPv4 address, usually that of the interface.
    pub(crate) label: Option<Vec<u8>>,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) broadcast: Option<IpAddr>,
    /// The other end of a point-to-point interface.
    pub(crate) peer: Option<IpAddr>,
}

impl Address {
    pub(crate) fn parse(message: &[u8]) -> Option<Address> {
        let [family, prefix, ..] = *message.first_chunk::<8>()?;
        let interface = u32_at(message, 4)? as i32;
        let (mut near, mut far, mut broadcast, mut label) = (None, None, None, None);
        for (kind, value) in attributes(message.get(8..)?) {
            match kind {
                1 => far = address(family, value),
                2 => near = address(family, value),
                3 => label = Some(string(value)),
                4 => broadcast = address(family, value),
                _ => {}
            }
        }
        // IFA_ADDRESS is the peer's only where IFA_LOCAL is there and differs (if_addr.h).
        let address = near.or(far)?;
        Some(Address {
            interface,
            label,
            address,
            prefix,
            broadcast,
            peer: far.filter(|far| *far != address),
        })
    }
}

/// A route to one next hop: `struct rtmsg` and `RTA_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) source: Option<IpAddr>,
    /// `RTM_F_*` and `RTNH_F_*`.
    pub(crate) flags: u32,
    pub(crate) interface: Option<i32>,
    pub(crate) mtu: u32,
    pub(crate) metric: u32,
    /// `RTN_*`.
    pub(crate) kind: u8,
    pub(crate) hop_limit: u32,
    pub(crate) table: u32,
}

impl Route {
    /// A route for each next hop of a message; none when it is not one of IP.
    pub(crate) fn parse(message: &[u8]) -> Vec<Route> {
        Route::next_hops(message).unwrap_or_default()
    }

    fn next_hops(message: &[u8]) -> Option<Vec<Route>> {
        let [family, prefix, _, _, table, _, _, kind] = *message.first_chunk::<8>()?;
        let mut route = Route {
            destination: match i64::from(family) {
                AF_INET => Ipv4Addr::UNSPECIFIED.into(),
                AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
                _ => return None,
            },
            prefix,
            gateway: None,
            source: None,
            flags: u32_at(message, 8)?,
            interface: None,
            mtu: 0,
            metric: 0,
            kind,
            hop_limit: 0,
            table: table.into(),
        };
        let mut hops: &[u8] = &[];
        for (kind, value) in attributes(message.get(12..)?) {
            match kind {
                1 => route.destination = address(family, value)?,
                6 => route.metric = u32_at(value, 0)?,
                7 => route.source = address(family, value),
                8 => {
                    let metric =
                        |kind| attributes(value).find(|(k, _)| *k == kind).and_then(|(_, v)| u32_at(v, 0));
                    route.mtu = metric(2).unwrap_or_default();
                    route.hop_limit = metric(10).unwrap_or_default();
                }
                9 => hops = value,
                // Tables past 255 do not fit into the header.
                15 => route.table = u32_at(value, 0)?,
                _ => route.hop_attribute(family, kind, value),
            }
        }
        let mut routes = Vec::new();
        // `struct rtnexthop`: length, flags, weight, interface; then attributes.
        while let Some([len0, len1, flags, _weight, ..]) = hops.first_chunk::<8>() {
            let len = usize::from(u16::from_ne_bytes([*len0, *len1]));
            let Some(hop) = hops.get(..len).filter(|hop| hop.len() >= 8) else { break };
            let mut hop_route = Route {
                flags: route.flags | u32::from(*flags),
                interface: u32_at(hop, 4).map(|index| index as i32),
                ..route.clone()
            };
            attributes(&hop[8..]).for_each(|(kind, value)| hop_route.hop_attribute(family, kind, value));
            routes.push(hop_route);
            hops = hops.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        }
        if routes.is_empty() {
            routes.push(route);
        }
        Some(routes)
    }

    /// What a route says itself when it has one next hop, and each hop when it has several.
    fn hop_attribute(&mut self, family: u8, kind: u16, value: &[u8]) {
        match kind {
            4 => self.interface = u32_at(value, 0).map(|index| index as i32),
            5 => self.gateway = address(family, value),
            // `struct rtvia`: a gateway of another family, behind its family's number.
            18 => {
                self.gateway = value.split_first_chunk::<2>().and_then(|(family, gateway)| {
                    address(u8::try_from(u16::from_ne_bytes(*family)).ok()?, gateway)
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(header: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        [header.to_vec(), attributes.concat()].concat()
    }

    fn link_message() -> Vec<u8> {
        let mut header = vec![0, 0];
        header.extend(1u16.to_ne_bytes());
        header.extend(4u32.to_ne_bytes());
        header.extend(0x1043u32.to_ne_bytes());
        header.extend([0; 4]);
        let stats: Vec<u8> = (1..=25u64).flat_map(u64::to_ne_bytes).collect();
        let attributes = [
            attribute(3, b"eth0\0"),
            attribute(1, &[2, 0xfc, 0, 0, 0, 1]),
            attribute(4, &1400u32.to_ne_bytes()),
            attribute(23, &stats),
            attribute(30, &1u32.to_ne_bytes()),
        ];
        message(&header, &attributes)
    }

    #[test]
    fn a_link_has_its_name_address_and_counters() {
        let link = Link::parse(&link_message()).unwrap();
        assert_eq!((link.index, link.kind, link.flags, &link.name[..]), (4, 1, 0x1043, &b"eth0"[..]));
        assert_eq!((link.mac, link.mtu, link.promiscuity), (vec![2, 0xfc, 0, 0, 0, 1], Some(1400), 1));
        assert_eq!(link.counters, Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    }

    #[test]
    fn an_address_without_a_peer_has_none() {
        let header = [2, 24, 0x80, 0, 4, 0, 0, 0];
        let ours = attribute(2, &[192, 0, 2, 2]);
        let same =
            message(&header, &[attribute(1, &[192, 0, 2, 2]), ours.clone(), attribute(3, b"eth0:1\0")]);
        let address = Address::parse(&same).unwrap();
        assert_eq!((address.address.to_string(), address.peer), ("192.0.2.2".into(), None));
        assert_eq!(address.label.as_deref(), Some(&b"eth0:1"[..]));
        let tunnel = message(&header, &[attribute(1, &[192, 0, 2, 9]), ours]);
        assert_eq!(Address::parse(&tunnel).unwrap().peer, Some(Ipv4Addr::new(192, 0, 2, 9).into()));
    }

    fn default_route(attributes: &[Vec<u8>]) -> Vec<u8> {
        message(&[2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], attributes)
    }

    #[test]
    fn a_route_says_where_it_leads() {
        let metrics = attribute(0x8000 | 8, &attribute(2, &1300u32.to_ne_bytes()));
        let attributes = [
            attribute(15, &1000u32.to_ne_bytes()),
            attribute(5, &[192, 0, 2, 1]),
            attribute(4, &4u32.to_ne_bytes()),
            attribute(6, &100u32.to_ne_bytes()),
            metrics,
        ];
        let routes = Route::parse(&default_route(&attributes));
        assert_eq!(routes.len(), 1);
        let route = &routes[0];
        assert_eq!((route.destination.to_string(), route.prefix, route.kind), ("0.0.0.0".into(), 0, 1));
        assert_eq!((route.table, route.metric, route.mtu, route.interface), (1000, 100, 1300, Some(4)));
        assert_eq!(route.gateway, Some(Ipv4Addr::new(192, 0, 2, 1).into()));
    }

    #[test]
    fn each_next_hop_is_a_route() {
        let hop = |interface: u32, gateway: Vec<u8>| {
            let mut bytes = ((8 + gateway.len()) as u16).to_ne_bytes().to_vec();
            bytes.extend([1, 0]);
            bytes.extend(interface.to_ne_bytes());
            bytes.extend(gateway);
            bytes
        };
        let mut via = 10u16.to_ne_bytes().to_vec();
        via.extend(Ipv6Addr::LOCALHOST.octets());
        let hops = [hop(4, attribute(5, &[192, 0, 2, 1])), hop(5, attribute(18, &via))].concat();
        let routes = Route::parse(&default_route(&[attribute(9, &hops)]));
        let seen: Vec<_> =
            routes.iter().map(|r| (r.interface, r.gateway.unwrap().to_string(), r.flags)).collect();
        assert_eq!(seen, [(Some(4), "192.0.2.1".into(), 1), (Some(5), "::1".into(), 1)]);
    }

    #[test]
    fn cut_messages_are_survived() {
        let address = message(&[2, 24, 0, 0, 4, 0, 0, 0], &[attribute(2, &[192, 0, 2, 2])]);
        let hops = [16u16.to_ne_bytes().to_vec(), vec![0; 6], attribute(5, &[1, 2, 3, 4])].concat();
        let route = default_route(&[attribute(9, &hops), attribute(8, &attribute(2, &[1]))]);
        for message in [link_message(), address, route] {
            for len in 0..message.len() {
                let _ = (
                    Link::parse(&message[..len]),
                    Address::parse(&message[..len]),
                    Route::parse(&message[..len]),
                );
            }
        }
        // A length of zero must not be read for ever.
        assert_eq!(attributes(&[0; 8]).count(), 0);
        assert_eq!(Route::parse(&default_route(&[attribute(9, &[0; 8])])).len(), 1);
    }
}
