//! Programs that take a secret in an option whose name does not say so.

use std::sync::LazyLock;

use super::names::Secrecy;

/// Which part of a value is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, if a name of this secrecy hides it.
    Whole(Secrecy),
    /// What follows the first of this byte: `user:password`.
    After(u8),
    /// What follows the first of this byte, and all of it when there is none.
    AfterOrWhole(u8),
    /// All of it when it holds an equals sign; else it is the name of a file.
    Pairs,
    /// All of it, which is a header's: a scheme may come first.
    Header,
    /// All of it when it has at least so many bytes.
    FromLength(usize),
}

/// Options of some programs.
struct Rule {
    /// Their names; one that ends in `*` stands for all that begin so.
    programs: &'static [&'static str],
    /// A word that has to come after the program.
    subcommand: Option<&'static str>,
    /// Options whose value is the next word.
    next: &'static [&'static str],
    /// Options whose value follows in the same word.
    glued: &'static [&'static str],
    part: Part,
    /// Only the first such option: another program's options follow.
    once: bool,
}

const WHOLE: Part = Part::Whole(Secrecy::Secret);

const fn rule(programs: &'static [&'static str]) -> Rule {
    Rule { programs, subcommand: None, next: &[], glued: &[], part: WHOLE, once: false }
}

/// From the manual page of each program.
static RULES: [Rule; 22] = [
    Rule { glued: &["-p"], ..rule(&["mysql*", "mariadb*"]) },
    Rule { next: &["-p"], glued: &["-p"], once: true, ..rule(&["sshpass"]) },
    Rule {
        next: &["-u", "-U", "--user", "--proxy-user", "-E", "--cert", "--proxy-cert"],
        glued: &["-u", "-U", "-E", "--user=", "--proxy-user=", "--cert=", "--proxy-cert="],
        part: Part::After(b':'),
        ..rule(&["curl"])
    },
    Rule { next: &["-b", "--cookie"], glued: &["-b", "--cookie="], part: Part::Pairs, ..rule(&["curl"]) },
    Rule {
        next: &["-a", "--auth"],
        glued: &["-a", "--auth="],
        part: Part::AfterOrWhole(b':'),
        ..rule(&["http", "https", "xh", "xhs"])
    },
    Rule { next: &["-a"], glued: &["-a"], ..rule(&["redis-cli", "redis-benchmark", "valkey-cli"]) },
    Rule { next: &["-p"], glued: &["-p"], ..rule(&["mongo*", "rdesktop", "ncftp*"]) },
    Rule {
        next: &["-P"],
        glued: &["-P"],
        ..rule(&["sqlcmd", "bcp", "osql", "isql", "tsql", "sqsh", "zip", "unzip", "ipmitool", "mosquitto_*"])
    },
    Rule { next: &["-w", "-a", "-s"], glued: &["-w"], ..rule(&["ldappasswd"]) },
    Rule {
        next: &["-w"],
        glued: &["-w"],
        ..rule(&["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami", "ldapcompare"])
    },
    Rule {
        next: &["-U", "--user"],
        glued: &["-U", "--user="],
        part: Part::After(b'%'),
        ..rule(&["smbclient", "rpcclient", "smbget", "smbcacls", "net", "winexe", "wmic"])
    },
    Rule { next: &["-p"], ..rule(&["smbmap", "crackmapexec", "nxc", "netexec", "evil-winrm"]) },
    Rule { glued: &["/p:", "/gp:", "/pth:"], ..rule(&["xfreerdp*", "wlfreerdp*", "sdl-freerdp*"]) },
    Rule { glued: &["-p", "-hp"], ..rule(&["7z", "7za", "7zr", "7zz", "rar", "unrar"]) },
    Rule { next: &["-k", "-K"], ..rule(&["openssl"]) },
    Rule {
        subcommand: Some("login"),
        next: &["-p"],
        glued: &["-p"],
        ..rule(&["docker", "podman", "buildah", "skopeo", "nerdctl", "helm", "oras", "crane", "az"])
    },
    Rule { next: &["-u"], glued: &["-u"], part: Part::After(b','), ..rule(&["lftp"]) },
    Rule { next: &["-p"], ..rule(&["useradd", "usermod", "adduser"]) },
    Rule { next: &["-A", "-X", "-c"], ..rule(&["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk"]) },
    Rule { next: &["-N", "-P"], ..rule(&["ssh-keygen"]) },
    Rule { next: &["password", "wifi-sec.psk", "802-11-wireless-security.psk"], ..rule(&["nmcli"]) },
    Rule {
        subcommand: Some("configure"),
        next: &["aws_secret_access_key", "aws_session_token"],
        ..rule(&["aws"])
    },
];

