use std::collections::BTreeSet;

use collector::Host;

use crate::machine::{Machine, assert_same};
use crate::outside::{fixture, needs, told_text};

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn users_are_those_of_getent() {
    if !needs("getent") {
        return;
    }
    let sql =
        "SELECT printf('%s:x:%d:%d:%s:%s:%s', username, uid, gid, description, directory, shell) FROM users";
    let ours = Machine::live().lines(sql);
    assert_same(&ours, &lines(&told_text("getent", &["-s", "files", "passwd"])), "users");
}

#[test]
fn groups_are_those_of_getent() {
    if !needs("getent") {
        return;
    }
    let theirs = told_text("getent", &["-s", "files", "group"]);
    let theirs = theirs.lines().map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        format!("{}|{}", fields[0], fields[2])
    });
    let ours = Machine::live().lines("SELECT groupname, gid FROM groups");
    assert_same(&ours, &theirs.collect::<Vec<_>>(), "groups");
}

#[test]
fn the_groups_of_a_user_are_those_of_id() {
    if !needs("id") {
        return;
    }
    let mut machine = Machine::live();
    for user in machine.lines("SELECT username FROM users GROUP BY uid HAVING count(*) = 1") {
        let sql =
            format!("SELECT g.gid FROM users u JOIN user_groups g USING (uid) WHERE u.username = '{user}'");
        let ours: BTreeSet<_> = machine.lines(&sql).into_iter().collect();
        let told = told_text("id", &["-G", &user]);
        assert_eq!(ours, told.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(), "{user}");
    }
}

#[test]
fn shadow_ages_are_those_of_getent() {
    if !needs("getent") {
        return;
    }
    let days = ["last_change", "min", "max", "warning", "inactive", "expire", "flag"];
    let days = days.map(|column| format!("coalesce(nullif({column}, -1), '')")).join(" || ':' || ");
    let sql = format!("SELECT username || ':' || {days} FROM shadow");
    let theirs = told_text("getent", &["-s", "files", "shadow"]);
    let theirs = theirs.lines().map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        [&fields[..1], &fields[2..]].concat().join(":")
    });
    assert_same(&Machine::live().lines(&sql), &theirs.collect::<Vec<_>>(), "shadow");
}

#[test]
fn logins_are_those_of_last_and_who() {
    let mut machine = Machine::of(Host::at(fixture("debian")));
    if needs("last") {
        let wtmp = fixture("debian").join("var/log/wtmp");
        let told = told_text("last", &["-w", "--time-format", "iso", "-f", wtmp.to_str().unwrap()]);
        let theirs = told.lines().filter(|line| {
            !line.is_empty()
                && !["reboot ", "runlevel ", "wtmp begins"].iter().any(|word| line.starts_with(word))
        });
        // User, terminal, and when it began; where it came from stands between and may be missing.
        let theirs: Vec<_> = theirs
            .map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                let time = words.iter().find(|word| word.contains('T')).unwrap();
                format!("{}|{}|{time}", words[0], words[1])
            })
            .collect();
        let sql = "SELECT username, tty, strftime('%Y-%m-%dT%H:%M:%S+00:00', time, 'unixepoch')
                   FROM last WHERE type_name = 'user-process'";
        assert_same(&machine.lines(sql), &theirs, "last");
    }
    if needs("who") {
        let utmp = fixture("debian").join("run/utmp");
        let told = told_text("who", &[utmp.to_str().unwrap()]);
        let theirs: Vec<_> =
            told.lines().map(|l| l.split_whitespace().take(4).collect::<Vec<_>>().join("|")).collect();
        let sql =
            "SELECT user, tty, strftime('%Y-%m-%d', time, 'unixepoch'), strftime('%H:%M', time, 'unixepoch')
                   FROM logged_in_users WHERE type = 'user'";
        assert_same(&machine.lines(sql), &theirs, "who");
    }
}
