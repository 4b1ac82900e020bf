//! `file`: from lstat(2), stat(2) and readlink(2).

use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use collector::{
    Host, Row, Rows, Table, elsewhere_text, int, mount_namespace_id, pattern, pid_with_namespace, reason,
    required, text, unique, vanished,
};
use model::{Extent, Query, Run, ScanError, Value};

use crate::paths::{self, Found};

pub(crate) static TABLE: Table<File, Host> = Table {
    name: "file",
    about: "Files and directories by path or pattern: `%` stays within one name, `%%` goes all the way down.",
    identity: unique(&["path", "directory"]),
    extent: Extent::PerKey { keys: 100_000, rows: 1 },
    columns: &[
        required(pattern(text("path", "Path, as it was asked for.", |f| f.found.path().into()))),
        required(pattern(text("directory", "Directory of the path; empty for `/`.", |f| {
            f.found.directory().into()
        }))),
        text("filename", "Last name of the path.", |f| f.found.filename().into()),
        int("inode", "Inode number.", |f| f.stat(MetadataExt::ino)),
        int("uid", "User id of the owner.", |f| f.stat(MetadataExt::uid)),
        int("gid", "Group id of the file.", |f| f.stat(MetadataExt::gid)),
        text("mode", "Permission bits in octal: `0644`, `4755`.", |f| {
            f.stat(|m| format!("{:04o}", m.mode() & 0o7777))
        }),
        int("device", "Device that holds the file (st_dev).", |f| f.stat(MetadataExt::dev)),
        int("size", "Bytes of content.", |f| f.stat(MetadataExt::size)),
        int("block_size", "Bytes that are best read at once.", |f| f.stat(MetadataExt::blksize)),
        int("atime", "Last read, in seconds since 1970.", |f| f.stat(MetadataExt::atime)),
        int("mtime", "Last change of the content, in seconds since 1970.", |f| f.stat(MetadataExt::mtime)),
        int("ctime", "Last change of content, owner or mode, in seconds since 1970.", |f| {
            f.stat(MetadataExt::ctime)
        }),
        int("btime", "Creation, in seconds since 1970; NULL when the file system does not say.", |f| {
            f.stat(born)
        }),
        int("hard_links", "Number of hard links.", |f| f.stat(MetadataExt::nlink)),
        int("symlink", "1 when the path is a symbolic link, whose target the other columns tell of.", |f| {
            f.facts().map(|facts| facts.link.is_symlink()).into()
        }),
        text(
            "type",
            "`regular`, `directory`, `character`, `block`, `fifo`, `socket`; `symlink` if it dangles.",
            |f| f.stat(|m| kind(m.file_type())),
        ),
        text("symlink_target_path", "Where a symbolic link points, as it is written there.", File::target),
        elsewhere_text("attributes"),
        elsewhere_text("volume_serial"),
        elsewhere_text("file_id"),
        elsewhere_text("file_version"),
        elsewhere_text("product_version"),
        elsewhere_text("original_filename"),
        elsewhere_text("shortcut_target_path"),
        elsewhere_text("shortcut_target_type"),
        elsewhere_text("shortcut_target_location"),
        elsewhere_text("shortcut_start_in"),
        elsewhere_text("shortcut_run"),
        elsewhere_text("shortcut_comment"),
        elsewhere_text("bsd_flags"),
        pid_with_namespace(),
        mount_namespace_id(),
    ],
    scan,
    examples: &[
        "SELECT path, mode, uid FROM file WHERE path = '/etc/passwd'",
        "SELECT path, size, mtime FROM file WHERE directory = '/etc' AND type = 'regular'",
        "SELECT path FROM file WHERE path LIKE '/etc/cron%/%'",
    ],
};

pub(crate) struct File {
    found: Found,
    host: Host,
    run: Run,
    facts: OnceLock<Option<Facts>>,
    target: OnceLock<Option<PathBuf>>,
}

struct Facts {
    link: Metadata,
    /// Of the target when there is one, otherwise of the link itself.
    stat: Metadata,
}

