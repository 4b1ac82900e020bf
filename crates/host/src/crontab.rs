//! `crontab`: from `/etc/crontab`, `/etc/cron.d` and the spools of users (crontab(5)).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector::{Host, Masked, Masking, Row, Rows, Table, int, pid_with_namespace, repeated, text};
use model::{Extent, Query, ScanError};

use crate::{bytes, text_file};

pub(crate) static TABLE: Table<Job, Host> = Table {
    name: "crontab",
    about: "Jobs of cron, of the system and of each user.",
    identity: repeated(&["path", "event", "minute", "hour", "command"]),
    extent: Extent::Whole { rows: 20 },
    columns: &[
        text("event", "`@reboot`, `@daily` … of a job that has one in place of the five fields.", |j| {
            j.event.as_ref().into()
        }),
        text("minute", "Minutes: `0`, `*/5` ….", |j| j.field(0).into()),
        text("hour", "Hours.", |j| j.field(1).into()),
        text("day_of_month", "Days of the month.", |j| j.field(2).into()),
        text("month", "Months.", |j| j.field(3).into()),
        text("day_of_week", "Days of the week; 0 and 7 are Sunday.", |j| j.field(4).into()),
        text(
            "command",
            "Command, after the user that it runs as in a crontab of the system; one blank between words, \
             `[masked]` in place of a secret.",
            |j| (&j.command.text).into(),
        ),
        text("path", "File that says so.", |j| j.path.as_path().into()),
        pid_with_namespace(),
        int("masked", "1 if a part of the command is masked.", |j| j.command.masked.into()),
    ],
    scan,
    examples: &[
        "SELECT path, command FROM crontab WHERE event = '@reboot'",
        "SELECT path, command FROM crontab WHERE command LIKE '%/tmp/%'",
    ],
};

/// The spools are those of macOS, of cronie (Red Hat) and of Debian's cron.
const DIRECTORIES: [&str; 4] = ["/etc/cron.d", "/var/at/tabs", "/var/spool/cron", "/var/spool/cron/crontabs"];

#[derive(Debug)]
pub(crate) struct Job {
    event: Option<Vec<u8>>,
    /// Minute to day of the week; `None` for a job with an event.
    fields: Option<[Vec<u8>; 5]>,
    command: Masked,
    path: Arc<PathBuf>,
}

impl Job {
    fn field(&self, at: usize) -> Option<&[u8]> {
        self.fields.as_ref().map(|fields| fields[at].as_slice())
    }
}

impl Row for Job {
    fn heap_bytes(&self) -> usize {
        let fields = self.fields.iter().flatten().map(Vec::len).sum::<usize>();
        self.event.as_ref().map_or(0, Vec::len) + fields + self.command.text.len()
    }
}

fn scan(host: &Host, query: &Query) -> Result<Rows<Job>, ScanError> {
    let (host, run, masking) = (host.clone(), query.run.clone(), host.masking());
    let mut paths = vec![PathBuf::from("/etc/crontab")];
    for directory in DIRECTORIES {
        paths.extend(text_file::files_or_note(&host, &run, TABLE.name, Path::new(directory)));
    }
    Ok(Box::new(paths.into_iter().flat_map(move |path| {
        let content = text_file::read_or_note(&host, &run, TABLE.name, &path);
        let path = Arc::new(path);
        let jobs = bytes::trimmed_lines(&content).filter_map(|line| parse(line, &path, masking)).map(Ok);
        match run.check() {
            Ok(()) => jobs.collect(),
            Err(stop) => vec![Err(stop.into())],
        }
    })))
}

/// The job of a line; `None` for a comment, a variable and what is neither.
fn parse(line: &[u8], path: &Arc<PathBuf>, masking: Masking) -> Option<Job> {
    if line.is_empty() || line[0] == b'#' || is_variable(line) {
        return None;
    }
    let mut words = bytes::words(line);
    let mut word = || words.next().map(<[u8]>::to_vec);
    let first = word()?;
    let (event, fields) = if first[0] == b'@' {
        (Some(first), None)
    } else {
        (None, Some([first, word()?, word()?, word()?, word()?]))
    };
    let command = words.collect::<Vec<_>>().join(&b' ');
    (!command.is_empty()).then(|| Job { event, fields, command: masking.line(command), path: path.clone() })
}

/// Whether a line sets a variable: a word, blanks or none, and `=`, as cron itself tells them apart.
fn is_variable(line: &[u8]) -> bool {
    let end = line.iter().position(|b| *b == b'=' || b.is_ascii_whitespace());
    end.is_some_and(|end| end > 0 && line[end..].trim_ascii_start().starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn job(line: &[u8]) -> Option<Job> {
        parse(line, &Arc::default(), Masking::On)
    }

    #[test]
    fn a_job_has_five_fields_and_a_command_that_keeps_its_words() {
        let job = job(b"17 *\t* * 1-5\troot\tcd / &&  run \xff A=b").unwrap();
        assert_eq!(job.fields.unwrap().concat(), b"17***1-5");
        assert_eq!(job.command.text, b"root cd / && run \xff A=b");
        assert_eq!(job.event, None);
    }

    #[test]
    fn a_job_with_an_event_has_no_fields() {
        let job = job(b"@reboot /usr/bin/evil --now").unwrap();
        assert_eq!((job.event.as_deref(), job.field(0)), (Some(&b"@reboot"[..]), None));
        assert_eq!(job.command.text, b"/usr/bin/evil --now");
    }

    #[test]
    fn a_variable_is_no_job_however_many_words_it_has() {
        for line in ["SHELL=/bin/sh", "MAILTO = a b c d e f", "PATH=/a /b /c /d /e /f", "\"Q\"=1 2 3 4 5 6"] {
            assert!(job(line.as_bytes()).is_none(), "{line}");
        }
        assert!(job(b"* * * * * X=1 cmd").is_some());
    }

    #[test]
    fn garbage_is_no_job() {
        for line in [&b""[..], b"#* * * * * x", b"* * * *", b"* * * * *", b"@reboot", b"\xff\xfe", b"=", b"@"]
        {
            assert!(job(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn jobs_of_all_files_are_listed_in_a_fixed_order() {
        let machine = Fixture::new();
        machine
            .file("/etc/crontab", "SHELL=/bin/sh\r\n1 * * * * root a\r\n")
            .file("/etc/cron.d/z", "2 * * * * root b\n")
            .file("/etc/cron.d/c", "@daily root c\n")
            .file("/var/spool/cron/crontabs/eve", "* * * * * d\n");
        let scan = machine.scan(&TABLE);
        let expected = [
            "/etc/crontab|NULL|1|root a",
            "/etc/cron.d/c|@daily|NULL|root c",
            "/etc/cron.d/z|NULL|2|root b",
            "/var/spool/cron/crontabs/eve|NULL|*|d",
        ];
        assert_eq!(scan.texts(&["path", "event", "minute", "command"]), expected);
        assert_eq!(scan.notes(), []);
    }
}
