//! A collector of your own, whole: one table, served at a socket to this user and to root.
//!
//!     cargo run --example cpu_vulnerabilities -- /tmp/cpu.sock
//!
//! Who connects there can ask for `cpu_vulnerabilities`; nothing else knows of it. The facts are from
//! Documentation/ABI/testing/sysfs-devices-system-cpu of the kernel.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use collector::{Host, Row, Rows, Table, int, note, or_note, text, unique, vanished};
use ipc::{Bind, Identity, Server, ServerLimits, SocketListener, TableService};
use model::{Extent, Query, ScanError};

const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";

static TABLE: Table<Vulnerability, Host> = Table {
    name: "cpu_vulnerabilities",
    about: "What is known to be wrong with the processor, and what the kernel does about it.",
    identity: unique(&["name"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        text("name", "Name of the vulnerability: `spectre_v2`.", |v| (&v.name).into()),
        int("vulnerable", "1 for a processor that is left open to it, 0 for one that is not.", |v| {
            v.status.as_deref().map(is_vulnerable).into()
        }),
        text("status", "What the kernel says of it: `Mitigation: PTI`.", |v| v.status.as_deref().into()),
    ],
    scan,
    examples: &["SELECT name, status FROM cpu_vulnerabilities WHERE vulnerable = 1"],
};

struct Vulnerability {
    name: Vec<u8>,
    status: Option<Vec<u8>>,
}

impl Row for Vulnerability {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.status.as_ref().map_or(0, Vec::len)
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Vulnerability>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let files = match host.list_sorted(DIRECTORY) {
        Ok(files) => files,
        // Another processor or an older kernel: nothing is known.
        Err(error) => {
            note(&run, TABLE.name, "", &error);
            Vec::new()
        }
    };
    Ok(Box::new(files.into_iter().filter_map(move |file| {
        let status = host.read_value(format!("{DIRECTORY}/{}", file.name.display()));
        if status.as_ref().is_err_and(vanished) {
            return None;
        }
        let status = or_note(status, &run, TABLE.name, "status");
        Some(Ok(Vulnerability { name: file.name.into_encoded_bytes(), status }))
    })))
}

fn is_vulnerable(status: &[u8]) -> bool {
    status.starts_with(b"Vulnerable")
}

fn main() -> Result<Infallible, Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: cpu_vulnerabilities SOCKET")?;
    let identity = Identity {
        program: "cpu_vulnerabilities".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        id: format!("cpu_vulnerabilities:{}", path.display()),
        name: "cpu_vulnerabilities".into(),
    };
    let listener = SocketListener::bind(&Bind { path: path.into(), mode: 0o600, group: None })?;
    let service = TableService::new(identity).table(&TABLE, Arc::new(Host::live()));
    let _server = Server::start(Arc::new(listener), Arc::new(service), ServerLimits::default())?;
    loop {
        std::thread::park();
    }
}
