//! Comparing versions: `version_compare` and the collations VERSION, VERSION_DPKG, VERSION_RHEL, VERSION_ARCH.
//!
//! osquery compares packages' versions character by character, which misplaces some (for dpkg it puts
//! `1.0~rc1` after `1.0`). Here each flavor follows the rules of its package manager.

use std::cmp::Ordering;

use super::call::{Call, Error, Result, quoted};

/// Whose rules apply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flavor {
    /// Dotted versions of any program.
    Generic,
    /// Debian's (deb-version(7)).
    Dpkg,
    /// RPM's (rpm-version(7)).
    Rhel,
    /// Pacman's (vercmp(8)).
    Arch,
}

/// The collations by name.
pub(super) const COLLATIONS: &[(&str, Flavor)] = &[
    ("version", Flavor::Generic),
    ("version_dpkg", Flavor::Dpkg),
    ("version_rhel", Flavor::Rhel),
    ("version_arch", Flavor::Arch),
];

/// `version_compare(a, b, flavor)`
pub(super) fn version_compare(call: &Call<'_>) -> Result {
    let flavor = match call.len() {
        2 => Flavor::Generic,
        3 => match call.bytes(2).to_ascii_uppercase().as_slice() {
            b"DPKG" => Flavor::Dpkg,
            b"RHEL" => Flavor::Rhel,
            b"ARCH" => Flavor::Arch,
            other => {
                let other = quoted(other);
                let known = "'DPKG', 'RHEL' and 'ARCH'";
                return Err(Error::Argument(format!(
                    "version_compare: no flavor {other}; there are {known}"
                )));
            }
        },
        _ => return Err(Error::Argument("version_compare: it takes two or three arguments".into())),
    };
    Ok((flavor.compare(&call.bytes(0), &call.bytes(1)) as i8).into())
}

impl Flavor {
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Flavor::Generic => generic(a).cmp(generic(b)),
            Flavor::Dpkg => {
                let (a, b) = (Package::of(a), Package::of(b));
                let revisions = (a.release.unwrap_or(b"0"), b.release.unwrap_or(b"0"));
                compare_numbers(a.epoch, b.epoch)
                    .then_with(|| dpkg_order(a.version).cmp(dpkg_order(b.version)))
                    .then_with(|| dpkg_order(revisions.0).cmp(dpkg_order(revisions.1)))
            }
            Flavor::Rhel => Package::compare(a, b, rpm),
            Flavor::Arch => Package::compare(a, b, alpm),
        }
    }
}

/// The segments of a version between the characters that delimit them, as values that sort.
///
/// Numbers sort by value, before words. A segment like `10a` sorts among the numbers by its length, which is
/// how osquery has it (`20.10a` > `20.102`).
fn generic(version: &[u8]) -> impl Iterator<Item = (bool, usize, &[u8])> {
    version.split(|byte| b"~-^.:".contains(byte)).map(|segment| match segment.first() {
        Some(first) if !first.is_ascii_digit() => (true, 0, segment),
        _ => {
            let digits = without_zeros(segment);
            (false, digits.len(), digits)
        }
    })
}

/// A number of any length without leading zeros; zero itself is empty.
fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (without_zeros(a), without_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Cuts off the bytes in front that `belong`.
fn take<'a>(rest: &mut &'a [u8], belong: impl Fn(&u8) -> bool) -> &'a [u8] {
    let (taken, left) = rest.split_at(rest.iter().take_while(|byte| belong(byte)).count());
    *rest = left;
    taken
}

/// A package's version, `epoch:version-release`.
struct Package<'a> {
    /// Empty for none, which is zero.
    epoch: &'a [u8],
    version: &'a [u8],
    release: Option<&'a [u8]>,
}

