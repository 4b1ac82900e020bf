//! Where collectors are found.

use std::path::PathBuf;

/// Of a directory of sockets, and in it of procmond's.
const NAME: &str = "daemoneye/procmond.sock";

/// The socket at which this user's procmond listens when nothing else is said: below `/run` for root, below
/// `$XDG_RUNTIME_DIR` for anybody else. `None` for a user without that directory.
pub fn default_socket() -> Option<PathBuf> {
    let run = match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/run"),
        false => std::env::var_os("XDG_RUNTIME_DIR")?.into(),
    };
    Some(run.join(NAME))
}

/// Where to look for a procmond when nothing else is said: root's, which may serve a group too, then this user's own.
pub fn default_sockets() -> Vec<PathBuf> {
    let roots = PathBuf::from("/run").join(NAME);
    let own = default_socket().filter(|own| *own != roots);
    std::iter::once(roots).chain(own).collect()
}
