//! `shadow`: from `/etc/shadow` (shadow(5)). The password field itself never leaves this file's parser.

use collector::{Host, Row, Rows, Table, int, key, repeated, text};
use model::{Extent, Query, ScanError};

use crate::{bytes, passwd, text_file};

pub(crate) static TABLE: Table<Shadow, Host> = Table {
    name: "shadow",
    about: "State and age of the passwords of local accounts, never the passwords; needs root.",
    identity: repeated(&["username"]),
    extent: Extent::Whole { rows: 40 },
    columns: &[
        text("password_status", "`active`, `locked`, `not_set` (`!!`) or `empty`.", |s| s.status.into()),
        text(
            "hash_alg",
            "ID of the hash (crypt(5)): `y`, `6`, `2b` …; NULL for a locked or older one.",
            |s| s.hash_alg.as_ref().into(),
        ),
        int("last_change", "Day of the last change, in days since 1970; -1 for none.", |s| s.days[0].into()),
        int("min", "Days that a password must stay; -1 for no such rule.", |s| s.days[1].into()),
        int("max", "Days until a password must change; -1 for no such rule.", |s| s.days[2].into()),
        int("warning", "Days of warning before that; -1 for none.", |s| s.days[3].into()),
        int("inactive", "Days after that until the account closes; -1 for never.", |s| s.days[4].into()),
        int("expire", "Day on which the account ends, in days since 1970; -1 for never.", |s| {
            s.days[5].into()
        }),
        int("flag", "Reserved; -1 when it is not set.", |s| s.days[6].into()),
        key(text("username", "Name of the account.", |s| (&s.name).into())),
    ],
    scan,
    examples: &[
        "SELECT username FROM shadow WHERE password_status = 'empty'",
        "SELECT username, hash_alg FROM shadow WHERE password_status = 'active' AND hash_alg IN ('1', '5')",
    ],
};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    name: Vec<u8>,
    status: &'static str,
    hash_alg: Option<Vec<u8>>,
    /// The seven numbers in the order of the file; -1 for an empty field, `None` for garbage.
    days: [Option<i64>; 7],
}

impl Row for Shadow {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.hash_alg.as_ref().map_or(0, Vec::len)
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Shadow>, ScanError> {
    let mut rows = parse(&text_file::read_or_note(host, &query.run, TABLE.name, "/etc/shadow"));
    if let Some(names) = query.texts("username") {
        rows.retain(|s| names.contains(&s.name.as_slice()));
    }
    Ok(Box::new(rows.into_iter().map(Ok)))
}

fn parse(content: &[u8]) -> Vec<Shadow> {
    let shadow = |line: &[u8]| {
        let mut fields = passwd::fields(line)?;
        let (name, password) = (fields.next()?.to_vec(), fields.next()?);
        if name.is_empty() {
            return None;
        }
        let days = std::array::from_fn(|_| number(fields.next().unwrap_or_default()));
        Some(Shadow { name, status: status(password), hash_alg: hash_alg(password), days })
    };
    bytes::lines(content).filter_map(shadow).collect()
}

fn status(password: &[u8]) -> &'static str {
    match password {
        b"" => "empty",
        b"!!" => "not_set",
        // A DES hash may begin with an `x`, and works.
        b"x" | [b'!' | b'*', ..] => "locked",
        _ => "active",
    }
}

fn hash_alg(password: &[u8]) -> Option<Vec<u8>> {
    let mut parts = password.strip_prefix(b"$")?.split(|b| *b == b'$');
    let id = parts.next()?;
    let named = !id.is_empty() && id.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    (named && parts.next().is_some()).then(|| id.to_vec())
}

fn number(field: &[u8]) -> Option<i64> {
    match field.trim_ascii() {
        b"" => Some(-1),
        digits => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_by_its_state_alone() {
        let told = |password: &str| (status(password.as_bytes()), hash_alg(password.as_bytes()));
        let alg = |id: &str| Some(id.as_bytes().to_vec());
        assert_eq!(told("$y$j9T$salt$hash"), ("active", alg("y")));
        assert_eq!(told("$2b$12$salthash"), ("active", alg("2b")));
        assert_eq!(told("xyMmkbXS3rKfw"), ("active", None));
        assert_eq!(told("!$6$salt$hash"), ("locked", None));
        assert_eq!(told("*"), ("locked", None));
        assert_eq!(told("x"), ("locked", None));
        assert_eq!(told("!!"), ("not_set", None));
        assert_eq!(told(""), ("empty", None));
        assert_eq!(told("$onlyhash"), ("active", None));
        assert_eq!(told("$$secret"), ("active", None));
    }

    #[test]
    fn an_empty_number_is_minus_one_and_garbage_is_unknown() {
        let rows = parse(b"root:$6$a$b:19000:0:99999:7:::\r\neve::x:1\nn\xff:*:\xff:::::::\n");
        assert_eq!(rows[0].days, [19000, 0, 99999, 7, -1, -1, -1].map(Some));
        assert_eq!(rows[1].status, "empty");
        assert_eq!(rows[1].days, [None, Some(1), Some(-1), Some(-1), Some(-1), Some(-1), Some(-1)]);
        assert_eq!((rows[2].name.as_slice(), rows[2].days[0]), (&b"n\xff"[..], None));
    }

    #[test]
    fn garbage_is_no_account() {
        assert_eq!(parse(b"\n#root::1\nroot\n::::::::\n\xff\xfe\n"), []);
    }

    #[test]
    fn no_row_holds_a_hash_or_salt() {
        let rows = parse(b"root:$6$SALT$SECRET:1:::::SECRET:\nlocked:!SECRET:1::::::\nplain:SECRET\n");
        assert!(!format!("{rows:?}").contains("83, 69, 67"), "the bytes of SEC");
        assert_eq!(rows.len(), 3);
    }
}
