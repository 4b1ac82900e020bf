//! What was typed before, in `$XDG_STATE_HOME/daemoneye/history`. That it cannot be kept is no error.

use std::path::{Path, PathBuf};

use super::editor::Editor;

/// Entries that are kept.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// The file, where there is a home for it.
pub(super) fn path() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("daemoneye/history"))
}

/// Adds what was typed, unless it starts with a space or repeats the last, here and to the file. The editor
/// creates the file for its owner alone (0600).
pub(super) fn add(editor: &mut Editor, path: Option<&Path>, entry: &str) {
    let added = editor.add_history_entry(entry.trim_end());
    if let (Ok(true), Some(path)) = (added, path) {
        if let Some(directory) = path.parent() {
            // Without it the file cannot be written either, which is no error.
            let _ = create(directory);
        }
        let _ = editor.append_history(path);
    }
}

fn create(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
