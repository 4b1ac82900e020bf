//! The configuration file, and who may have written it.

use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use config::{ConfigError, Layers};
use rustix::fs::{Mode, OFlags, fstat, open};

use crate::trust::{self, Distrust};

/// Read when no other file is named.
pub const DEFAULT_PATH: &str = "/etc/daemoneye/procmond.yaml";

/// The values of a file, or of [`DEFAULT_PATH`] if that is there.
///
/// Root reads only a file that nobody else can have written: it decides what root's process hands out.
pub(crate) fn layer(layers: Layers, named: Option<&Path>) -> Result<Layers, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    match read(path, rustix::process::geteuid().is_root()) {
        Ok(text) => layers.text(&text, path),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(layers),
        Err(error) => Err(ConfigError::Unread { path: path.to_owned(), error }),
    }
}

fn read(path: &Path, trusted_only: bool) -> Result<String, Error> {
    let path = if trusted_only { trust::roots_path(path).map_err(distrusted)? } else { path.to_owned() };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: OwnedFd = open(&path, flags, Mode::empty())?;
    if trusted_only {
        trust::check(&path, &fstat(&file)?).map_err(distrusted)?;
    }
    config::read(file.into())
}

fn distrusted(distrust: Distrust) -> Error {
    match distrust {
        Distrust::Unread(path, error) => Error::new(error.kind(), format!("{}: {error}", path.display())),
        other => Error::new(ErrorKind::PermissionDenied, format!("it is not root's alone: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::procmond::KNOWN;

    #[test]
    fn root_reads_no_configuration_that_others_can_have_written() {
        let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
        let error = read(file.path(), true).unwrap_err().to_string();
        assert!(error.contains("not root's alone") && error.contains("chmod go-w /tmp"), "{error}");
        assert_eq!(read(file.path(), false).unwrap(), "");
        let error = read(Path::new("/dev/null"), false).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert_eq!(read(Path::new("/no/such/file"), true).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_was_named_has_to_be_there() {
        let named = layer(Layers::new(KNOWN), Some(Path::new("/no/such/file"))).unwrap_err().to_string();
        assert!(named.contains("/no/such/file"), "{named}");
    }
}
