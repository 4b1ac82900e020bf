//! `users`: from `/etc/passwd` (passwd(5)).

use collector::{
    Host, Row, Rows, Table, elsewhere_int, elsewhere_text, hidden, int, key, pid_with_namespace, repeated,
    text,
};
use model::{Extent, Query, ScanError, Value};

use crate::passwd::{Account, accounts};

pub(crate) static TABLE: Table<Account, Host> = Table {
    name: "users",
    about: "Accounts of this machine, with every line of /etc/passwd for a uid that several share.",
    identity: repeated(&["uid", "username"]),
    extent: Extent::Whole { rows: 40 },
    columns: &[
        key(int("uid", "User ID.", |a| a.uid.into())),
        int("gid", "ID of the primary group.", |a| a.gid.into()),
        int("uid_signed", "User ID as a signed number of 32 bits.", |a| a.uid.cast_signed().into()),
        int("gid_signed", "ID of the primary group as a signed number of 32 bits.", |a| {
            a.gid.cast_signed().into()
        }),
        key(text("username", "Name to log in with.", |a| (&a.name).into())),
        text("description", "Full name and the like (GECOS).", |a| (&a.gecos).into()),
        text("directory", "Home directory.", |a| (&a.home).into()),
        text("shell", "Program that a login starts; '' means /bin/sh.", |a| (&a.shell).into()),
        text("uuid", "Filled on macOS and Windows; NULL here.", |_| Value::Null),
        elsewhere_text("type"),
        elsewhere_int("is_hidden"),
        pid_with_namespace(),
        hidden(int("include_remote", "0: accounts of a directory service are not listed.", |_| 0.into())),
    ],
    scan,
    examples: &[
        "SELECT username, shell FROM users WHERE uid = 0",
        "SELECT uid, count(*) FROM users GROUP BY uid HAVING count(*) > 1",
    ],
};

impl Row for Account {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.gecos.len() + self.home.len() + self.shell.len()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Account>, ScanError> {
    let mut rows = accounts(host, &query.run, TABLE.name);
    if let Some(uids) = query.ints("uid") {
        rows.retain(|a| uids.contains(&i64::from(a.uid)));
    }
    if let Some(names) = query.texts("username") {
        rows.retain(|a| names.contains(&a.name.as_slice()));
    }
    Ok(Box::new(rows.into_iter().map(Ok)))
}
