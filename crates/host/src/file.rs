//! `file`: from lstat(2), stat(2) and readlink(2).

use std::fs::{FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use collector::{
    Host, Row, Rows, Table, elsewhere_text, int, mount_namespace_id, or_note, pattern, pid_with_namespace,
    required, text, unique,
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
        int("uid", "User ID of the owner.", |f| f.stat(MetadataExt::uid)),
        int("gid", "Group ID of the file.", |f| f.stat(MetadataExt::gid)),
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
    let found = paths::asked(&host, query, TABLE.name)?;
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
        or_note(read, &self.run, TABLE.name, "")
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
    use crate::fixture::{Fixture, Scan};
    use model::{Op, Stop};

    const NONE: [String; 0] = [];

    fn tree() -> Fixture {
        let machine = Fixture::new();
        for path in ["/a/x.conf", "/a/.hidden", "/a/b/y.conf", "/a/b/c/z", "/a/my_dir/w", "/a/mydir2/w"] {
            machine.file(path, path);
        }
        machine.link("/a/loop", ".").link("/a/up", "..").link("/a/dangling", "nowhere").link("/linked", "a");
        machine
    }

    /// The paths of the rows, sorted.
    fn paths(scan: &Scan) -> Vec<String> {
        let mut paths = scan.texts(&["path"]);
        paths.sort();
        paths
    }

    fn like(column: &str, pattern: &'static str) -> Vec<String> {
        paths(&tree().scan(&TABLE).when(column, Op::Like, [pattern]))
    }

    #[test]
    fn a_percent_stays_within_one_name_and_two_go_all_the_way_down() {
        let like = |pattern| like("path", pattern);
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
        let below = like("path", "/%%");
        assert_eq!(below.len(), 15, "{below:?}");
        assert!(below.iter().all(|path| !path.starts_with("/a/loop/") && !path.starts_with("/linked/")));
        assert_eq!(like("path", "/linked/%%").len(), 13);
    }

    #[test]
    fn a_directory_lists_what_is_in_it() {
        let machine = tree();
        let scan = |directory: &'static str| machine.scan(&TABLE).equal("directory", directory);
        assert_eq!(paths(&scan("/a/b")), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(paths(&scan("/")), ["/a", "/linked"]);
        assert_eq!(paths(&scan("/a/b/")), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(scan("/a/b/").texts(&["directory"]), ["/a/b/", "/a/b/"]);
        for none in ["/a/x.conf", "a", "", "/none"] {
            assert_eq!(paths(&scan(none)), NONE, "{none}");
        }
        let like = |pattern| like("directory", pattern);
        assert_eq!(like("/a/m%"), ["/a/my_dir/w", "/a/mydir2/w"]);
        assert_eq!(like("/a/b"), ["/a/b/c", "/a/b/y.conf"]);
        assert_eq!(like("/a/b/%"), ["/a/b/c/z"]);
    }

    #[test]
    fn a_path_is_given_back_as_it_was_asked_for() {
        let machine = tree();
        let paths = ["/a/b/", "/a/../a/x.conf", "/a/b", "/a/none", "a/b", "/a/b\0", "/a/x.conf/", "/a/b"];
        let scan = machine.scan(&TABLE).when("path", Op::Eq, paths);
        let found = ["/a/b/|b", "/a/../a/x.conf|x.conf", "/a/b|b"];
        assert_eq!(scan.texts(&["path", "filename"]), found);
        assert_eq!(scan.notes().len(), 1, "the relative path: {:?}", scan.notes());
    }

    #[test]
    fn a_path_and_a_directory_narrow_to_the_path() {
        let machine = tree();
        let both = machine.scan(&TABLE).equal("directory", "/a").equal("path", "/a/x.conf");
        assert_eq!(paths(&both), ["/a/x.conf"]);
        let like = |scan: Scan, pattern| scan.when("path", Op::Like, [pattern]);
        let three = ["%conf", "/a/%", "/a/b/%"].into_iter().fold(machine.scan(&TABLE), like);
        assert_eq!(paths(&three), ["/a/b/c", "/a/b/y.conf"]);
    }

    #[test]
    fn globs_are_patterns_too() {
        let machine = tree();
        let glob = machine.scan(&TABLE).when("path", Op::Glob, ["/a/*.con[e-g]"]);
        assert_eq!(paths(&glob), ["/a/x.conf"]);
    }

    #[test]
    fn names_that_are_not_utf8_keep_their_bytes() {
        let machine = Fixture::new();
        let path = OsStr::from_bytes(b"/d/\xff\xfe");
        machine.file(path, "");
        let listed = machine.scan(&TABLE).equal("directory", "/d");
        assert_eq!(listed.texts(&["filename"]), ["\\xff\\xfe"]);
        let keyed = machine.scan(&TABLE).equal("path", path.as_bytes().to_vec());
        assert_eq!(keyed.cells(), listed.cells());
    }

    #[test]
    fn a_link_tells_of_its_target_unless_it_dangles() {
        let machine = tree();
        let told = |path: &'static str, columns: &[&str]| {
            machine.scan(&TABLE).equal("path", path).texts(columns).remove(0)
        };
        let columns = ["type", "symlink", "symlink_target_path"];
        assert_eq!(told("/linked", &columns), "directory|1|a");
        assert_eq!(told("/a/dangling", &columns), "symlink|1|nowhere");
        assert_eq!(told("/a", &columns), "directory|0|NULL");
        assert_eq!(told("/linked", &["inode"]), told("/a", &["inode"]));
    }

    #[test]
    fn few_rows_are_read_without_walking_everything() {
        let asked = Scan::of(&TABLE, Host::live()).when("path", Op::Like, ["/%%"]);
        let began = std::time::Instant::now();
        assert_eq!(scan(&asked.host, &asked.query).unwrap().take(3).count(), 3);
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_scan_stops_when_told_and_gives_its_memory_back() {
        let machine = tree();
        for n in 0..200 {
            std::fs::create_dir(machine.place(format!("/a/d{n}"))).unwrap();
        }
        let asked = machine.scan(&TABLE).when("path", Op::Like, ["/%%"]);
        let run = &asked.query.run;
        let mut rows = scan(&asked.host, &asked.query).unwrap();
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
            let none: [&str; 0] = [];
            assert_eq!(tree().scan(&TABLE).when("path", op, none).cells().len(), 0);
        }
    }

    #[test]
    fn without_a_path_the_scan_says_what_it_needs() {
        let asked = Scan::of(&TABLE, Host::live());
        assert!(
            matches!(scan(&asked.host, &asked.query), Err(ScanError::Failed(why)) if why.contains("path"))
        );
    }
}
