//! The rules that come with the program, so that it detects without any file installed.

macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../rules/", $path)))),*]
    };
}

/// Path below `rules/` and text of each rule that is shipped. A test compares it with the directory.
pub static SHIPPED: &[(&str, &str)] = shipped![
    "command_and_control/listener-from-temporary-path.yaml",
    "command_and_control/shell-on-socket.yaml",
    "defense_evasion/address-randomisation-off.yaml",
    "defense_evasion/daemon-name-mismatch.yaml",
    "defense_evasion/deleted-executable.yaml",
    "defense_evasion/hidden-parent.yaml",
    "defense_evasion/history-file-diverted.yaml",
    "defense_evasion/history-switched-off.yaml",
    "defense_evasion/kernel-hardening-weakened.yaml",
    "defense_evasion/kernel-thread-look-alike.yaml",
    "defense_evasion/memfd-executable.yaml",
    "defense_evasion/update-host-redirected.yaml",
    "discovery/promiscuous-interface.yaml",
    "discovery/raw-packet-socket.yaml",
    "execution/image-in-hidden-directory.yaml",
    "execution/image-in-temporary-directory.yaml",
    "execution/library-from-writable-place.yaml",
    "execution/reverse-shell-command.yaml",
    "execution/shell-under-server.yaml",
    "persistence/core-pattern-pipe.yaml",
    "persistence/cron-fetch-and-run.yaml",
    "persistence/key-of-system-account.yaml",
    "persistence/ld-preload-environment.yaml",
    "persistence/ld-so-preload.yaml",
    "persistence/module-not-on-disk.yaml",
    "persistence/second-gid-0.yaml",
    "persistence/second-uid-0.yaml",
    "persistence/system-account-with-shell.yaml",
    "persistence/unit-from-temporary-path.yaml",
    "privilege_escalation/root-under-ordinary-parent.yaml",
    "privilege_escalation/setuid-in-writable-place.yaml",
    "privilege_escalation/setuid-outside-list.yaml",
    "privilege_escalation/sudo-without-password.yaml",
    "privilege_escalation/tracer-attached.yaml",
];
