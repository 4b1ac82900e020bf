//! Who may ask, and who may change: by the user and group that the kernel names for the other end of a socket.

use std::collections::BTreeSet;

use ipc::Peer;
use model::Value;
use vtables::{Engine, Options};

/// May read.
const READERS: &str = "daemoneye";
/// May read and change.
const ADMINS: &str = "daemoneye-admin";

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and change.
    Change,
}

/// Users and groups with rights. Root and the agent's own user have all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    own: u32,
    readers: Members,
    admins: Members,
}

#[derive(Clone, Debug, Default)]
struct Members {
    gid: Option<u32>,
    uids: BTreeSet<u32>,
}

impl Rights {
    /// Those of this machine, as its tables of users and groups tell.
    pub(crate) fn of_machine(engine: &mut Engine) -> Rights {
        Rights {
            own: rustix::process::geteuid().as_raw(),
            readers: Members::of(READERS, engine),
            admins: Members::of(ADMINS, engine),
        }
    }

    /// Whether there is anybody besides root and the agent's own user.
    pub(crate) fn has_groups(&self) -> bool {
        self.readers.gid.is_some() || self.admins.gid.is_some()
    }

    /// What a peer may do. A peer that the system tells nothing of may do nothing.
    pub(crate) fn of(&self, peer: &Peer) -> Right {
        match peer.uid {
            Some(uid) if uid == 0 || uid == self.own || self.admins.has(peer) => Right::Change,
            Some(_) if self.readers.has(peer) => Right::Read,
            _ => Right::None,
        }
    }
}

impl Members {
    fn of(group: &str, engine: &mut Engine) -> Members {
        let options =
            Options { params: vec![("name".into(), group.to_owned().into())], ..Options::default() };
        let gid = engine.query("SELECT gid FROM groups WHERE groupname = :name", &options);
        let number = |value: &Value<'_>| value.as_int().and_then(|n| u32::try_from(n).ok());
        let gid = gid.ok().and_then(|answer| number(answer.rows.first()?.first()?));
        let Some(gid) = gid else { return Members::default() };
        let options = Options { params: vec![("gid".into(), gid.into())], ..Options::default() };
        let members = engine.query("SELECT uid FROM user_groups WHERE gid = :gid", &options);
        let uids = members.map(|answer| answer.rows).unwrap_or_default();
        Members { gid: Some(gid), uids: uids.iter().filter_map(|row| number(row.first()?)).collect() }
    }

    fn has(&self, peer: &Peer) -> bool {
        let by_group = self.gid.is_some() && peer.gid == self.gid;
        by_group || peer.uid.is_some_and(|uid| self.uids.contains(&uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_follow_what_the_kernel_says() {
        let readers = Members { gid: Some(50), uids: BTreeSet::from([1001]) };
        let admins = Members { gid: Some(60), uids: BTreeSet::from([1002]) };
        let rights = Rights { own: 1000, readers, admins };
        let of = |uid, gid| rights.of(&Peer { uid: Some(uid), gid: Some(gid), pid: None });
        assert_eq!(
            (of(0, 5), of(1000, 5), of(1002, 5), of(7, 60)),
            (Right::Change, Right::Change, Right::Change, Right::Change)
        );
        assert_eq!((of(1001, 5), of(7, 50)), (Right::Read, Right::Read));
        assert_eq!(of(7, 7), Right::None);
        assert_eq!(rights.of(&Peer { uid: None, gid: Some(60), pid: None }), Right::None);
    }
}
