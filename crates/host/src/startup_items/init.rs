//! Init scripts of System V (update-rc.d(8)): `/etc/init.d`, started through the `S` links of `/etc/rc?.d`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use collector::{Host, or_note};
use model::Run;

use super::{DISABLED, ENABLED, Item, TABLE, desktop};

/// The scripts of the system; one is enabled when any runlevel starts it.
pub(super) fn scripts(host: &Host, run: &Run) -> Vec<Item> {
    let started = started(host, run);
    let mut items = desktop::scripts(host, run, Path::new("/etc/init.d"), None);
    for item in &mut items {
        item.status = if started.contains(item.name.as_slice()) { ENABLED } else { DISABLED };
    }
    items
}

/// The names of scripts that some runlevel starts.
fn started(host: &Host, run: &Run) -> HashSet<Vec<u8>> {
    // Debian has the directories in /etc, Red Hat in /etc/rc.d.
    let levels = "S0123456".chars().map(|level| format!("rc{level}.d"));
    let directories = levels.flat_map(|level| [format!("/etc/{level}"), format!("/etc/rc.d/{level}")]);
    let entries = directories
        .flat_map(|directory| or_note(host.list_sorted(directory), run, TABLE.name, "").unwrap_or_default());
    entries.filter_map(|entry| script(entry.name)).collect()
}

/// The script that a link starts: `S`, two digits, its name.
fn script(link: OsString) -> Option<Vec<u8>> {
    match link.as_encoded_bytes() {
        [b'S', b'0'..=b'9', b'0'..=b'9', name @ ..] if !name.is_empty() => Some(name.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_start_links_start_scripts() {
        assert_eq!(script("S01cron".into()), Some(b"cron".to_vec()));
        for other in ["K01cron", "S01", "Scron", "README", ""] {
            assert_eq!(script(other.into()), None);
        }
    }
}
