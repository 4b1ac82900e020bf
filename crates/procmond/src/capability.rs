//! Which of root's capabilities are kept (capabilities(7)), by what is enabled.

use rustix::thread::CapabilitySet;

/// What reading other users' processes and files takes: `CAP_DAC_READ_SEARCH` passes over the permissions of
/// files, `CAP_SYS_PTRACE` lets one see the image, descriptors, memory map and counters of any process.
pub const READ_ONLY: CapabilitySet = CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::SYS_PTRACE);

/// The names of capabilities, as capabilities(7) writes them, with a comma between; `none` when there is none.
pub fn names(set: CapabilitySet) -> String {
    let mut names: Vec<String> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    let known = set.iter_names().fold(CapabilitySet::empty(), |known, (_, one)| known | one);
    let newer = set.difference(known).bits();
    // A kernel may know capabilities that this program does not.
    names.extend((0..u64::BITS).filter(|n| newer & (1 << n) != 0).map(|n| format!("cap_{n}")));
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

/// Every capability by itself that a kernel can have.
pub(crate) fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|n| CapabilitySet::from_bits_retain(1 << n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_bear_their_names_and_newer_ones_their_number() {
        assert_eq!(names(READ_ONLY), "CAP_DAC_READ_SEARCH,CAP_SYS_PTRACE");
        assert_eq!(names(CapabilitySet::empty()), "none");
        assert_eq!(
            names(CapabilitySet::CHOWN | CapabilitySet::from_bits_retain(1 << 50)),
            "CAP_CHOWN,cap_50"
        );
    }
}
