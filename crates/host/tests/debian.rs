//! The tables of accounts, logins, cron, sudo, startup items and packages, over a small Debian machine made of files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "the whole file is tests")]

use std::collections::HashSet;
use std::sync::Arc;

use collector::{AnyTable, Host};
use model::{Constraint, Op, Ops, Query, Run, Value};

/// Tables of which every row comes from a file that the fixture has or could have.
const TABLES: [&str; 10] = [
    "crontab",
    "deb_packages",
    "groups",
    "last",
    "logged_in_users",
    "shadow",
    "startup_items",
    "sudoers",
    "user_groups",
    "users",
];

fn table(name: &str) -> &'static (dyn AnyTable<Host> + Sync) {
    *host::TABLES.iter().find(|t| t.name() == name).unwrap()
}

fn machine() -> Host {
    Host::at(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/debian"))
}

/// The rows of a table that a scan with a constraint gives.
fn rows(name: &str, constraint: Option<Constraint>) -> Vec<Vec<Value<'static>>> {
    let schema = Arc::new(table(name).schema());
    let mut query = Query::all(schema.clone(), Run::unlimited());
    query.constraints.extend(constraint);
    let mut scan = table(name).open(&machine(), &query).unwrap();
    let mut rows = Vec::new();
    while scan.advance().unwrap() {
        rows.push((0..schema.columns.len()).map(|at| scan.value(at).into_owned()).collect());
    }
    assert_eq!(query.run.notes(), [], "{name}");
    rows
}

