//! What the name of an option, a variable or a field says about its value.

/// Longest name that is looked at, in bytes; of a longer one its end.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// How secret a value is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Not secret.
    Open,
    /// Secret, unless it is a word like `none` or a lone digit: `pass`, `auth`.
    Likely,
    /// Secret, unless it is a path, a number or a word like `none`: `key`.
    Key,
    /// Secret, whatever it looks like.
    Secret,
}

/// Parts that make any name secret.
const SECRET: &[&str] = &[
    "apitoken",
    "authkey",
    "authorization",
    "bearer",
    "connectionstring",
    "cred",
    "credential",
    "creds",
    "masterauth",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "psk",
    "secret",
    "token",
];
/// Words in which secret parts end when they are written together: `PGPASSWORD`, `authtoken`.
const SECRET_ENDS: &[&str] = &[
    "accesskey",
    "apikey",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "secret",
    "secretkey",
    "secrets",
    "token",
];
const LIKELY: &[&str] = &["auth", "oauth", "pass", "keypass", "pw", "requirepass", "sshpass", "storepass"];
const KEYS: &[&str] =
    &["cookie", "key", "keys", "privatekey", "pwd", "sas", "sig", "signature", "sshkey", "tokens"];
/// What a key belongs to when it is surely secret: `api-key`.
const SECRET_KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "encryption",
    "hmac",
    "jwt",
    "master",
    "secret",
    "shared",
    "signing",
    "storage",
    "subscription",
];
/// What a key belongs to when it is no secret: `sort-key`.
const OPEN_KEYS: &[&str] =
    &["foreign", "group", "host", "hot", "partition", "primary", "public", "row", "sort", "trusted"];
/// Last parts of names that tell of a secret without being one: `--password-file`.
const OPEN_ENDS: &[&str] = &[
    "alg",
    "algorithm",
    "algorithms",
    "arn",
    "authentication",
    "checking",
    "class",
    "command",
    "count",
    "dir",
    "directory",
    "enabled",
    "endpoint",
    "env",
    "expiry",
    "fd",
    "field",
    "file",
    "format",
    "header",
    "helper",
    "id",
    "length",
    "lifetime",
    "limit",
    "manager",
    "max",
    "method",
    "methods",
    "min",
    "mode",
    "name",
    "path",
    "policy",
    "prompt",
    "prompts",
    "provider",
    "required",
    "size",
    "sock",
    "socket",
    "stdin",
    "store",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "user",
    "username",
    "version",
];
/// First parts of names of switches, after which no value comes: `--no-password`.
const OPEN_STARTS: &[&str] = &["ask", "disable", "no", "prompt", "skip", "without"];
/// Values that are no secret under a name that is not sure.
const PLAIN: &[&str] = &[
    "any", "ask", "auto", "basic", "digest", "false", "no", "none", "ntlm", "null", "off", "on", "optional",
    "prompt", "required", "stdin", "true", "yes",
];

impl Secrecy {
    /// By a name such as `db-password`, `AWS_SECRET_ACCESS_KEY` or `authToken`.
    pub(super) fn of(name: &[u8]) -> Secrecy {
        let name = &name[name.len().saturating_sub(NAME_BYTES_MAX)..];
        if !may_be_secret(name) {
            return Secrecy::Open;
        }
        let mut buffer = [0; 2 * NAME_BYTES_MAX];
        let name = lowered(name, &mut buffer);
        let is = |part: &[u8], list: &[&str]| list.iter().any(|word| word.as_bytes() == part);
        let (mut secrecy, mut before, mut is_first) = (Secrecy::Open, &b""[..], true);
        for part in name.split(|b| *b == b'-').filter(|part| !part.is_empty()) {
            if is_first && is(part, OPEN_STARTS) {
                return Secrecy::Open;
            }
            let found = if is(part, SECRET) || SECRET_ENDS.iter().any(|end| part.ends_with(end.as_bytes())) {
                Secrecy::Secret
            } else if is(part, LIKELY) {
                Secrecy::Likely
            } else if is(part, KEYS) && !is(before, OPEN_KEYS) {
                if is(before, SECRET_KEYS) { Secrecy::Secret } else { Secrecy::Key }
            } else {
                Secrecy::Open
            };
            secrecy = if rank(found) > rank(secrecy) { found } else { secrecy };
            (before, is_first) = (part, false);
        }
        if is(before, OPEN_ENDS) { Secrecy::Open } else { secrecy }
    }

    /// Whether a value under a name of this secrecy is to be masked.
    pub(super) fn hides(self, value: &[u8]) -> bool {
        let is_plain = || PLAIN.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
        match self {
            _ if value.is_empty() => false,
            Secrecy::Open => false,
            Secrecy::Secret => true,
            Secrecy::Likely => !(is_plain() || value.len() == 1 && value[0].is_ascii_digit()),
            Secrecy::Key => !is_plain() && !is_number(value) && !is_path(value),
        }
    }
}

/// Whether any part of the lists above can be in a name. Almost none can, and this is what they cost.
fn may_be_secret(name: &[u8]) -> bool {
    let mut last = 0;
    name.iter().any(|byte| {
        last = (last << 5 | usize::from(byte & 31)) & (LETTERS - 1);
        BY_LETTERS[last / 64] >> (last % 64) & 1 == 1
    })
}

/// Three letters of each part of the lists above (but `pw`), for [`may_be_secret`].
const STEMS: [&[u8; 3]; 12] =
    [b"pas", b"psk", b"sec", b"tok", b"key", b"aut", b"cre", b"bea", b"coo", b"sig", b"sas", b"nst"];
