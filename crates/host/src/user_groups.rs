//! `user_groups`: from `/etc/passwd` and `/etc/group`, as getgrouplist(3) joins them.

use std::collections::{HashMap, HashSet};

use collector::{Host, Row, Rows, Table, int, key, unique};
use model::{Extent, Query, ScanError};

use crate::groups::{Group, groups};
use crate::passwd::{Account, accounts};

pub(crate) static TABLE: Table<Membership, Host> = Table {
    name: "user_groups",
    about: "Which user is in which group, by primary group or by name; accounts that share a uid count as one.",
    identity: unique(&["uid", "gid"]),
    extent: Extent::Whole { rows: 60 },
    columns: &[key(int("uid", "User ID.", |m| m.uid.into())), key(int("gid", "Group ID.", |m| m.gid.into()))],
    scan,
    examples: &[
        "SELECT u.username FROM user_groups ug JOIN users u USING (uid) JOIN groups g ON g.gid = ug.gid \
         WHERE g.groupname = 'sudo'",
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Membership {
    uid: u32,
    gid: u32,
}

impl Row for Membership {}

fn scan(host: &Host, query: &Query) -> Result<Rows<Membership>, ScanError> {
    let (accounts, groups) = (accounts(host, &query.run, TABLE.name), groups(host, &query.run, TABLE.name));
    let mut rows = memberships(&accounts, &groups);
    if let Some(uids) = query.ints("uid") {
        rows.retain(|m| uids.contains(&i64::from(m.uid)));
    }
    if let Some(gids) = query.ints("gid") {
        rows.retain(|m| gids.contains(&i64::from(m.gid)));
    }
    Ok(Box::new(rows.into_iter().map(Ok)))
}

fn memberships(accounts: &[Account], groups: &[Group]) -> Vec<Membership> {
    let mut by_member: HashMap<&[u8], Vec<u32>> = HashMap::new();
    for group in groups {
        for member in &group.members {
            by_member.entry(member).or_default().push(group.gid);
        }
    }
    let mut seen = HashSet::new();
    let gids = |a: &Account| {
        let supplementary = by_member.get(a.name.as_slice()).into_iter().flatten().copied();
        std::iter::once(a.gid).chain(supplementary).collect::<Vec<u32>>()
    };
    let all = accounts.iter().flat_map(|a| gids(a).into_iter().map(|gid| Membership { uid: a.uid, gid }));
    all.filter(|m| seen.insert(*m)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_listed_once_and_the_primary_group_first() {
        let account = |name: &[u8], uid, gid| Account {
            name: name.into(),
            uid,
            gid,
            gecos: vec![],
            home: vec![],
            shell: vec![],
        };
        let group = |gid, member: &[u8]| Group { name: vec![], gid, members: vec![member.into()] };
        let accounts = [account(b"root", 0, 0), account(b"eve", 7, 100), account(b"toor", 0, 100)];
        let groups = [group(27, b"eve"), group(100, b"eve"), group(27, b"nobody"), group(5, b"toor")];
        let pairs: Vec<_> = memberships(&accounts, &groups).iter().map(|m| (m.uid, m.gid)).collect();
        assert_eq!(pairs, [(0, 0), (7, 100), (7, 27), (0, 100), (0, 5)]);
    }
}
