use std::net::IpAddr;

use serde_json::Value as Json;

use crate::machine::{Machine, assert_same};
use crate::outside::{needs, told};

fn ip(args: &[&str]) -> Vec<Json> {
    let said = told("ip", &[&["-j", "-N", "-d"], args].concat());
    serde_json::from_slice(&said).unwrap_or_default()
}

fn text<'j>(object: &'j Json, name: &str) -> &'j str {
    object[name].as_str().unwrap_or_default()
}

#[test]
fn addresses_are_those_of_ip() {
    if !needs("ip") {
        return;
    }
    let mut theirs = Vec::new();
    for link in ip(&["addr"]) {
        for address in link["addr_info"].as_array().into_iter().flatten() {
            let label = address["label"].as_str().unwrap_or(text(&link, "ifname"));
            let (local, peer) = (text(address, "local"), text(address, "address"));
            let prefix = address["prefixlen"].as_u64().unwrap() as u32;
            let mask = match local.parse().unwrap() {
                IpAddr::V4(_) => IpAddr::V4((u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()),
                IpAddr::V6(_) => IpAddr::V6((u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into()),
            };
            theirs.push(format!("{label}|{local}|{mask}|{}|{peer}", text(address, "broadcast")));
        }
    }
    let sql = "SELECT interface, address, mask, broadcast, point_to_point FROM interface_addresses";
    assert_same(&Machine::live().lines(sql), &theirs, "interface_addresses");
}

#[test]
fn links_are_those_of_ip() {
    if !needs("ip") {
        return;
    }
    const FLAGS: [(&str, i64); 13] = [
        ("UP", 1),
        ("BROADCAST", 2),
        ("DEBUG", 4),
        ("LOOPBACK", 8),
        ("POINTOPOINT", 0x10),
        ("NOTRAILERS", 0x20),
        ("NOARP", 0x80),
        ("PROMISC", 0x100),
        ("ALLMULTI", 0x200),
        ("MASTER", 0x400),
        ("SLAVE", 0x800),
        ("MULTICAST", 0x1000),
        ("DYNAMIC", 0x8000),
    ];
    let known: i64 = FLAGS.iter().map(|(_, bit)| bit).sum();
    let theirs = |links: &[Json]| -> Vec<String> {
        let line = |link: &Json| {
            let set = |flag: &str| link["flags"].as_array().unwrap().iter().any(|f| f == flag);
            let flags: i64 = FLAGS.iter().filter(|(name, _)| set(name)).map(|(_, bit)| bit).sum();
            let (rx, tx) = (&link["stats64"]["rx"], &link["stats64"]["tx"]);
            [text(link, "ifname").to_owned(), text(link, "address").to_owned(), link["mtu"].to_string()]
                .into_iter()
                .chain([flags.to_string()])
                .chain(
                    ["packets", "bytes", "errors", "dropped"]
                        .iter()
                        .flat_map(|c| [rx[c].to_string(), tx[c].to_string()]),
                )
                .chain([tx["collisions"].to_string()])
                .collect::<Vec<_>>()
                .join("|")
        };
        links.iter().map(line).collect()
    };
    let sql = format!(
        "SELECT interface, mac, mtu, flags & {known}, ipackets, opackets, ibytes, obytes, ierrors, oerrors,
                idrops, odrops, collisions FROM interface_details"
    );
    // Counters move: an interface that was quiet meanwhile has to agree.
    let before = theirs(&ip(&["-s", "link"]));
    let ours = Machine::live().lines(&sql);
    let after = theirs(&ip(&["-s", "link"]));
    let name = |line: &String| line.split('|').next().unwrap().to_owned();
    let quiet = |line: &&String| {
        let same = before.iter().find(|b| name(b) == name(line));
        same == after.iter().find(|a| name(a) == name(line))
    };
    let quiet_ours: Vec<_> = ours.iter().filter(quiet).cloned().collect();
    let quiet_theirs: Vec<_> = before.iter().filter(quiet).cloned().collect();
    assert_same(&quiet_ours, &quiet_theirs, "interface_details");
    assert_same(
        &ours.iter().map(name).collect::<Vec<_>>(),
        &before.iter().map(name).collect::<Vec<_>>(),
        "names of interfaces",
    );
}

#[test]
fn routes_are_those_of_ip() {
    if !needs("ip") {
        return;
    }
    let mut theirs = Vec::new();
    for (family, any, whole) in [("-4", "0.0.0.0", 32), ("-6", "::", 128)] {
        for route in ip(&[family, "route", "show", "table", "all"]) {
            let destination = match text(&route, "dst") {
                "default" => format!("{any}/0"),
                one if !one.contains('/') => format!("{one}/{whole}"),
                network => network.to_owned(),
            };
            let (address, prefix) = destination.split_once('/').unwrap();
            let kind = match text(&route, "type") {
                "" | "unicast" | "1" => "gateway",
                "2" => "local",
                "3" => "broadcast",
                "4" => "anycast",
                "5" => "multicast",
                "6" => "blackhole",
                "7" => "unreachable",
                "8" => "prohibit",
                "9" => "throw",
                kind => kind,
            };
            let table = match text(&route, "table") {
                "" | "main" => "254",
                "local" => "255",
                "default" => "253",
                table => table,
            };
            let metric = route["metric"].as_i64().unwrap_or(0);
            let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
            for hop in hops {
                let (gateway, device, source) =
                    (text(&hop, "gateway"), text(&hop, "dev"), text(&route, "prefsrc"));
                theirs
                    .push(format!("{address}|{prefix}|{gateway}|{source}|{device}|{metric}|{kind}|{table}"));
            }
        }
    }
    let sql =
        "SELECT destination, netmask, gateway, source, interface, metric, type, routing_table FROM routes";
    assert_same(&Machine::live().lines(sql), &theirs, "routes");
}

#[test]
fn neighbours_are_those_of_ip() {
    if !needs("ip") {
        return;
    }
    let state =
        |neighbour: &Json, name: &str| neighbour["state"].as_array().unwrap().iter().any(|s| s == name);
    let theirs = || {
        let mut theirs = Vec::new();
        for neighbour in ip(&["-4", "neigh", "show", "nud", "all"]) {
            // What needs no resolution is not listed in /proc/net/arp.
            if !state(&neighbour, "NOARP") {
                let mac = neighbour["lladdr"].as_str().unwrap_or("00:00:00:00:00:00");
                let permanent = u8::from(state(&neighbour, "PERMANENT"));
                theirs.push(format!(
                    "{}|{mac}|{}|{permanent}",
                    text(&neighbour, "dst"),
                    text(&neighbour, "dev")
                ));
            }
        }
        theirs
    };
    let before = theirs();
    let ours = Machine::live().lines("SELECT address, mac, interface, permanent FROM arp_cache");
    if before == theirs() {
        assert_same(&ours, &before, "arp_cache");
    }
}
