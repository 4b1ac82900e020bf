//! `startup_items`: autostart files of desktops, init scripts, and systemd units that something starts at boot or login.

mod desktop;
mod init;
mod systemd;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use collector::{Host, Masked, Row, Rows, Table, int, repeated, text};
use model::{Extent, Query, Run, ScanError};

use crate::homes::{self, Home};
use systemd::Unit;

pub(crate) static TABLE: Table<Item, Host> = Table {
    name: "startup_items",
    about: "What starts by itself at boot or login: desktop autostart files, init scripts and systemd units.",
    identity: repeated(&["name", "path", "source"]),
    extent: Extent::Whole { rows: 80 },
    columns: &[
        text("name", "Name that a desktop file gives itself; name of the script or unit.", |i| {
            (&i.name).into()
        }),
        text("path", "Program that a desktop file starts; file of the script or unit.", |i| (&i.path).into()),
        text(
            "args",
            "Arguments of that program; `ExecStart` lines of a unit, with `; ` between them; `[masked]` in \
             place of a secret.",
            |i| i.args().map(|args| &args.text).into(),
        ),
        text("type", "`Startup Item` (desktop files and scripts, as in osquery) or `systemd unit`.", |i| {
            i.kind.text().into()
        }),
        text(
            "source",
            "Directory that starts it, with a `/` at its end; of a unit the `.wants`, `.requires` or `.upholds` one.",
            |i| (&i.source).into(),
        ),
        text("status", "`enabled`, `disabled` or (unit) `masked`; whether it runs now is not known.", |i| {
            i.status.into()
        }),
        text("username", "Whose session starts it; `User` of a unit of the system; else NULL.", |i| {
            i.username().into()
        }),
        int("args_masked", "1 if a part of args is masked.", |i| i.args().map(|args| args.masked).into()),
    ],
    scan,
    examples: &[
        "SELECT name, path, username FROM startup_items WHERE status = 'enabled' AND username <> ''",
        "SELECT name, args FROM startup_items WHERE type = 'systemd unit' AND args LIKE '%/tmp/%'",
    ],
};

/// Status texts.
const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";
const MASKED: &str = "masked";

/// One thing that starts by itself. Texts are the machine's bytes.
pub(crate) struct Item {
    name: Vec<u8>,
    path: Vec<u8>,
    source: PathBuf,
    status: &'static str,
    owner: Option<Vec<u8>>,
    kind: ItemKind,
}

enum ItemKind {
    Desktop {
        args: Masked,
    },
    Script,
    /// The unit's file is read when a column needs it.
    Unit {
        host: Host,
        run: Run,
        /// In whose home it was found.
        home: Option<Home>,
        unit: OnceLock<Option<Unit>>,
    },
}

impl ItemKind {
    fn text(&self) -> &'static str {
        match self {
            ItemKind::Desktop { .. } | ItemKind::Script => "Startup Item",
            ItemKind::Unit { .. } => "systemd unit",
        }
    }
}

impl Item {
    fn args(&self) -> Option<&Masked> {
        match &self.kind {
            ItemKind::Desktop { args } => Some(args),
            ItemKind::Script => None,
            ItemKind::Unit { .. } => self.unit()?.exec_start.as_ref(),
        }
    }

    fn username(&self) -> Option<&[u8]> {
        self.owner.as_deref().or_else(|| self.unit()?.user.as_deref())
    }

    fn unit(&self) -> Option<&Unit> {
        let ItemKind::Unit { host, run, home, unit } = &self.kind else { return None };
        unit.get_or_init(|| systemd::read(host, run, home.as_ref(), &self.path)).as_ref()
    }
}

