use crate::machine::{Machine, assert_same};
use crate::outside::{needs, told_text};

#[test]
fn packages_are_those_of_dpkg_query() {
    if !needs("dpkg-query") {
        return;
    }
    let format = "${Package}|${Version}|${Source}|${Installed-Size}|${Architecture}|${Status}|${Maintainer}|\
                  ${Section}|${Priority}\n";
    let told = told_text("dpkg-query", &["-W", "-f", format]);
    let theirs: Vec<_> = told.lines().map(str::to_owned).collect();
    let sql = "SELECT name, version, source, coalesce(size, ''), arch, status, maintainer,
                      coalesce(section, ''), coalesce(priority, '') FROM deb_packages";
    assert_same(&Machine::live().lines(sql), &theirs, "deb_packages");
}
