use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use model::Value;

use crate::machine::{Machine, cell};
use crate::outside::{needs, needs_root, told};

/// Names that a careless reader would trip over.
const NAMES: [&[u8]; 14] = [
    b"plain",
    b"a space ",
    b" leading",
    b"new\nline",
    b"quote'\"`$(x)\\",
    b"50%_done%%",
    b"*?[a-z]{b,c}",
    b"-rf",
    b"\xff\xfe not text",
    b"\xc3\xa9t\xc3\xa9",
    b".hidden",
    b"...",
    b"\x1b[31mred",
    b"|pipe|",
];

fn value(path: &Path) -> Value<'static> {
    path.as_os_str().as_bytes().to_vec().into()
}

/// A directory with a file of each kind.
fn directory() -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| directory.path().join(OsStr::from_bytes(name));
    for (n, name) in NAMES.iter().enumerate() {
        fs::write(at(name), "x".repeat(n * 1000)).unwrap();
    }
    fs::create_dir(at(b"directory")).unwrap();
    fs::hard_link(at(b"plain"), at(b"second name")).unwrap();
    symlink("plain", at(b"link")).unwrap();
    symlink("directory", at(b"link to directory")).unwrap();
    symlink("no such\nfile é", at(b"dangling")).unwrap();
    symlink("loop", at(b"loop")).unwrap();
    drop(UnixListener::bind(at(b"socket")).unwrap());
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at(b"fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o604),
        0,
    )
    .unwrap();
    for (name, mode) in [(b"plain".as_slice(), 0o4750), (b"-rf", 0o2755), (b"directory", 0o1777), (b"...", 0)]
    {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut paths: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    (directory, paths)
}

/// What stat says of a path, in the words of the table. Of a link that leads nowhere it tells the link itself.
fn stated(path: &Path) -> String {
    const FORMAT: &str = "%i|%u|%g|%04a|%d|%s|%o|%X|%Y|%Z|%W|%h|%F\n";
    let path = path.to_str().map(str::to_owned);
    let path = path.as_deref().unwrap();
    let followed = told("stat", &["-L", "--printf", FORMAT, "--", path]);
    let own = || told("stat", &["--printf", FORMAT, "--", path]);
    let said = if followed.is_empty() { own() } else { followed };
    let said = String::from_utf8(said).unwrap();
    [
        ("regular empty file", "regular"),
        ("regular file", "regular"),
        ("character special file", "character"),
        ("block special file", "block"),
        ("symbolic link", "symlink"),
    ]
    .iter()
    .fold(said.trim_end().to_owned(), |said, (theirs, ours)| said.replace(theirs, ours))
}

const COLUMNS: &str = "inode, uid, gid, mode, device, size, block_size, atime, mtime, ctime, coalesce(btime, 0), hard_links, type";

#[test]
fn a_file_is_as_stat_says() {
    if !needs("stat") {
        return;
    }
    let (kept, mut paths) = directory();
    paths.retain(|path| path.to_str().is_some());
    // Nothing in /tmp: others make and remove names there between the two looks.
    let sticky = kept.path().join("sticky");
    fs::create_dir(&sticky).unwrap();
    fs::set_permissions(&sticky, fs::Permissions::from_mode(0o1777)).unwrap();
    paths.push(sticky);
    paths.extend(
        ["/etc/passwd", "/dev/null", "/dev/loop0", "/etc", "/", "/bin/sh", "/proc/version"]
            .map(PathBuf::from),
    );
    let mut machine = Machine::live();
    for path in paths.iter().filter(|path| path.symlink_metadata().is_ok()) {
        // To follow a link once more than others did sets its access time, and only the first time (relatime).
        stated(path);
        let sql = format!("SELECT {COLUMNS} FROM file WHERE path = :path");
        let answer = machine.answer_with(&sql, &[("path", value(path))]);
        let row: Vec<_> = answer.rows.iter().flatten().map(cell).collect();
        assert_eq!(row.join("|"), stated(path), "{path:?}");
    }
}

#[test]
fn every_name_of_a_directory_is_found_byte_by_byte() {
    let (directory, paths) = directory();
    let mut machine = Machine::live();
    let at = value(directory.path());
    let every: Vec<_> = paths.iter().map(|path| vec![value(path)]).collect();
    let mut pattern = directory.path().as_os_str().as_bytes().to_vec();
    pattern.extend_from_slice(b"/%");
    for (filter, given) in [
        ("directory = :given", at),
        ("path LIKE :given", pattern.clone().into()),
        ("path LIKE :given || '%'", pattern.clone().into()),
        ("path GLOB replace(:given, '%', '*')", pattern.into()),
    ] {
        let sql = format!("SELECT path FROM file WHERE {filter} ORDER BY path");
        assert_eq!(machine.answer_with(&sql, &[("given", given)]).rows, every, "{filter}");
    }
    for path in &paths {
        let sql =
            "SELECT path, filename, directory, symlink, symlink_target_path FROM file WHERE path = :path";
        let rows = machine.answer_with(sql, &[("path", value(path))]).rows;
        let target = fs::read_link(path).ok();
        let row = [
            value(path),
            value(Path::new(path.file_name().unwrap())),
            value(directory.path()),
            Value::Int(target.is_some().into()),
            target.map_or(Value::Null, |target| value(&target)),
        ];
        assert_eq!(rows.len(), 1, "{path:?}");
        assert_eq!(rows[0][..4], row[..4], "{path:?}");
        // '' and NULL both say that it is no link.
        if row[3] == Value::Int(1) {
            assert_eq!(rows[0][4], row[4], "{path:?}");
        }
    }
}

