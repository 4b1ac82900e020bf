//! Users and groups by name, from /etc/passwd and /etc/group alone: name service modules would be loaded into
//! a process that is still root, and keep sockets open.

use collector::Host;

/// A user of whom only the numbers count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name it was found by, or its number.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// Why a name leads to no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unread(&'static str, #[source] std::io::Error),
    /// The file does not have it.
    #[error("there is no {kind} {name:?} in {file}; {help}")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Where it was looked for.
        file: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// It is root, which is what is to be given up.
    #[error("the user {0:?} is root; name one with no rights of its own, such as daemoneye")]
    Root(String),
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Users to run as when none is named, the first that there is.
const USUAL: [&str; 2] = ["daemoneye", "nobody"];

impl Account {
    /// The user of a name or a number. Never root.
    pub fn find(host: &Host, name: &str) -> Result<Account, AccountError> {
        let passwd = read(host, PASSWD)?;
        let found = entries(&passwd).find_map(|fields| account(&fields, name));
        let account = match (found, name.parse()) {
            (Some(account), _) => account,
            // A user that only a service manager knows has a group of the same number.
            (None, Ok(uid)) => Account { name: name.to_owned(), uid, gid: uid },
            (None, Err(_)) => {
                let help = "create it with `useradd --system`, or name another with --user";
                return Err(AccountError::Unknown {
                    kind: "user",
                    name: name.to_owned(),
                    file: PASSWD,
                    help,
                });
            }
        };
        if account.uid == 0 || account.gid == 0 {
            return Err(AccountError::Root(account.name));
        }
        Ok(account)
    }

    /// The user to run as when none is named: `daemoneye` if there is one, else `nobody`.
    pub fn usual(host: &Host) -> Result<Account, AccountError> {
        let passwd = read(host, PASSWD)?;
        let there = |name: &&str| entries(&passwd).any(|fields| account(&fields, name).is_some());
        Account::find(host, USUAL.into_iter().find(there).unwrap_or(USUAL[0]))
    }
}

/// The number of a group, given its name or number.
pub(crate) fn group(host: &Host, name: &str) -> Result<u32, AccountError> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let groups = read(host, GROUP)?;
    let found = entries(&groups).find(|fields| fields.first() == Some(&name));
    found.and_then(|fields| fields.get(2)?.parse().ok()).ok_or_else(|| AccountError::Unknown {
        kind: "group",
        name: name.to_owned(),
        file: GROUP,
        help: "create it with `groupadd --system`, or give its number",
    })
}

/// The number of a user, given its name or number.
pub(crate) fn user(host: &Host, name: &str) -> Result<u32, AccountError> {
    match name {
        "root" => Ok(0),
        _ => name.parse().or_else(|_| Account::find(host, name).map(|account| account.uid)),
    }
}

/// The users of a group: those that /etc/group lists, and those whose primary group it is.
pub(crate) fn members(host: &Host, gid: u32) -> Result<Vec<u32>, AccountError> {
    let (passwd, groups) = (read(host, PASSWD)?, read(host, GROUP)?);
    let number = gid.to_string();
    let listed: Vec<&str> = entries(&groups)
        .filter(|fields| fields.get(2) == Some(&&*number))
        .filter_map(|fields| fields.get(3).copied())
        .flat_map(|members| members.split(','))
        .collect();
    let member = |fields: Vec<&str>| match fields[..] {
        [name, _, uid, primary, ..] if listed.contains(&name) || primary == number => uid.parse().ok(),
        _ => None,
    };
    Ok(entries(&passwd).filter_map(member).collect())
}

fn read(host: &Host, file: &'static str) -> Result<String, AccountError> {
    host.read_text(file).map_err(|error| AccountError::Unread(file, error))
}

fn entries(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

fn account(fields: &[&str], wanted: &str) -> Option<Account> {
    let [name, _, uid, gid, ..] = fields else { return None };
    let found = *name == wanted || *uid == wanted;
    found.then_some(())?;
    Some(Account { name: (*name).to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes its fixture")]

    use super::*;

    fn machine(passwd: &str) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.path().join("etc/group"), "root:x:0:\nsee:x:990:nobody\n").unwrap();
        let host = Host::at(root.path());
        (root, host)
    }

    const NOBODY: &str = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/sbin/nologin\n";

    #[test]
    fn the_service_user_is_preferred_to_nobody() {
        let (_root, host) = machine(NOBODY);
        let nobody = Account { name: "nobody".into(), uid: 65534, gid: 65533 };
        assert_eq!(Account::usual(&host).unwrap(), nobody);
        assert_eq!(Account::find(&host, "65534").unwrap(), nobody);
        let (_root, host) = machine(&format!("{NOBODY}daemoneye:x:991:990::/:/sbin/nologin\n"));
        assert_eq!(Account::usual(&host).unwrap().uid, 991);
    }

    #[test]
    fn root_is_never_an_account_to_run_as() {
        let (_root, host) = machine(&format!("{NOBODY}toor:x:0:7:::\nwheel:x:7:0:::\n"));
        for name in ["root", "toor", "0", "wheel"] {
            assert!(matches!(Account::find(&host, name), Err(AccountError::Root(_))), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_says_what_to_do() {
        let (_root, host) = machine("");
        let error = Account::usual(&host).unwrap_err().to_string();
        assert!(error.contains("\"daemoneye\"") && error.contains("--user"), "{error}");
        assert_eq!((group(&host, "see").unwrap(), group(&host, "17").unwrap()), (990, 17));
        assert!(group(&host, "unseen").is_err());
        assert_eq!((user(&host, "root").unwrap(), user(&host, "12").unwrap()), (0, 12));
    }
}
