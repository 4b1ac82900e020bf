//! The socket that clients connect to, bound while its directory can still be written.

use std::io;
use std::path::{Path, PathBuf};

use collector::Host;
use config::procmond::Config;
use ipc::{Bind, SocketListener};
use rustix::fs::{Mode, mkdir};

use crate::account::{self, AccountError};
use crate::trust::{self, Distrust};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// An ordinary user has no directory for sockets.
    #[error("XDG_RUNTIME_DIR is not set; name a socket with --socket")]
    NoDirectory,
    /// The directory could be changed by others, who could put their own socket in its place.
    #[error("the directory of the socket is not root's alone: {0}")]
    Distrusted(#[from] Distrust),
    /// Somebody answers there.
    #[error("a collector already serves {0}; stop it, or name another socket with --socket")]
    Served(PathBuf),
    /// Something else is there.
    #[error("{0} is there and no socket; remove it, or name another with --socket")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot {0} {1}: {2}")]
    Refused(&'static str, PathBuf, #[source] io::Error),
    /// The group of the configuration is not known.
    #[error(transparent)]
    Group(#[from] AccountError),
}

/// Binds the socket with the permissions and the group of the configuration.
///
/// A socket that nobody serves any more is replaced: a confined process cannot remove its own when it ends, so
/// either the service manager does (`RuntimeDirectory=`) or the next start.
pub fn bind(host: &Host, config: &Config, path: &Path) -> Result<SocketListener, SocketError> {
    let group = config.socket_group.value.as_deref().map(|name| account::group(host, name)).transpose()?;
    if let Some(directory) = path.parent() {
        match mkdir(directory, Mode::from(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => {
                return Err(SocketError::Refused("make the directory of", path.to_owned(), error.into()));
            }
        }
        if rustix::process::geteuid().is_root() {
            trust::roots_path(directory)?;
        }
    }
    SocketListener::bind(&Bind { path: path.to_owned(), mode: config.socket_mode.value, group }).map_err(
        |error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketError::Served(path.to_owned()),
            io::ErrorKind::AlreadyExists => SocketError::NotASocket(path.to_owned()),
            _ => SocketError::Refused("bind", path.to_owned(), error),
        },
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes its fixture")]

    use super::*;
    use crate::settings;
    use std::os::unix::fs::PermissionsExt;

    /// Root wants a directory that is root's alone.
    fn place() -> tempfile::TempDir {
        match rustix::process::geteuid().is_root() {
            true => tempfile::tempdir_in("/run").unwrap(),
            false => tempfile::tempdir().unwrap(),
        }
    }

    #[test]
    fn a_socket_has_its_mode_and_a_stale_one_is_replaced() {
        let place = place();
        let path = place.path().join("d/s.sock");
        let config = settings::of("socket: { mode: 0640 }");
        for _ in 0..2 {
            let listener = bind(&Host::live(), &config, &path).unwrap();
            let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
            assert!(matches!(bind(&Host::live(), &config, &path), Err(SocketError::Served(_))));
            drop(listener);
            // As one that was killed leaves it.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        }
    }

    #[test]
    fn a_file_in_its_place_is_left_alone() {
        let place = place();
        let path = place.path().join("f");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(bind(&Host::live(), &settings::of(""), &path), Err(SocketError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn an_unknown_group_is_refused_before_anything_is_bound() {
        let place = place();
        let path = place.path().join("s");
        let config = settings::of("socket: { group: no-such-group }");
        assert!(matches!(bind(&Host::live(), &config, &path), Err(SocketError::Group(_))));
        assert!(!path.exists());
    }
}