/// Three letters of 5 bits each: small and capital ones are the same so, and what is no letter may look like one.
const LETTERS: usize = 1 << 15;

/// A bit for each three letters with which a part may begin.
static BY_LETTERS: [u64; LETTERS / 64] = {
    const fn five(byte: u8) -> usize {
        (byte & 31) as usize
    }
    let mut bits = [0; LETTERS / 64];
    let mut n = 0;
    while n < STEMS.len() {
        let place = five(STEMS[n][0]) << 10 | five(STEMS[n][1]) << 5 | five(STEMS[n][2]);
        bits[place / 64] |= 1 << (place % 64);
        n += 1;
    }
    // `pw`, whatever comes before it.
    let mut before = 0;
    while before < 32 {
        let place = before << 10 | five(b'p') << 5 | five(b'w');
        bits[place / 64] |= 1 << (place % 64);
        before += 1;
    }
    bits
};

fn rank(secrecy: Secrecy) -> u8 {
    match secrecy {
        Secrecy::Open => 0,
        Secrecy::Key => 1,
        Secrecy::Likely => 2,
        Secrecy::Secret => 3,
    }
}

/// The parts of a name in small letters with `-` between them, and without digits at their ends.
fn lowered<'b>(name: &[u8], buffer: &'b mut [u8; 2 * NAME_BYTES_MAX]) -> &'b [u8] {
    let mut len = 0;
    let mut put = |byte: u8| {
        if let Some(place) = buffer.get_mut(len) {
            *place = byte;
            len += 1;
        }
    };
    for (n, byte) in name.iter().enumerate() {
        let next = |at: usize| name.get(at).copied().unwrap_or(b'-');
        let before = if n == 0 { b'-' } else { name[n - 1] };
        if byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_uppercase() && next(n + 1).is_ascii_lowercase())
        {
            put(b'-');
        }
        match byte {
            b'_' | b'.' | b'-' => put(b'-'),
            b'0'..=b'9' if !next(n + 1).is_ascii_lowercase() => {}
            byte => put(byte.to_ascii_lowercase()),
        }
    }
    &buffer[..len]
}

fn is_number(value: &[u8]) -> bool {
    value.iter().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.' | b':'))
}

fn is_path(value: &[u8]) -> bool {
    let starts = ["/", "./", "../", "~/", "file:", "$HOME", "@"];
    let ends = [".pem", ".key", ".crt", ".cer", ".p12", ".pfx", ".pub", ".json", ".txt", ".asc", ".gpg"];
    starts.iter().any(|start| value.starts_with(start.as_bytes()))
        || ends.iter().any(|end| value.ends_with(end.as_bytes()))
        || matches!(value, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_parts() {
        use Secrecy::{Key, Likely, Open, Secret};
        for (name, secrecy) in [
            ("password", Secret),
            ("PGPASSWORD", Secret),
            ("MYSQL_ROOT_PASSWORD", Secret),
            ("DB_PASSWORD2", Secret),
            ("trustStorePassword", Secret),
            ("_authToken", Secret),
            ("AWS_SECRET_ACCESS_KEY", Secret),
            ("api-key", Secret),
            ("APIKey", Secret),
            ("apikey", Secret),
            ("x-api-key", Secret),
            ("authtoken", Secret),
            ("oauth2-bearer", Secret),
            ("wifi-sec.psk", Secret),
            ("pass", Likely),
            ("auth", Likely),
            ("key", Key),
            ("SSH_KEY", Key),
            ("PWD", Key),
            ("max_tokens", Key),
            ("X-Amz-Signature", Key),
            ("passive", Open),
            ("tokenize", Open),
            ("tokenizer", Open),
            ("monkey", Open),
            ("keyboard", Open),
            ("secretary", Open),
            ("bypass", Open),
            ("compass", Open),
            ("author", Open),
            ("OLDPWD", Open),
            ("password-file", Open),
            ("key-file", Open),
            ("token-ttl", Open),
            ("SSH_AUTH_SOCK", Open),
            ("AWS_ACCESS_KEY_ID", Open),
            ("no-password", Open),
            ("PasswordAuthentication", Open),
            ("StrictHostKeyChecking", Open),
            ("sort-key", Open),
            ("public-key", Open),
            ("", Open),
            ("-", Open),
        ] {
            assert_eq!(Secrecy::of(name.as_bytes()), secrecy, "{name}");
        }
    }

    #[test]
    fn every_listed_part_is_found_at_a_glance() {
        for part in [SECRET, SECRET_ENDS, LIKELY, KEYS].concat() {
            assert!(
                may_be_secret(part.as_bytes()) && may_be_secret(part.to_uppercase().as_bytes()),
                "{part}"
            );
        }
        assert!(!may_be_secret(b"file-encoding"));
    }

    #[test]
    fn a_key_may_be_a_path_or_a_number_and_a_password_is_whatever_it_is() {
        for open in ["/etc/ssl/key.pem", "~/.ssh/id", "server.key", "2,2", "C:\\key", "none"] {
            assert!(!Secrecy::Key.hides(open.as_bytes()), "{open}");
            assert!(Secrecy::Secret.hides(open.as_bytes()), "{open}");
        }
        assert!(Secrecy::Key.hides(b"hunter2") && Secrecy::Likely.hides(b"12345"));
        assert!(!Secrecy::Likely.hides(b"2") && !Secrecy::Secret.hides(b""));
    }
}