/// A program that rules name.
struct Named {
    /// What its name is, or how it begins.
    text: &'static [u8],
    begins: bool,
    /// The rule.
    bit: u32,
}

/// By the first byte of a name, the programs that it may be. Nearly every word of every command line is looked up.
static BY_FIRST: LazyLock<[Vec<Named>; 256]> = LazyLock::new(|| {
    let mut by_first = [const { Vec::new() }; 256];
    for (n, rule) in RULES.iter().enumerate() {
        for program in rule.programs {
            let text = program.strip_suffix('*').unwrap_or(program).as_bytes();
            by_first[usize::from(text[0])].push(Named { text, begins: program.ends_with('*'), bit: 1 << n });
        }
    }
    by_first
});

/// The rules of a set of bits.
fn rules(mut bits: u32) -> impl Iterator<Item = (u32, &'static Rule)> {
    std::iter::from_fn(move || {
        let n = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        let rule = RULES.get(n as usize)?;
        Some((1 << n, rule))
    })
}

/// The programs that a command has named so far, as those of [`RULES`] that hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Programs {
    named: u32,
    holding: u32,
}

/// What a word says about a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    Nothing,
    /// The next word is one.
    Next(Part),
    /// It follows in this word, from this byte on.
    From(usize, Part),
}

impl Programs {
    /// Takes a word that may name a program. A program may stand anywhere in a command: `sudo -u x mysql`.
    pub(super) fn meet(&mut self, word: &[u8]) {
        let start = word.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        let name = &word[start..];
        let Some(first) = name.first() else { return };
        for (bit, rule) in rules(self.named) {
            if rule.subcommand.is_some_and(|subcommand| word == subcommand.as_bytes()) {
                self.holding |= bit;
            }
        }
        for program in &BY_FIRST[usize::from(*first)] {
            if name.starts_with(program.text) && (program.begins || name.len() == program.text.len()) {
                match RULES[program.bit.trailing_zeros() as usize].subcommand {
                    None => self.holding |= program.bit,
                    Some(_) => self.named |= program.bit,
                }
            }
        }
    }

    /// What an option, or another word, says under these programs.
    pub(super) fn says(&mut self, word: &[u8]) -> Says {
        for (bit, rule) in rules(self.holding) {
            let says = if rule.next.iter().any(|option| option.as_bytes() == word) {
                Says::Next(rule.part)
            } else {
                match rule.glued.iter().find(|option| word.starts_with(option.as_bytes())) {
                    Some(option) if option.len() < word.len() => Says::From(option.len(), rule.part),
                    _ => continue,
                }
            };
            if rule.once {
                self.holding &= !bit;
            }
            return says;
        }
        Says::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(words: &[&str]) -> Says {
        let mut programs = Programs::default();
        let (last, before) = words.split_last().unwrap();
        for word in before {
            programs.meet(word.as_bytes());
        }
        programs.says(last.as_bytes())
    }

    #[test]
    fn a_rule_holds_for_its_program_alone() {
        assert_eq!(says(&["sudo", "-u", "x", "/usr/bin/mysqldump", "-pX"]), Says::From(2, WHOLE));
        assert_eq!(says(&["ssh", "-p"]), Says::Nothing);
        assert_eq!(says(&["docker", "run", "-p"]), Says::Nothing);
        assert_eq!(says(&["docker", "login", "-p"]), Says::Next(WHOLE));
        assert_eq!(says(&["curl", "-u"]), Says::Next(Part::After(b':')));
        assert_eq!(says(&["curl", "--url"]), Says::Nothing);
    }

    #[test]
    fn sshpass_takes_one_password_and_leaves_the_rest_to_its_program() {
        let mut programs = Programs::default();
        programs.meet(b"sshpass");
        assert_eq!(programs.says(b"-p"), Says::Next(WHOLE));
        assert_eq!(programs.says(b"-p"), Says::Nothing);
    }
}
