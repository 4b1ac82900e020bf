//! What is wrong with a rule, and where.

use std::path::PathBuf;

/// One thing that is wrong with a rule file, or in a list of warnings one that is probably not meant.
///
/// It displays as `path:line:column: message`. Messages quote the file, whose bytes may be hostile: what
/// prints them escapes control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// The file, as it was named or found.
    pub path: PathBuf,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// How many characters of the line are meant, from the column on; at least 1.
    pub width: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Lines that show it, such as the rows that a test missed.
    pub detail: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
    /// The line of the file, without its end.
    pub source: Option<String>,
}

impl RuleFault {
    pub(crate) fn of_file(path: impl Into<PathBuf>, message: impl Into<String>) -> RuleFault {
        RuleFault {
            path: path.into(),
            line: 0,
            column: 0,
            width: 1,
            message: message.into(),
            detail: Vec::new(),
            help: None,
            source: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> RuleFault {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn detail(mut self, detail: Vec<String>) -> RuleFault {
        self.detail = detail;
        self
    }
}

impl std::fmt::Display for RuleFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for RuleFault {}
