//! What the clear part of a private key tells: PEM (RFC 7468, RFC 1421) around PKCS #1, PKCS #8 and SEC 1, and
//! OpenSSH's own format (PROTOCOL.key).

mod der;
mod openssh;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::bytes;

/// The facts of a private key that are no secret.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PrivateKey {
    pub(crate) encrypted: bool,
    pub(crate) kind: Option<&'static str>,
    pub(crate) group: Option<&'static str>,
    pub(crate) bits: Option<u32>,
    /// Bits of the subgroup that a DSA key works in.
    subgroup_bits: Option<u32>,
}

impl PrivateKey {
    /// Bits of a symmetric key of equal strength.
    pub(crate) fn security_bits(&self) -> Option<u32> {
        let bits = self.bits?;
        Some(match self.kind? {
            "rsa" => field_security_bits(bits),
            "dsa" | "dh" => field_security_bits(bits).min(self.subgroup_bits.map_or(u32::MAX, |q| q / 2)),
            "ed448" => 224,
            "ec" if bits >= 512 => 256,
            _ => bits / 2,
        })
    }
}

/// The strength of a modulus against the number field sieve: NIST SP 800-56B appendix D, rounded to a
/// multiple of 8, and no more than SP 800-57 grants at 7680 and 15360 bits.
fn field_security_bits(bits: u32) -> u32 {
    const LN2: f64 = std::f64::consts::LN_2;
    let nats = f64::from(bits) * LN2;
    if bits < 16 {
        return 0;
    }
    let strength = (1.923 * (nats * nats.ln().powi(2)).cbrt() - 4.69) / LN2;
    let most = match bits {
        0..=7680 => 192,
        7681..=15360 => 256,
        _ => u32::MAX,
    };
    ((strength / 8.0).round() as u32).saturating_mul(8).min(most)
}

/// The first private key in a file's content; `None` when there is none.
pub(crate) fn parse(content: &[u8]) -> Option<PrivateKey> {
    let mut lines = bytes::lines(content).map(<[u8]>::trim_ascii_end);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(b"-----BEGIN ").and_then(|l| l.strip_suffix(b"-----")) else {
            continue;
        };
        let kind = match label {
            b"OPENSSH PRIVATE KEY" | b"PRIVATE KEY" | b"ENCRYPTED PRIVATE KEY" => None,
            b"RSA PRIVATE KEY" => Some("rsa"),
            b"DSA PRIVATE KEY" => Some("dsa"),
            b"EC PRIVATE KEY" => Some("ec"),
            _ => continue,
        };
        let body: Vec<&[u8]> = lines.by_ref().take_while(|line| !line.starts_with(b"-----END ")).collect();
        let encrypted = label == b"ENCRYPTED PRIVATE KEY"
            || body.iter().any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"));
        let sealed = PrivateKey { encrypted, kind, ..PrivateKey::default() };
        if encrypted {
            return Some(sealed);
        }
        let text: Vec<u8> =
            body.into_iter().filter(|line| !line.contains(&b':')).flatten().copied().collect();
        let bytes = STANDARD.decode(text).ok()?;
        let key = match label {
            b"OPENSSH PRIVATE KEY" => openssh::key(&bytes),
            b"PRIVATE KEY" => der::pkcs8(&bytes),
            b"RSA PRIVATE KEY" => der::rsa(&bytes),
            b"DSA PRIVATE KEY" => der::dsa(&bytes),
            _ => der::ec(&bytes),
        };
        return Some(key.unwrap_or(sealed));
    }
    None
}

/// Bits of a big-endian number without its leading zeros.
fn bits(number: &[u8]) -> u32 {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    match number.get(zeros) {
        Some(first) => (number.len() - zeros) as u32 * 8 - first.leading_zeros(),
        None => 0,
    }
}

fn edwards(kind: &'static str) -> PrivateKey {
    let bits = if kind == "ed448" { 456 } else { 256 };
    PrivateKey { kind: Some(kind), bits: Some(bits), ..PrivateKey::default() }
}

struct Curve {
    object_id: &'static [u8],
    openssh: &'static [u8],
    name: &'static str,
    bits: u32,
}

const CURVES: &[Curve] = &[
    Curve {
        object_id: b"\x2a\x86\x48\xce\x3d\x03\x01\x07",
        openssh: b"nistp256",
        name: "prime256v1",
        bits: 256,
    },
    Curve { object_id: b"\x2b\x81\x04\x00\x22", openssh: b"nistp384", name: "secp384r1", bits: 384 },
    Curve { object_id: b"\x2b\x81\x04\x00\x23", openssh: b"nistp521", name: "secp521r1", bits: 521 },
    Curve { object_id: b"\x2b\x81\x04\x00\x0a", openssh: b"", name: "secp256k1", bits: 256 },
];

fn curve(field: fn(&Curve) -> &'static [u8], value: &[u8]) -> PrivateKey {
    let curve = CURVES.iter().find(|curve| field(curve) == value && !value.is_empty());
    PrivateKey {
        kind: Some("ec"),
        group: curve.map(|curve| curve.name),
        bits: curve.map(|curve| curve.bits),
        ..PrivateKey::default()
    }
}

#[cfg(test)]
mod tests {
    use super::der::{CONTEXT_0, INTEGER, OBJECT_ID, OCTET_STRING, SEQUENCE};
    use super::*;