impl<'a> Package<'a> {
    fn of(text: &'a [u8]) -> Package<'a> {
        let colon = text.iter().position(|byte| *byte == b':');
        let (epoch, text) = match colon {
            Some(colon) if text[..colon].iter().all(u8::is_ascii_digit) => {
                (&text[..colon], &text[colon + 1..])
            }
            _ => (&b""[..], text),
        };
        match text.iter().rposition(|byte| *byte == b'-') {
            Some(dash) => Package { epoch, version: &text[..dash], release: Some(&text[dash + 1..]) },
            None => Package { epoch, version: text, release: None },
        }
    }

    /// As RPM and pacman do it: a release counts only when both have one.
    fn compare(a: &[u8], b: &[u8], by: fn(&[u8], &[u8]) -> Ordering) -> Ordering {
        let (a, b) = (Package::of(a), Package::of(b));
        let release = || match (a.release, b.release) {
            (Some(a), Some(b)) => by(a, b),
            _ => Ordering::Equal,
        };
        compare_numbers(a.epoch, b.epoch).then_with(|| by(a.version, b.version)).then_with(release)
    }
}

/// A part of a Debian version as values that sort: words and numbers take turns. In a word a tilde sorts
/// before the end, letters before all other characters.
fn dpkg_order(mut rest: &[u8]) -> impl Iterator<Item = (Vec<u16>, usize, &[u8])> {
    const END: u16 = 1;
    let order = |byte: &u8| match byte {
        b'~' => 0,
        letter if letter.is_ascii_alphabetic() => END + 1 + u16::from(*letter),
        other => 0x100 + u16::from(*other),
    };
    let mut ended = false;
    std::iter::from_fn(move || {
        // The last pair is empty, so that the end takes part in the comparison.
        if std::mem::replace(&mut ended, rest.is_empty()) {
            return None;
        }
        let word = take(&mut rest, |byte| !byte.is_ascii_digit());
        let number = without_zeros(take(&mut rest, u8::is_ascii_digit));
        Some((word.iter().map(order).chain([END]).collect(), number.len(), number))
    })
}

/// The next segments of two versions, letters or digits, compared by the kind that the first one has.
/// `None` when the second has nothing of that kind.
fn compare_segments(a: &mut &[u8], b: &mut &[u8]) -> Option<Ordering> {
    let digits = a.first().is_some_and(u8::is_ascii_digit);
    let kind = if digits { u8::is_ascii_digit } else { u8::is_ascii_alphabetic };
    let (a, b) = (take(a, kind), take(b, kind));
    match b {
        b"" => None,
        _ if digits => Some(compare_numbers(a, b)),
        _ => Some(a.cmp(b)),
    }
}

/// A part of an RPM version: `~` sorts before the end, `^` just behind it, other separators do not count.
fn rpm(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let separator = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"~^".contains(byte);
    loop {
        take(&mut a, separator);
        take(&mut b, separator);
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (Some(first), Some(_)) => {
                let number = first.is_ascii_digit();
                match compare_segments(&mut a, &mut b) {
                    Some(Ordering::Equal) => {}
                    Some(order) => return order,
                    // A number is newer than a word.
                    None => return if number { Ordering::Greater } else { Ordering::Less },
                }
            }
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

/// A part of a pacman version: a word behind a version makes it older (`1.0rc` < `1.0`).
fn alpm(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let separator = |byte: &u8| !byte.is_ascii_alphanumeric();
    loop {
        if a.is_empty() || b.is_empty() {
            break;
        }
        let (before_a, before_b) = (take(&mut a, separator).len(), take(&mut b, separator).len());
        if a.is_empty() || b.is_empty() {
            break;
        }
        if before_a != before_b {
            return before_a.cmp(&before_b);
        }
        let number = a[0].is_ascii_digit();
        match compare_segments(&mut a, &mut b) {
            Some(Ordering::Equal) => {}
            Some(order) => return order,
            None => return if number { Ordering::Greater } else { Ordering::Less },
        }
    }
    let is_word = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_alphabetic);
    match (a, b) {
        (b"", b"") => Ordering::Equal,
        (b"", b) if is_word(b) => Ordering::Greater,
        (a, _) if a.is_empty() || is_word(a) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, connection, shown};
    use super::*;

    fn ascending(flavor: Flavor, versions: &[&str]) {
        for (i, a) in versions.iter().enumerate() {
            for (j, b) in versions.iter().enumerate() {
                assert_eq!(flavor.compare(a.as_bytes(), b.as_bytes()), i.cmp(&j), "{flavor:?}: {a} and {b}");
            }
        }
    }

    fn equal(flavor: Flavor, pairs: &[(&str, &str)]) {
        for (a, b) in pairs {
            assert!(flavor.compare(a.as_bytes(), b.as_bytes()).is_eq(), "{flavor:?}: {a} and {b}");
        }
    }

    #[test]
    fn any_programs_versions_go_by_their_segments() {
        use Flavor::Generic;
        ascending(Generic, &["", "1", "1.0-2", "1.0.3", "1.1", "1.2.9", "1.9", "1.10", "1.a", "2"]);
        ascending(Generic, &["1.0.0", "1.0.0-2", "1:0.0.3", "1.12.1", "1.13", "6.87.5", "20.102", "20.10a"]);
        ascending(Generic, &["50.4.1b", "50.4.1c", "57:4", "98.100.21-1a", "98.100.21-1b", "190.10a"]);
        ascending(Generic, &["1.0", "1.0-alpha", "1.0-beta", "1.0-rc"]);
        equal(
            Generic,
            &[("1:0.0", "1.0.0"), ("2.50^1a", "2.50~1a"), ("22.04", "22.4"), ("106.32.1", "106:32.1")],
        );
    }

    // `dpkg --compare-versions` orders each pair so.
    #[test]
    fn debian_versions_go_by_deb_version() {
        use Flavor::Dpkg;
        ascending(
            Dpkg,
            &[
                "0.9",
                "1.0~~",
                "1.0~~a",
                "1.0~",
                "1.0~rc1",
                "1.0~rc1-1",
                "1.0",
                "1.0-1~bpo1",
                "1.0-1",
                "1.0-1ubuntu1",
                "1.0-1+b1",
                "1.0-1.1",
                "1.0-2",
                "1.0-10",
                "1.0a",
                "1.0+dfsg",
                "1.0.1",
                "1.9",
                "1.10",
                "2.0",
                "1:0.1",
                "10:0",
            ],
        );
        ascending(Dpkg, &["22.07.5-2ubuntu1.3", "22.07.5-2ubuntu1.4"]);
        ascending(Dpkg, &["3.0.2-0ubuntu1.8", "3.0.2-0ubuntu1.10"]);
        ascending(Dpkg, &["2.5.13+dfsg-0ubuntu0.22.04.1", "2.5.14+dfsg-0ubuntu0.22.04.2"]);
        ascending(Dpkg, &["2:8.2.3995-1ubuntu2.3", "2:8.2.3995-1ubuntu2.9"]);
        equal(Dpkg, &[("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.0", "1.00"), ("1:2.0-10", "1:2.0-10")]);
    }

    #[test]
    fn rpm_versions_go_by_rpm_version() {
        use Flavor::Rhel;
        ascending(
            Rhel,
            &[
                "1.0.0~rc1",
                "1.0.0~rc2",
                "1.0.0~rc2^20210101gf00fabd",
                "1.0.0",
                "1.0.1",
                "1.0.1^20210203gbbbccc0",
                "1.0.1.security1",
                "1.1.0~BETA",
                "1.1.0~CR1",
                "1.1.0.20201001.GA1",
            ],
        );
        ascending(Rhel, &["1.1.0.2021.SP1", "1.1.0.2021.SP1_CP1", "32:9.11.4-26.P2.el7_9.13"]);
        ascending(Rhel, &["1:1.8.0.352.b08-2.el7_9", "1:1.8.0.372.b07-1.el7_9"]);
        ascending(Rhel, &["5.6.0-1.linux", "5.9.1-1.linux", "5.10.0-1.linux"]);
        ascending(Rhel, &["a", "1", "1a", "1.1"]);
        equal(Rhel, &[("1.0", "1.0-3"), ("1.0", "1_0"), ("0:1.0", "1.0"), ("1.05", "1.5")]);
    }

    #[test]
    fn arch_versions_go_by_vercmp() {
        use Flavor::Arch;
        // The order that vercmp(8) gives as its example.
        ascending(Arch, &["1.0a", "1.0b", "1.0beta", "1.0p", "1.0pre", "1.0rc", "1.0", "1.0.a", "1.0.1"]);
        ascending(Arch, &["1", "1.0", "1.1", "1.1.1", "1.2", "2.0", "3.0.0"]);
        ascending(Arch, &["1.6.1-9", "1.6.1-10", "2-2pre", "2-2rc", "41.1-2", "43alpha+r8+g1de47dbc-1"]);
        ascending(Arch, &["4.2.1", "1:1.2.13-2", "1:42.3.1-1", "1:43.2-1"]);
        ascending(Arch, &["0.23.1-9", "0.23.90-1", "5.18.14.arch1-1", "6.0.12.arch1-1"]);
        ascending(Arch, &["3:0.164.r3081.19856cc-2", "3:0.164.r3095.baee400-4"]);
        equal(Arch, &[("1.0", "1.0-4"), ("4:2", "4:2-1"), ("4:1.1.0", "4:1.1.0-3")]);
    }

    #[test]
    fn comparing_is_symmetric_on_anything() {
        use proptest::prelude::*;
        proptest!(|(a in "[0-2a.~^:-]{0,8}", b in "[0-2a.~^:-]{0,8}")| {
            for (_, flavor) in COLLATIONS {
                let (a, b) = (a.as_bytes(), b.as_bytes());
                prop_assert_eq!(flavor.compare(a, a), Ordering::Equal);
                prop_assert_eq!(flavor.compare(a, b), flavor.compare(b, a).reverse());
            }
        });
    }

    #[test]
    fn the_function_takes_the_flavor_in_any_case() {
        check(&[
            ("version_compare('1.0', '1.0')", "0"),
            ("version_compare('50.4.1b', '50.4.1c')", "-1"),
            ("version_compare('4:1.1.0', '4:1.1.0-3', 'arCH')", "0"),
            ("version_compare('1.1.0~BETA2^1', '1.1.0~CR1', 'RhEl')", "-1"),
            ("version_compare('1.0.1.1', '1.0.1^2021', 'rhel')", "1"),
            ("version_compare('1.9.9-1ubuntu2.4', '1.9.9-1ubuntu2.3', 'dpkg')", "1"),
            ("version_compare(1.5, 2)", "-1"),
            (
                "version_compare('1', '2', 'gentoo')",
                "error: version_compare: no flavor 'GENTOO'; there are 'DPKG', 'RHEL' and 'ARCH'",
            ),
            ("version_compare('1')", "error: version_compare: it takes two or three arguments"),
        ]);
    }

    #[test]
    fn the_collations_sort() {
        let (conn, _) = connection();
        let sorted = |collation: &str| {
            shown(
                &conn,
                &format!(
                    "SELECT group_concat(v, ' ') FROM (SELECT value AS v FROM \
                     json_each('[\"1.10\", \"1.9\", \"1.9~rc\"]') ORDER BY v COLLATE {collation})"
                ),
            )
        };
        assert_eq!(sorted("VERSION"), "'1.9 1.9~rc 1.10'");
        assert_eq!(sorted("version_dpkg"), "'1.9~rc 1.9 1.10'");
        assert_eq!(sorted("VERSION_RHEL"), "'1.9~rc 1.9 1.10'");
        assert_eq!(shown(&conn, "SELECT '1.0' = '1.0-4' COLLATE version_arch"), "1");
    }
}
