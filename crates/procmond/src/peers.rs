//! Who is served, by the credentials that the kernel tells of the other end of a socket (SO_PEERCRED, unix(7)).
//!
//! Those are the user and the primary group when it connected. Who belongs to an allowed group besides is read
//! from /etc/passwd and /etc/group at the start, so a member that is added later is served after a restart.

use std::collections::BTreeSet;

use collector::Host;
use config::procmond::Config;

use crate::account::{self, AccountError};

/// Users and groups that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl Peers {
    /// Those that the configuration allows, and always root and the user that asks here, which is whom procmond
    /// started as. Names are looked up now, while every file can be read and no client waits.
    pub fn of(config: &Config, host: &Host) -> Result<Peers, AccountError> {
        let mut uids = BTreeSet::from([0, rustix::process::geteuid().as_raw()]);
        let mut gids = BTreeSet::new();
        for name in &config.allowed_users.value {
            uids.insert(account::user(host, name)?);
        }
        for name in &config.allowed_groups.value {
            let gid = account::group(host, name)?;
            uids.extend(account::members(host, gid)?);
            gids.insert(gid);
        }
        Ok(Peers { uids, gids })
    }

    /// Whether a peer with this effective user and group id is served.
    pub fn admit(&self, uid: u32, gid: u32) -> bool {
        self.uids.contains(&uid) || self.gids.contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes its fixture")]

    use super::*;
    use crate::settings;

    #[test]
    fn only_root_oneself_and_those_named_are_served() {
        let me = rustix::process::geteuid().as_raw();
        let host = Host::live();
        let usual = Peers::of(&settings::of(""), &host).unwrap();
        assert!(usual.admit(0, 1) && usual.admit(me, 1) && !usual.admit(4_000_000, 0));
        let config = settings::of("allow: { users: [4000000], groups: [5000000] }");
        let peers = Peers::of(&config, &host).unwrap();
        assert!(peers.admit(4_000_000, 1) && peers.admit(1_234_567, 5_000_000) && !peers.admit(1_234_567, 1));
        let config = settings::of("allow: { users: [no-such-user] }");
        assert!(Peers::of(&config, &host).is_err());
    }

    #[test]
    fn members_of_an_allowed_group_are_served_whatever_their_primary_group() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let passwd = "ann:x:1001:100:::\nbob:x:1002:990:::\ncyd:x:1003:100:::\n";
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.path().join("etc/group"), "see:x:990:ann,nobody-of-that-name\nall:x:100:\n")
            .unwrap();
        let config = settings::of("allow: { groups: [see] }");
        let peers = Peers::of(&config, &Host::at(root.path())).unwrap();
        assert!(peers.admit(1001, 100), "a member by /etc/group");
        assert!(peers.admit(1002, 100), "by the primary group of /etc/passwd, although it took on another");
        assert!(!peers.admit(1003, 100) && peers.admit(1003, 990));
    }
}
