//! Who is served, by the credentials that the kernel tells of the other end of a socket (SO_PEERCRED, unix(7)).

use collector::Host;

use crate::account::{self, AccountError};
use crate::config::Config;

/// Users and groups that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    uids: Vec<u32>,
    gids: Vec<u32>,
}

impl Peers {
    /// Those that the configuration allows, and always root and the user that asks here, which is whom procmond
    /// started as. Names are looked up now, while every file can be read and no client waits.
    pub fn of(config: &Config, host: &Host) -> Result<Peers, AccountError> {
        let mut uids = vec![0, rustix::process::geteuid().as_raw()];
        for name in &config.allowed_users {
            uids.push(account::user(host, name)?);
        }
        let gids: Result<_, _> =
            config.allowed_groups.iter().map(|name| account::group(host, name)).collect();
        Ok(Peers { uids, gids: gids? })
    }

    /// Whether a peer with this effective user and group id is served.
    pub fn admit(&self, uid: u32, gid: u32) -> bool {
        self.uids.contains(&uid) || self.gids.contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_oneself_and_those_named_are_served() {
        let me = rustix::process::geteuid().as_raw();
        let host = Host::live();
        let usual = Peers::of(&Config::default(), &host).unwrap();
        assert!(usual.admit(0, 1) && usual.admit(me, 1) && !usual.admit(4_000_000, 0));
        let config = Config {
            allowed_users: vec!["4000000".into()],
            allowed_groups: vec!["5000000".into()],
            ..Config::default()
        };
        let peers = Peers::of(&config, &host).unwrap();
        assert!(peers.admit(4_000_000, 1) && peers.admit(1_234_567, 5_000_000) && !peers.admit(1_234_567, 1));
        let config = Config { allowed_users: vec!["no-such-user".into()], ..Config::default() };
        assert!(Peers::of(&config, &host).is_err());
    }
}
