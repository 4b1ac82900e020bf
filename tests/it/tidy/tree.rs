//! The files of the project, as paths below its root with `/` between names.

use std::path::Path;

/// The project's root.
pub(super) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every file that is text and not made by a tool.
pub(super) fn text_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(Path::new(ROOT), "", &mut files);
    files.sort();
    files
}

fn walk(directory: &Path, below: &str, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if ["target", ".git", "Cargo.lock"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{below}{name}");
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.push((path, text));
        }
    }
}

/// Every file of Rust.
pub(super) fn rust_files() -> Vec<(String, String)> {
    text_files().into_iter().filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// The text of a file.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Whether there is such a file or directory.
pub(super) fn exists(path: &str) -> bool {
    Path::new(ROOT).join(path).exists()
}

/// The crates of the workspace.
pub(super) fn crates() -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(ROOT).join("crates")).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The lines of one section of a manifest, without comments.
pub(super) fn manifest_section<'m>(manifest: &'m str, section: &str) -> Vec<&'m str> {
    let heading = format!("[{section}]");
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != heading).skip(1);
    let mut found = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with('[')) {
        if !line.is_empty() && !line.starts_with('#') {
            found.push(line);
        }
    }
    found
}
