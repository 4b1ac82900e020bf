//! `groups`: from `/etc/group` (group(5)).

use collector::{
    Host, Row, Rows, Table, elsewhere_int, elsewhere_text, int, key, pid_with_namespace, repeated, text,
};
use model::{Extent, Query, Run, ScanError};

use crate::{bytes, passwd, text_file};

pub(crate) static TABLE: Table<Group, Host> = Table {
    name: "groups",
    about: "Groups of this machine.",
    identity: repeated(&["gid", "groupname"]),
    extent: Extent::Whole { rows: 60 },
    columns: &[
        key(int("gid", "Group ID.", |g| g.gid.into())),
        int("gid_signed", "Group ID as a signed number of 32 bits.", |g| g.gid.cast_signed().into()),
        key(text("groupname", "Name of the group.", |g| (&g.name).into())),
        elsewhere_text("group_sid"),
        elsewhere_text("comment"),
        elsewhere_int("is_hidden"),
        pid_with_namespace(),
    ],
    scan,
    examples: &["SELECT gid, groupname FROM groups WHERE groupname IN ('sudo', 'wheel', 'docker')"],
};

/// One line of the group file. Texts are the file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: Vec<u8>,
    pub(crate) gid: u32,
    /// Names of the accounts in it besides those whose primary group it is.
    pub(crate) members: Vec<Vec<u8>>,
}

impl Row for Group {
    fn heap_bytes(&self) -> usize {
        self.name.len() + self.members.iter().map(|m| size_of::<Vec<u8>>() + m.len()).sum::<usize>()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Group>, ScanError> {
    let mut rows = groups(host, &query.run, TABLE.name);
    if let Some(gids) = query.ints("gid") {
        rows.retain(|g| gids.contains(&i64::from(g.gid)));
    }
    if let Some(names) = query.texts("groupname") {
        rows.retain(|g| names.contains(&g.name.as_slice()));
    }
    Ok(Box::new(rows.into_iter().map(Ok)))
}

/// The groups of a machine, in the order of the file. A file that cannot be read is noted for the table.
pub(crate) fn groups(host: &Host, run: &Run, table: &'static str) -> Vec<Group> {
    parse(&text_file::read_or_note(host, run, table, "/etc/group"))
}

fn parse(content: &[u8]) -> Vec<Group> {
    let group = |line: &[u8]| {
        let mut fields = passwd::fields(line)?;
        let name = fields.next()?.to_vec();
        let _password = fields.next()?;
        let gid = passwd::id(fields.next()?)?;
        let members = fields.next().unwrap_or_default().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        Some(Group { name, gid, members: members.filter(|m| !m.is_empty()).map(<[u8]>::to_vec).collect() })
    };
    bytes::lines(content).filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &[u8], gid: u32, members: &[&[u8]]) -> Group {
        Group { name: name.into(), gid, members: members.iter().map(|m| m.to_vec()).collect() }
    }

    #[test]
    fn members_are_split_at_commas() {
        let groups = parse(b"root:x:0:\nsudo:x:27:alice, bob,\nbare:x:9\r\nn\xff:*:4294967295:\xfe\r\n");
        let expected = [
            group(b"root", 0, &[]),
            group(b"sudo", 27, &[b"alice", b"bob"]),
            group(b"bare", 9, &[]),
            group(b"n\xff", u32::MAX, &[b"\xfe"]),
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn garbage_is_no_group() {
        assert_eq!(parse(b"\n#sudo:x:27:eve\nsudo\nsudo:x\nsudo:x:x:eve\n\xff:\xff:\xff\n+:::\n"), []);
    }
}
