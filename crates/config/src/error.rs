//! Why a configuration is not used.

use std::io;
use std::path::PathBuf;

use crate::layers::Origin;

/// Why a configuration is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read, or may not be.
    #[error("cannot read the configuration {}: {error}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file says something that is not understood.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A value of the environment or of a flag is not understood.
    #[error("{origin}: {message}")]
    Value {
        /// Where it came from.
        origin: Origin,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// The environment has a name that is no key.
    #[error("{name} in the environment is no setting{hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What was probably meant, and what there is.
        hint: String,
    },
}