#[test]
fn hashes_are_those_of_the_digest_programs() {
    let (_kept, mut paths) = directory();
    paths.push("/bin/sh".into());
    paths.push(std::env::current_exe().unwrap());
    paths.retain(|path| path.is_file() && path.to_str().is_some());
    let mut machine = Machine::live();
    for (program, column) in
        [("md5sum", "md5"), ("sha1sum", "sha1"), ("sha256sum", "sha256"), ("b3sum", "blake3")]
    {
        if !needs(program) {
            continue;
        }
        for path in &paths {
            let sql = format!("SELECT {column} FROM hash WHERE path = :path");
            let ours = machine.answer_with(&sql, &[("path", value(path))]).rows;
            let told = told(program, &["--", path.to_str().unwrap()]);
            // A backslash at the start says that the name in the line is escaped.
            let theirs = told.strip_prefix(b"\\").unwrap_or(&told).split(|b| *b == b' ').next().unwrap();
            // Of a file that nobody but root may read, an ordinary user is told nothing.
            let theirs = if theirs.is_empty() { Value::Null } else { theirs.into() };
            assert_eq!(ours, [[theirs]], "{program} {path:?}");
        }
    }
}

#[test]
fn nothing_but_regular_files_is_hashed() {
    let (directory, paths) = directory();
    let mut machine = Machine::live();
    let sql = "SELECT path FROM hash WHERE directory = :given ORDER BY path";
    let hashed = machine.answer_with(sql, &[("given", value(directory.path()))]).rows;
    let regular = paths.iter().filter(|path| path.is_file()).map(|path| vec![value(path)]);
    assert_eq!(hashed, regular.collect::<Vec<_>>());
}

#[test]
fn extended_attributes_are_those_of_getfattr() {
    if !needs("getfattr") || !needs("setfattr") {
        return;
    }
    // A tmpfs knows no user attributes on old kernels.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("with attributes");
    fs::write(&path, "x").unwrap();
    let at = path.to_str().unwrap();
    for (key, attribute) in [("user.plain", "a value"), ("user.bytes", "0x00ff0a1b"), ("user.empty", "")] {
        told("setfattr", &["-n", key, "-v", attribute, at]);
    }
    if needs("setcap") && needs_root("CAP_SETFCAP") {
        told("setcap", &["cap_net_raw+ep", at]);
    }
    let sql = "SELECT key || '=' || CASE WHEN key = 'security.capability' THEN '' WHEN base64 THEN '0s' || value ELSE '\"' || value || '\"' END
               FROM extended_attributes WHERE path = :path ORDER BY key";
    let ours = Machine::live().answer_with(sql, &[("path", value(&path))]).rows;
    let ours: Vec<_> = ours.iter().map(|row| cell(&row[0])).collect();
    let dump = |encoding: &str| {
        let told = told("getfattr", &["-d", "-h", "-m", "-", "-e", encoding, "--absolute-names", "--", at]);
        String::from_utf8_lossy(&told).into_owned()
    };
    let (plain, coded) = (dump("text"), dump("base64"));
    let mut theirs: Vec<_> = plain
        .lines()
        .zip(coded.lines())
        .filter(|(plain, _)| plain.contains('=') && !plain.starts_with('#'))
        .map(|(plain, coded)| match plain.split_once('=').unwrap() {
            ("security.capability", _) => "security.capability=".to_owned(),
            ("user.bytes", _) => coded.to_owned(),
            _ => plain.to_owned(),
        })
        .collect();
    theirs.sort();
    assert!(theirs.len() >= 3, "{theirs:?}");
    assert_eq!(ours, theirs);
    if needs("getcap") && ours.iter().any(|line| line.starts_with("security.")) {
        let sql = "SELECT value FROM extended_attributes WHERE path = :path AND key = 'security.capability'";
        let ours = Machine::live().answer_with(sql, &[("path", value(&path))]).rows;
        let told = told("getcap", &[at]);
        assert!(told.trim_ascii_end().ends_with(ours[0][0].as_text().unwrap()), "{ours:?}");
    }
}

#[test]
fn set_user_id_programs_are_those_of_find() {
    if !needs("find") {
        return;
    }
    let mut machine = Machine::live();
    // A link to one is one too, as in osquery.
    let sql = "SELECT path FROM suid_bin WHERE path LIKE '/usr/bin/%' ORDER BY path";
    let ours = machine.lines(sql);
    let told = told("find", &["-L", "/usr/bin", "-perm", "/6000", "-type", "f", "-print0"]);
    let mut theirs: Vec<_> = told.split(|b| *b == 0).filter(|path| !path.is_empty()).collect();
    theirs.sort();
    let ours: Vec<_> = ours.iter().map(String::as_bytes).collect();
    assert_eq!(ours, theirs);
}