    /// A DER element with a length of two bytes, which is enough for all here.
    fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let len = (content.len() as u16).to_be_bytes();
        [&[tag, 0x82, len[0], len[1]], content.as_slice()].concat()
    }

    fn number(bits: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.push(0xff >> (7 - (bits - 1) % 8));
        bytes.resize(1 + bits.div_ceil(8), 0x55);
        bytes
    }

    fn pem(label: &str, bytes: &[u8]) -> Vec<u8> {
        let text = STANDARD.encode(bytes);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\r\n")).into_bytes()
    }

    fn facts(content: &[u8]) -> (bool, Option<&'static str>, Option<&'static str>, Option<u32>, Option<u32>) {
        let key = parse(content).unwrap();
        (key.encrypted, key.kind, key.group, key.bits, key.security_bits())
    }

    fn strings(texts: &[&[u8]]) -> Vec<u8> {
        texts.iter().flat_map(|t| [&(t.len() as u32).to_be_bytes(), *t].concat()).collect()
    }

    fn openssh(cipher: &[u8], public: &[&[u8]]) -> Vec<u8> {
        let (head, tail) = (strings(&[cipher, b"bcrypt", b""]), strings(&[&strings(public), b"secret"]));
        pem("OPENSSH PRIVATE KEY", &[&b"openssh-key-v1\0"[..], &head, &[0, 0, 0, 1], &tail].concat())
    }

    #[test]
    fn pem_keys_tell_their_type_and_length() {
        let modulus = der(INTEGER, &[&number(2048)]);
        let rsa = der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &modulus]);
        let rsa_2048 = (false, Some("rsa"), None, Some(2048), Some(112));
        assert_eq!(facts(&pem("RSA PRIVATE KEY", &rsa)), rsa_2048);
        let algorithm = der(SEQUENCE, &[&der(OBJECT_ID, &[b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"])]);
        let pkcs8 = der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &algorithm, &der(OCTET_STRING, &[&rsa])]);
        assert_eq!(facts(&pem("PRIVATE KEY", &pkcs8)), rsa_2048);
        let (p, q) = (der(INTEGER, &[&number(1024)]), der(INTEGER, &[&number(160)]));
        let dsa = der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &p, &q]);
        assert_eq!(facts(&pem("DSA PRIVATE KEY", &dsa)), (false, Some("dsa"), None, Some(1024), Some(80)));
        let curve = der(CONTEXT_0, &[&der(OBJECT_ID, &[b"\x2b\x81\x04\x00\x23"])]);
        let ec = der(SEQUENCE, &[&der(INTEGER, &[&[1]]), &der(OCTET_STRING, &[&[7; 66]]), &curve]);
        let parameters = pem("EC PARAMETERS", b"x");
        let secp521r1 = (false, Some("ec"), Some("secp521r1"), Some(521), Some(256));
        assert_eq!(facts(&[parameters, pem("EC PRIVATE KEY", &ec)].concat()), secp521r1);
    }

    #[test]
    fn an_encrypted_pem_key_keeps_its_secrets() {
        let head =
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n";
        assert_eq!(facts(head.as_bytes()), (true, Some("rsa"), None, None, None));
        assert_eq!(facts(&pem("ENCRYPTED PRIVATE KEY", b"x")), (true, None, None, None, None));
    }

    #[test]
    fn an_openssh_key_tells_its_type_even_when_it_is_encrypted() {
        let ed25519: [&[u8]; 2] = [b"ssh-ed25519", &[7; 32]];
        assert_eq!(facts(&openssh(b"none", &ed25519)), (false, Some("ed25519"), None, Some(256), Some(128)));
        assert!(facts(&openssh(b"aes256-ctr", &ed25519)).0);
        let rsa: [&[u8]; 3] = [b"ssh-rsa", b"\x01\x00\x01", &number(3072)];
        assert_eq!(facts(&openssh(b"aes256-ctr", &rsa)), (true, Some("rsa"), None, Some(3072), Some(128)));
        let ec: [&[u8]; 2] = [b"ecdsa-sha2-nistp384", b"nistp384"];
        assert_eq!(
            facts(&openssh(b"none", &ec)),
            (false, Some("ec"), Some("secp384r1"), Some(384), Some(192))
        );
    }

    #[test]
    fn what_is_no_private_key_or_is_cut_short_is_taken_calmly() {
        assert_eq!(parse(b"ssh-rsa AAAA me@here\n"), None);
        assert_eq!(parse(&pem("CERTIFICATE", b"x")), None);
        let whole = openssh(b"none", &[b"ssh-ed25519", &[7; 32]]);
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).and_then(|key| key.group), None);
        }
        let rsa = der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &der(INTEGER, &[&number(2048)])]);
        for end in 0..rsa.len() {
            assert_eq!(facts(&pem("RSA PRIVATE KEY", &rsa[..end])).3, None);
        }
    }

    #[test]
    fn security_bits_are_those_of_the_standard() {
        let of = |bits| field_security_bits(bits);
        assert_eq!((of(1024), of(2048), of(3072), of(4096), of(0)), (80, 112, 128, 152, 0));
        assert_eq!((of(6144), of(7680), of(8192), of(15360)), (176, 192, 200, 256));
    }
}
