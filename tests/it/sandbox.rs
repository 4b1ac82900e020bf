use std::process::Command;

use crate::outside::needs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the program that may read everything must not link: a parser of SQL, and ways to other machines.
const ABSENT: [&str; 9] = [
    "rusqlite",
    "libsqlite3-sys",
    "sqlparser",
    "reqwest",
    "hyper",
    "rustls",
    "openssl-sys",
    "native-tls",
    "vtables",
];

fn tree(arguments: &[&str]) -> std::process::Output {
    let common = ["tree", "--offline", "--locked", "-p", "procmond", "-e", "normal,build"];
    Command::new(env!("CARGO")).args(common).args(arguments).current_dir(ROOT).output().unwrap()
}

#[test]
fn procmond_links_neither_sqlite_nor_an_http_client() {
    for absent in ABSENT {
        let found = tree(&["-i", absent]);
        assert!(
            !found.status.success(),
            "procmond links {absent}:\n{}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
    // Else a misspelt option would pass for an absence.
    assert!(tree(&["-i", "seccompiler"]).status.success());
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    if !needs("systemd-analyze") {
        return;
    }
    // The program that it names is not installed here.
    let unit = std::fs::read_to_string(format!("{ROOT}/packaging/systemd/procmond.service")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("procmond.service");
    std::fs::write(&path, unit.replace("/usr/sbin/procmond", "/bin/true")).unwrap();
    let said = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && !told.contains("procmond.service"), "{told}");
}
