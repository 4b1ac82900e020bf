//! `routes`: `RTM_GETROUTE` of rtnetlink(7) for every routing table, in the network namespace of the collector.

use std::collections::HashMap;
use std::sync::Arc;

use collector::{Host, Row, Rows, Rtnetlink, Table, int, repeated, text};
use model::{Extent, Query, ScanError};

use crate::net::rtnetlink::{Route, interface_names, messages};
use crate::net::written;

/// How many messages are read between two looks at the clock.
const POLL_EVERY: usize = 64;

pub(crate) static TABLE: Table<NamedRoute, Host> = Table {
    name: "routes",
    about: "Routes of every routing table, with a row for each next hop.",
    identity: repeated(&["destination", "netmask", "type", "interface"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        text("destination", "Where it leads; `0.0.0.0` or `::` for the default.", |r| {
            r.route.destination.to_string().into()
        }),
        int("netmask", "Length of the destination's prefix, in bits; 32 or 128 for one address.", |r| {
            r.route.prefix.into()
        }),
        text("gateway", "Next hop, or empty when the destination is on the link.", |r| {
            written(r.route.gateway).into()
        }),
        text("source", "Address that packets leave with, or empty.", |r| written(r.route.source).into()),
        int("flags", "Flags RTM_F_* and RTNH_F_*; 1 tells that the next hop is dead.", |r| {
            r.route.flags.into()
        }),
        text("interface", "Interface that packets leave by, or empty.", |r| r.interface().into()),
        int("mtu", "Largest packet, in bytes, or 0 when the route sets none.", |r| r.route.mtu.into()),
        int("metric", "Cost: of equal destinations the cheapest is taken.", |r| r.route.metric.into()),
        text(
            "type",
            "`gateway` (unicast), `local`, `broadcast`, `anycast`, `multicast`, `blackhole`, `unreachable`, \
             `prohibit`, `throw` or `other`.",
            |r| kind(r.route.kind).into(),
        ),
        int("hopcount", "Hop limit of packets, or 0 when the route sets none.", |r| r.route.hop_limit.into()),
        int("routing_table", "Number of its routing table: 254 main, 255 local.", |r| r.route.table.into()),
    ],
    scan,
    examples: &[
        "SELECT gateway, interface FROM routes WHERE destination = '0.0.0.0' AND netmask = 0",
        "SELECT destination, netmask, interface FROM routes WHERE type = 'gateway'",
    ],
};

pub(crate) struct NamedRoute {
    route: Route,
    names: Arc<HashMap<i32, Vec<u8>>>,
}

impl Row for NamedRoute {}

impl NamedRoute {
    fn interface(&self) -> &[u8] {
        self.route.interface.and_then(|index| self.names.get(&index)).map_or(&[], Vec::as_slice)
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<NamedRoute>, ScanError> {
    let names = Arc::new(interface_names(host, query, TABLE.name));
    let routes = messages(host, query, TABLE.name, Rtnetlink::Routes);
    let run = query.run.clone();
    Ok(Box::new(routes.enumerate().flat_map(move |(n, message)| {
        let stop = if n % POLL_EVERY == 0 { run.check().err() } else { None };
        let names = names.clone();
        let routes = Route::parse(&message).into_iter();
        stop.map(|stop| Err(stop.into()))
            .into_iter()
            .chain(routes.map(move |route| Ok(NamedRoute { route, names: names.clone() })))
    })))
}

/// osquery's words; it knows the first four and calls the rest `other`.
fn kind(rtn: u8) -> &'static str {
    match rtn {
        1 => "gateway",
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scan;

    #[test]
    fn the_loopback_route_is_in_the_local_table() {
        let rows = Scan::of(&TABLE, Host::live()).lines();
        let wanted = "127.0.0.1|32||127.0.0.1|0|lo|0|0|local|0|255";
        assert!(rows.iter().any(|row| row == wanted), "{rows:?}");
    }
}