/// The named columns of all rows, with `|` between them.
fn texts(name: &str, columns: &[&str]) -> Vec<String> {
    let schema = table(name).schema();
    let cell = |row: &[Value<'_>], column: &str| match &row[schema.column(column).unwrap()] {
        Value::Null => "NULL".to_owned(),
        Value::Int(n) => n.to_string(),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    let line = |row: &Vec<Value<'_>>| columns.iter().map(|c| cell(row, c)).collect::<Vec<_>>().join("|");
    rows(name, None).iter().map(line).collect()
}

#[test]
fn a_keyed_scan_returns_what_a_full_scan_would() {
    for name in TABLES {
        let full = rows(name, None);
        let keys = table(name).schema().columns.into_iter().enumerate().filter(|(_, c)| c.push.has(Ops::EQ));
        for (column, _) in keys {
            let mut wanted: Vec<_> = full.iter().map(|row| row[column].clone()).collect();
            wanted.extend(wanted.clone());
            wanted.extend([Value::Int(-7), Value::from("no such key")]);
            for values in wanted.iter().map(|v| vec![v.clone()]).chain([vec![], wanted.clone()]) {
                let class =
                    |v: &Value<'_>| std::mem::discriminant(v) == std::mem::discriminant(&full[0][column]);
                let values: Vec<_> = values.into_iter().filter(class).collect();
                let expected: Vec<_> =
                    full.iter().filter(|row| values.contains(&row[column])).cloned().collect();
                let keyed = rows(name, Some(Constraint { column, op: Op::Eq, values }));
                assert_eq!(keyed, expected, "{name}");
            }
        }
    }
}

#[test]
fn rows_that_a_table_calls_unique_are() {
    for name in TABLES {
        let schema = table(name).schema();
        let identity = schema.identity.columns.iter().map(|c| schema.column(c).unwrap());
        let identity: Vec<usize> = identity.collect();
        let mut seen = HashSet::new();
        for row in rows(name, None) {
            let key = identity.iter().map(|at| format!("{:?}", row[*at])).collect::<Vec<_>>();
            assert!(seen.insert(key) || !schema.identity.unique, "{name}");
        }
    }
}

#[test]
fn both_accounts_of_uid_0_are_listed() {
    let users = texts("users", &["uid", "username", "directory", "shell"]);
    let roots: Vec<_> = users.iter().filter(|u| u.starts_with("0|")).collect();
    assert_eq!(roots, ["0|root|/root|/bin/bash", "0|toor|/root|/bin/sh"]);
    assert_eq!(users.len(), 6);
    assert_eq!(texts("groups", &["gid", "groupname"])[2], "27|sudo");
    let groups = texts("user_groups", &["uid", "gid"]);
    assert_eq!(groups, ["0|0", "1|1", "33|33", "33|998", "65534|65534", "1000|1000", "1000|27", "1000|998"]);
}

#[test]
fn shadow_tells_states_and_never_a_hash() {
    let shadow = texts("shadow", &["username", "password_status", "hash_alg", "max", "inactive", "expire"]);
    assert_eq!(shadow[0], "root|locked|NULL|99999|-1|-1");
    assert_eq!(shadow[4..], ["alice|active|y|90|30|20500", "toor|empty|NULL|-1|-1|-1"]);
    assert!(!format!("{:?}", rows("shadow", None)).contains("110, 111, 116, 97"), "the bytes of `nota`");
}

#[test]
fn sudoers_follows_its_includes() {
    let sudoers = texts("sudoers", &["source", "header", "rule_details"]);
    let deploy = "/etc/sudoers.d/deploy|";
    let rules = "ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop, /usr/bin/systemctl reload nginx";
    let expected = [
        "/etc/sudoers|@includedir|/etc/sudoers.d".to_owned(),
        format!("{deploy}www-data|{rules}"),
        format!("{deploy}#1001|ALL=(ALL) ALL"),
    ];
    assert_eq!(sudoers[4..], expected);
}

#[test]
fn cron_jobs_come_from_the_system_and_from_users() {
    let expected = [
        "NULL|17|root cd / && run-parts --report /etc/cron.hourly|/etc/crontab",
        "NULL|25|root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }|/etc/crontab",
        "@reboot|NULL|root /opt/agent/start|/etc/cron.d/agent",
        "NULL|*/5|/home/alice/bin/sync --quiet|/var/spool/cron/crontabs/alice",
    ];
    assert_eq!(texts("crontab", &["event", "minute", "command", "path"]), expected);
}

#[test]
fn startup_items_are_of_three_sorts() {
    let expected = [
        "Chat|/opt/my chat/chat|--hidden|Startup Item|disabled|alice",
        "cron|/etc/init.d/cron|NULL|Startup Item|enabled|NULL",
        "old|/etc/init.d/old|NULL|Startup Item|disabled|NULL",
        "Update notifier|/usr/bin/update-notifier|--delay 60|Startup Item|enabled|NULL",
        "cron.service|/lib/systemd/system/cron.service|/usr/sbin/cron -f $EXTRA_OPTS|systemd unit|enabled|NULL",
        "shop.service|/etc/systemd/system/shop.service|/srv/shop/bin/serve --port 8080|systemd unit|enabled|www-data",
    ];
    assert_eq!(texts("startup_items", &["name", "path", "args", "type", "status", "username"]), expected);
}

#[test]
fn packages_that_were_removed_say_so() {
    let expected = [
        "bash|5.2.15-2+b7||7164|2+b7|install ok installed",
        "libssl3|3.0.11-1~deb12u2|openssl|6014|1~deb12u2|install ok installed",
        "nginx|1.22.1-9||1313|9|deinstall ok config-files",
    ];
    assert_eq!(texts("deb_packages", &["name", "version", "source", "size", "revision", "status"]), expected);
}

/// The fixture's files have the byte order and record size of a PC; `utmpdump -r` made them.
#[cfg(target_arch = "x86_64")]
#[test]
fn logins_are_those_of_last_and_who() {
    let login = "alice|pts/0|192.168.1.5|1795165200|1234";
    let console = "root|tty1||1795172400|2000";
    let last = texts("last", &["username", "tty", "host", "time", "pid"]);
    assert_eq!(last, [login, "|pts/0||1795170600|1234", console]);
    let now = texts("logged_in_users", &["user", "tty", "host", "time", "pid"]);
    assert_eq!(now, ["reboot|~|6.1.0-18-amd64|1795161600|0", login, "|pts/0||1795170600|1234", console]);
}
