//! `/etc/passwd` as passwd(5) says, read as leniently as the C library does.

use collector::Host;
use model::Run;

use crate::{bytes, text_file};

/// One account. Texts are the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: Vec<u8>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) gecos: Vec<u8>,
    pub(crate) home: Vec<u8>,
    pub(crate) shell: Vec<u8>,
}

/// The accounts of a machine, in the order of the file. A file that cannot be read is noted for the table.
pub(crate) fn accounts(host: &Host, run: &Run, table: &'static str) -> Vec<Account> {
    parse(&text_file::read_or_note(host, run, table, "/etc/passwd"))
}

/// The accounts of a passwd file. A line without a number where the uid and gid belong is no account.
///
/// Fields that are missing at the end are empty, as for getpwent(3): `toor:x:0:0` is a working root account.
pub(crate) fn parse(content: &[u8]) -> Vec<Account> {
    let account = |line: &[u8]| {
        let mut fields = fields(line)?;
        let name = fields.next()?.to_vec();
        let _password = fields.next()?;
        let (uid, gid) = (id(fields.next()?)?, id(fields.next()?)?);
        let mut text = || fields.next().unwrap_or_default().to_vec();
        Some(Account { name, uid, gid, gecos: text(), home: text(), shell: text() })
    };
    bytes::lines(content).filter_map(account).collect()
}

/// The fields of a line of `/etc/passwd`, `/etc/group` or `/etc/shadow`; `None` for a blank line and a comment.
pub(crate) fn fields(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let line = line.trim_ascii_start();
    let content = line.strip_suffix(b"\r").unwrap_or(line);
    (!content.is_empty() && content[0] != b'#').then(|| content.split(|b| *b == b':'))
}

/// A uid or gid. One past 32 bits becomes the largest, as in glibc.
pub(crate) fn id(field: &[u8]) -> Option<u32> {
    let digits = field.trim_ascii();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let push = |n: u32, digit: &u8| n.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
    Some(digits.iter().fold(0, push))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_seven_fields() {
        let accounts = parse(b"daemon:x:1:2:The Daemon,,,:/usr/sbin:/usr/sbin/nologin\n");
        let daemon = Account {
            name: b"daemon".into(),
            uid: 1,
            gid: 2,
            gecos: b"The Daemon,,,".into(),
            home: b"/usr/sbin".into(),
            shell: b"/usr/sbin/nologin".into(),
        };
        assert_eq!(accounts, [daemon]);
    }

    #[test]
    fn a_line_that_logs_in_is_an_account_however_odd() {
        let accounts = parse(b"toor:x:0:0\n  indented::+0:0::/:/bin/sh:extra\nb\xffd:x:7:7:::\xfe\n");
        assert_eq!(accounts.len(), 3);
        assert_eq!((accounts[0].uid, accounts[0].shell.as_slice()), (0, &b""[..]));
        assert_eq!(
            (accounts[1].name.as_slice(), accounts[1].shell.as_slice()),
            (&b"indented"[..], &b"/bin/sh"[..])
        );
        assert_eq!(
            (accounts[2].name.as_slice(), accounts[2].shell.as_slice()),
            (&b"b\xffd"[..], &b"\xfe"[..])
        );
    }

    #[test]
    fn garbage_is_no_account() {
        let garbage =
            b"\n# root:x:0:0::/:/bin/sh\nname\nname:x\nname:x:one:1\nname:x:1:\n+::::::\n\xff\xfe\0\n:::\n";
        assert_eq!(parse(garbage), []);
    }

    #[test]
    fn a_carriage_return_ends_a_line_as_a_newline_does() {
        assert_eq!(parse(b"a:x:1:1::/:/bin/sh\r\n\r\n")[0].shell, b"/bin/sh");
    }

    #[test]
    fn ids_past_32_bits_become_the_largest() {
        assert_eq!((id(b"4294967295"), id(b"99999999999")), (Some(u32::MAX), Some(u32::MAX)));
        assert_eq!((id(b"-1"), id(b""), id(b"0x1")), (None, None, None));
    }
}