impl Row for File {
    fn heap_bytes(&self) -> usize {
        self.found.heap_bytes() + self.target.get().and_then(Option::as_ref).map_or(0, PathBuf::capacity)
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<File>, ScanError> {
    let (host, run) = (host.clone(), query.run.clone());
    let found = paths::asked(TABLE.name, &host, query)?;
    Ok(Box::new(found.map(move |found| {
        Ok(File {
            found: found?,
            host: host.clone(),
            run: run.clone(),
            facts: OnceLock::new(),
            target: OnceLock::new(),
        })
    })))
}

impl File {
    fn stat<V: Into<Value<'static>>>(&self, get: impl Fn(&Metadata) -> V) -> Value<'_> {
        self.facts().map(|facts| get(&facts.stat).into()).unwrap_or(Value::Null)
    }

    fn facts(&self) -> Option<&Facts> {
        let read = || {
            let link = self.readable(self.host.lstat(self.found.path()))?;
            let stat = match link.is_symlink() {
                true => self.host.stat(self.found.path()).unwrap_or_else(|_| link.clone()),
                false => link.clone(),
            };
            Some(Facts { link, stat })
        };
        self.facts.get_or_init(read).as_ref()
    }

    fn target(&self) -> Value<'_> {
        let read = || self.facts()?.link.is_symlink().then(|| self.host.read_link(self.found.path()));
        self.target.get_or_init(|| self.readable(read()?)).as_ref().into()
    }

    fn readable<T>(&self, read: io::Result<T>) -> Option<T> {
        let note = |error: io::Error| {
            if !vanished(&error) {
                self.run.note(TABLE.name, "", reason(&error));
            }
        };
        read.map_err(note).ok()
    }
}

fn born(metadata: &Metadata) -> Option<i64> {
    let since = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        k if k.is_file() => "regular",
        k if k.is_dir() => "directory",
        k if k.is_symlink() => "symlink",
        k if k.is_block_device() => "block",
        k if k.is_char_device() => "character",
        k if k.is_fifo() => "fifo",
        k if k.is_socket() => "socket",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::probe::{self, Fixture, cell, text};
    use model::{Op, Stop};

    const NONE: [String; 0] = [];

    fn tree() -> Fixture {
        let machine = Fixture::new();
        for path in ["/a/x.conf", "/a/.hidden", "/a/b/y.conf", "/a/b/c/z", "/a/my_dir/w", "/a/mydir2/w"] {
            machine.file(path, path);
        }
        machine.link("/a/loop", ".");
        machine.link("/a/up", "..");
        machine.link("/a/dangling", "nowhere");
        machine.link("/linked", "a");
        machine
    }

    #[test]
    fn a_percent_stays_within_one_name_and_two_go_all_the_way_down() {
        let like = |pattern| tree().like(&TABLE, "path", pattern);
        assert_eq!(like("/a/b/%"), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(like("/a/%.conf"), ["/a/x.conf"]);
        assert_eq!(like("/a/%.CONF"), ["/a/x.conf"]);
        assert_eq!(like("/a/.%"), ["/a/.hidden"]);
        assert_eq!(like("/a/b/%%"), ["/a/b/c", "/a/b/c/z", "/a/b/y.conf"]);
        assert_eq!(like("/a/b%%"), ["/a/b", "/a/b/c", "/a/b/c/z", "/a/b/y.conf"]);
        assert_eq!(like("/a/m%/w"), ["/a/my_dir/w", "/a/mydir2/w"]);
        assert_eq!(like("/a/my_dir/%"), ["/a/my_dir/w"]);
        assert_eq!(like("/a/b"), ["/a/b"]);
        assert_eq!(like("/a/%/"), ["/a/b/", "/a/loop/", "/a/my_dir/", "/a/mydir2/", "/a/up/"]);
        assert_eq!(like("/linked/b/%"), ["/linked/b/c", "/linked/b/y.conf"]);
        assert_eq!(like("/a/none/%"), NONE);
        assert_eq!(like("/a/x.conf/%"), NONE);
        assert_eq!(like("%.conf"), NONE);
        assert_eq!(like(""), NONE);
    }

    #[test]
    fn recursion_does_not_follow_links() {
        let below = tree().like(&TABLE, "path", "/%%");
        assert_eq!(below.len(), 15, "{below:?}");
        assert!(below.iter().all(|path| !path.starts_with("/a/loop/") && !path.starts_with("/linked/")));
        assert_eq!(tree().like(&TABLE, "path", "/linked/%%").len(), 13);
    }

    #[test]
    fn a_directory_lists_what_is_in_it() {
        let machine = tree();
        let rows = |directory: &'static str| machine.rows(&TABLE, &[("directory", directory.into())]);
        assert_eq!(probe::paths(&TABLE, &rows("/a/b")), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(probe::paths(&TABLE, &rows("/")), ["/a", "/linked"]);
        let slash = rows("/a/b/");
        assert_eq!(probe::paths(&TABLE, &slash), ["/a/b/c", "/a/b/y.conf"]);
        assert!(slash.iter().all(|row| text(row, &TABLE, "directory") == "/a/b/"));
        assert_eq!(rows("/a/x.conf").len() + rows("a").len() + rows("").len() + rows("/none").len(), 0);
        let like = |pattern| machine.like(&TABLE, "directory", pattern);
        assert_eq!(like("/a/m%"), ["/a/my_dir/w", "/a/mydir2/w"]);
        assert_eq!(like("/a/b"), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(like("/a/b/%"), ["/a/b/c/z"]);
    }

    #[test]
    fn a_path_is_given_back_as_it_was_asked_for() {
        let machine = tree();
        let paths = ["/a/b/", "/a/../a/x.conf", "/a/b", "/a/none", "a/b", "/a/b\0", "/a/x.conf/", "/a/b"];
        let run = Run::unlimited();
        let equal = [("path", Op::Eq, paths.map(Value::from).to_vec())];
        let rows = probe::rows(&TABLE, &machine.host(), &equal, &run).unwrap();
        let found: Vec<_> = rows.iter().map(|row| text(row, &TABLE, "path")).collect();
        assert_eq!(found, ["/a/b/", "/a/../a/x.conf", "/a/b"]);
        assert_eq!(text(&rows[0], &TABLE, "filename"), "b");
        assert_eq!(run.notes().len(), 1, "the relative path: {:?}", run.notes());
    }

    #[test]
    fn a_path_and_a_directory_narrow_to_the_path() {
        let machine = tree();
        let rows = machine.rows(&TABLE, &[("directory", "/a".into()), ("path", "/a/x.conf".into())]);
        assert_eq!(probe::paths(&TABLE, &rows), ["/a/x.conf"]);
        let like = [
            ("path", Op::Like, vec!["%conf".into()]),
            ("path", Op::Like, vec!["/a/%".into()]),
            ("path", Op::Like, vec!["/a/b/%".into()]),
        ];
        let rows = probe::rows(&TABLE, &machine.host(), &like, &Run::unlimited()).unwrap();
        assert_eq!(probe::paths(&TABLE, &rows), ["/a/b/c", "/a/b/y.conf"]);
    }

    #[test]
    fn globs_are_patterns_too() {
        let glob = [("path", Op::Glob, vec!["/a/*.con[e-g]".into()])];
        let rows = probe::rows(&TABLE, &tree().host(), &glob, &Run::unlimited()).unwrap();
        assert_eq!(probe::paths(&TABLE, &rows), ["/a/x.conf"]);
    }

    #[test]
    fn names_that_are_not_utf8_keep_their_bytes() {
        let machine = Fixture::new();
        let path = OsStr::from_bytes(b"/d/\xff\xfe");
        machine.file(path, "");
        let rows = machine.rows(&TABLE, &[("directory", "/d".into())]);
        assert_eq!(cell(&rows[0], &TABLE, "filename").as_text(), Some(&b"\xff\xfe"[..]));
        let keyed = machine.rows(&TABLE, &[("path", path.as_bytes().to_vec().into())]);
        assert_eq!(keyed, rows);
    }

    #[test]
    fn a_link_tells_of_its_target_unless_it_dangles() {
        let machine = tree();
        let row = |path: &'static str| machine.rows(&TABLE, &[("path", path.into())]).remove(0);
        let linked = row("/linked");
        assert_eq!(text(&linked, &TABLE, "type"), "directory");
        assert_eq!(cell(&linked, &TABLE, "symlink").as_int(), Some(1));
        assert_eq!(text(&linked, &TABLE, "symlink_target_path"), "a");
        assert_eq!(cell(&linked, &TABLE, "inode"), cell(&row("/a"), &TABLE, "inode"));
        assert_eq!(text(&row("/a/dangling"), &TABLE, "type"), "symlink");
        assert!(cell(&row("/a"), &TABLE, "symlink_target_path").is_null());
    }

    #[test]
    fn few_rows_are_read_without_walking_everything() {
        let query = probe::query(&TABLE, &[("path", Op::Like, vec!["/%%".into()])], &Run::unlimited());
        let began = std::time::Instant::now();
        assert_eq!(scan(&Host::live(), &query).unwrap().take(3).count(), 3);
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_scan_stops_when_told_and_gives_its_memory_back() {
        let machine = tree();
        for n in 0..200 {
            std::fs::create_dir(machine.place(format!("/a/d{n}"))).unwrap();
        }
        let run = Run::unlimited();
        let query = probe::query(&TABLE, &[("path", Op::Like, vec!["/%%".into()])], &run);
        let mut rows = scan(&machine.host(), &query).unwrap();
        assert!(rows.next().unwrap().is_ok());
        run.cancel();
        assert_eq!(rows.find_map(Result::err), Some(ScanError::Stopped(Stop::Cancelled)));
        assert!(run.held() > 0);
        drop(rows);
        assert_eq!(run.held(), 0);
    }

    #[test]
    fn an_empty_list_matches_nothing() {
        for op in [Op::Eq, Op::Like, Op::Glob] {
            let rows = probe::rows(&TABLE, &tree().host(), &[("path", op, vec![])], &Run::unlimited());
            assert_eq!(rows, Ok(vec![]));
        }
    }

    #[test]
    fn without_a_path_the_scan_says_what_it_needs() {
        let query = probe::query(&TABLE, &[], &Run::unlimited());
        assert!(matches!(scan(&Host::live(), &query), Err(ScanError::Failed(why)) if why.contains("path")));
    }
}