impl Row for Item {
    fn heap_bytes(&self) -> usize {
        let args = if let ItemKind::Desktop { args } = &self.kind { args.text.len() } else { 0 };
        let owner = self.owner.as_ref().map_or(0, Vec::len);
        self.name.len() + self.path.len() + self.source.as_os_str().len() + owner + args
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Item>, ScanError> {
    let run = &query.run;
    let mut items = Vec::new();
    // A directory that is the home of several users is searched once, for the first.
    let mut seen = HashSet::new();
    let mut homes = homes::homes(host, query, TABLE.name);
    homes.retain(|home| seen.insert(home.directory.clone()));
    for home in &homes {
        run.check()?;
        let (directory, owner) = (&home.directory, Some(home));
        items.extend(desktop::autostart(host, run, &directory.join(".config/autostart"), owner));
        items.extend(desktop::scripts(host, run, &directory.join(".config/autostart-scripts"), owner));
        items.extend(systemd::wanted(host, run, &directory.join(".config/systemd/user"), owner));
    }
    items.extend(init::scripts(host, run));
    items.extend(desktop::autostart(host, run, "/etc/xdg/autostart".as_ref(), None));
    for directory in systemd::directories(host) {
        run.check()?;
        items.extend(systemd::wanted(host, run, directory.as_ref(), None));
    }
    Ok(Box::new(items.into_iter().map(Ok)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn rows(machine: &Fixture) -> Vec<String> {
        let columns = ["name", "path", "args", "type", "source", "status", "username"];
        let scan = machine.scan(&TABLE);
        let rows = scan.texts(&columns);
        assert_eq!(scan.notes(), []);
        rows
    }

    #[test]
    fn desktop_files_of_users_and_the_system_are_items() {
        let accounts = "eve:x:7:7::/home/eve:/bin/sh\ntwin:x:8:8::/home/eve:/bin/sh\nno:x:9:9:::\n";
        let desktop = "[Desktop Entry]\nName=Update\nExec=\"/tmp/a b\" --now \"x\"\n";
        let machine = Fixture::new();
        machine
            .file("/etc/passwd", accounts)
            .file("/home/eve/.config/autostart/u.desktop", desktop)
            .file("/home/eve/.config/autostart/readme", "Name=no\n")
            .file("/home/eve/.config/autostart-scripts/s.sh", "")
            .file("/etc/xdg/autostart/off.desktop", "[Desktop Entry]\nHidden=true\nExec=off\n");
        let scripts = "/home/eve/.config/autostart-scripts";
        let expected = [
            "Update|/tmp/a b|--now \"x\"|Startup Item|/home/eve/.config/autostart/|enabled|eve".into(),
            format!("s.sh|{scripts}/s.sh|NULL|Startup Item|{scripts}/|enabled|eve"),
            "off.desktop|off||Startup Item|/etc/xdg/autostart/|disabled|NULL".into(),
        ];
        assert_eq!(rows(&machine), expected);
    }

    #[test]
    fn a_script_is_enabled_by_a_start_link_of_a_runlevel() {
        let machine = Fixture::new();
        machine
            .file("/etc/init.d/cron", "")
            .file("/etc/init.d/old", "")
            .link("/etc/rc2.d/S01cron", "../init.d/cron")
            .link("/etc/rc0.d/K01old", "../init.d/old");
        let expected = [
            "cron|/etc/init.d/cron|NULL|Startup Item|/etc/init.d/|enabled|NULL",
            "old|/etc/init.d/old|NULL|Startup Item|/etc/init.d/|disabled|NULL",
        ];
        assert_eq!(rows(&machine), expected);
    }

    #[test]
    fn units_that_a_target_wants_are_items_with_what_their_file_says() {
        let (wants, vendor) = ("/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system");
        let home = "/home/eve/.config/systemd/user";
        let service = "[Service]\nUser=www\nExecStart=/bin/a -x\nExecStart=/bin/b\n";
        let machine = Fixture::new();
        machine
            .file("/etc/passwd", "eve:x:7:7::/home/eve:/bin/sh\n")
            .file(format!("{vendor}/a.service"), service)
            .link(&format!("{wants}/a.service"), &format!("{vendor}/a.service"))
            .link(&format!("{wants}/gone.service"), "/gone.service")
            .link(&format!("{wants}/m.service"), &format!("{vendor}/m.service"))
            .link("/etc/systemd/system/m.service", "/dev/null")
            .file(format!("{home}/e.service"), "[Service]\nExecStart=/tmp/e\n")
            .link(&format!("{home}/default.target.wants/e.service"), "../e.service");
        let expected = [
            format!(
                "e.service|{home}/e.service|/tmp/e|systemd unit|{home}/default.target.wants/|enabled|eve"
            ),
            format!("a.service|{vendor}/a.service|/bin/a -x; /bin/b|systemd unit|{wants}/|enabled|www"),
            format!("gone.service|/gone.service|NULL|systemd unit|{wants}/|enabled|NULL"),
            format!("m.service|{vendor}/m.service|NULL|systemd unit|{wants}/|masked|NULL"),
        ];
        assert_eq!(rows(&machine), expected);
    }
}
