//! Where collectors are found.

use std::path::PathBuf;

/// Of a directory of sockets, and in it of procmond's and the agent's.
const NAME: &str = "daemoneye/procmond.sock";
const AGENT: &str = "daemoneye/agent.sock";

/// The socket at which this user's procmond listens when nothing else is said: below `/run` for root, below
/// `$XDG_RUNTIME_DIR` for anybody else. `None` for a user without that directory.
pub fn default_socket() -> Option<PathBuf> {
    let run = match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/run"),
        false => std::env::var_os("XDG_RUNTIME_DIR")?.into(),
    };
    Some(run.join(NAME))
}

/// The socket at which this user's agent listens when nothing else is said, below the same directories; for a user
/// without one below the state directory.
pub fn agent_socket() -> Option<PathBuf> {
    let procmond = default_socket();
    procmond
        .map(|path| path.with_file_name("agent.sock"))
        .or_else(|| Some(state_directory()?.join("agent.sock")))
}

/// Where to look for an agent when nothing else is said: root's, then this user's own.
pub fn agent_sockets() -> Vec<PathBuf> {
    let roots = PathBuf::from("/run").join(AGENT);
    let own = agent_socket().filter(|own| *own != roots);
    std::iter::once(roots).chain(own).collect()
}

/// Where this user's agent keeps what outlives it when nothing else is said: below `/var/lib` for root, below
/// `$XDG_STATE_HOME` or `~/.local/state` for anybody else. `None` for a user without a home.
pub fn state_directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/daemoneye"));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("daemoneye"))
}

/// Where to look for the state of an agent that does not run: root's, then this user's own.
pub fn state_directories() -> Vec<PathBuf> {
    let roots = PathBuf::from("/var/lib/daemoneye");
    let own = state_directory().filter(|own| *own != roots);
    std::iter::once(roots).chain(own).collect()
}

/// Where to look for a procmond when nothing else is said: root's, which may serve a group too, then this user's own.
pub fn default_sockets() -> Vec<PathBuf> {
    let roots = PathBuf::from("/run").join(NAME);
    let own = default_socket().filter(|own| *own != roots);
    std::iter::once(roots).chain(own).collect()
}
