//! The processes of one moment, and what became of those of an earlier one.

use std::borrow::Cow;
use std::collections::HashMap;

use collector::{Exe, Observation, Process, Rows, Status};
use model::{Domain, ScanError, Value};

type Fields = Vec<(Cow<'static, str>, Value<'static>)>;

/// Processes by pid.
#[derive(Debug, Default)]
pub(super) struct Photograph(HashMap<u32, Seen>);

/// What is compared from one photograph to the next.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    key: String,
    name: Vec<u8>,
    parent: Option<u32>,
    start_time: Option<i64>,
    ids: Ids,
    /// `None` where the image cannot be seen.
    path: Option<Vec<u8>>,
    /// The kernel adds to the names of its own workers what they work at.
    is_kernel_thread: bool,
    /// It has exited, and its parent has not asked for it yet.
    is_zombie: bool,
}

/// Real, effective and saved user and group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ids([Option<u32>; 6]);

const ID_NAMES: [&str; 6] = ["uid", "euid", "suid", "gid", "egid", "sgid"];
const PREVIOUS_ID_NAMES: [&str; 6] =
    ["previous_uid", "previous_euid", "previous_suid", "previous_gid", "previous_egid", "previous_sgid"];

impl Ids {
    fn of(status: Option<&Status>) -> Ids {
        Ids(status.map_or([None; 6], |s| [s.uid, s.euid, s.suid, s.gid, s.egid, s.sgid]))
    }
}

impl Photograph {
    /// Whether it shows no process.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in the rows of a scan, and tells what happened since `self`: exits first, so that a pid that was
    /// taken again ends before it starts. Also how many processes could not be told from others.
    ///
    /// An error leaves out nothing: a scan that was cut short shows no exits that never were.
    pub(super) fn next(
        &self,
        rows: Rows<Process>,
        time_ns: i64,
    ) -> Result<(Photograph, Vec<Observation>, usize), ScanError> {
        let mut now = HashMap::with_capacity(self.0.len());
        let (mut later, mut nameless) = (Vec::new(), 0);
        let happened = |kind, fields| Observation { domain: Domain::Process, kind, time_ns, fields };
        for process in rows {
            let process = process?;
            let Some(mut seen) = Seen::of(&process) else {
                nameless += 1;
                // It is there, whoever it is: nothing has exited.
                if let Some(before) = self.0.get(&process.pid()) {
                    now.insert(process.pid(), before.clone());
                }
                continue;
            };
            match self.0.get(&process.pid()).filter(|before| before.key == seen.key) {
                Some(before) => {
                    seen.inherit(before);
                    if seen.is_zombie && !before.is_zombie {
                        later.push(happened("exit".into(), seen.fields(process.pid())));
                    } else if let Some(changes) = seen.changes(before) {
                        let mut fields = seen.fields_with_cmdline(&process);
                        fields.extend(changes);
                        later.push(happened("change".into(), fields));
                    }
                }
                None => {
                    later.push(happened("start".into(), seen.fields_with_cmdline(&process)));
                    if seen.is_zombie {
                        later.push(happened("exit".into(), seen.fields(process.pid())));
                    }
                }
            }
            now.insert(process.pid(), seen);
        }
        let is_gone = |(pid, before): &(&u32, &Seen)| {
            !before.is_zombie && now.get(pid).is_none_or(|after| after.key != before.key)
        };
        let mut gone: Vec<_> = self.0.iter().filter(is_gone).collect();
        gone.sort_unstable_by_key(|(pid, _)| **pid);
        let exits = gone.into_iter().map(|(pid, before)| happened("exit".into(), before.fields(*pid)));
        let events = exits.chain(later).collect();
        Ok((Photograph(now), events, nameless))
    }
}

impl Seen {
    /// `None` for a process that cannot be told from another of its pid.
    fn of(process: &Process) -> Option<Seen> {
        let key = process.start_key()?;
        let stat = process.stat("")?;
        let path = |exe: &Exe| exe.path.clone();
        Some(Seen {
            key,
            name: stat.name.clone(),
            parent: stat.parent,
            start_time: process.start_time(),
            ids: Ids::of(process.status("")),
            path: process.exe("").map(path),
            is_kernel_thread: stat.kernel_thread,
            is_zombie: matches!(stat.state, Some(b'Z' | b'X')),
        })
    }

    /// Keeps what was known and cannot be seen any more; a zombie has lost its image, which says nothing.
    fn inherit(&mut self, before: &Seen) {
        if self.path.is_none() || self.is_zombie {
            self.path.clone_from(&before.path);
        }
        for (now, before) in self.ids.0.iter_mut().zip(before.ids.0) {
            *now = now.or(before);
        }
    }

    /// The names of what changed in `changed`, and the values before; `None` when nothing did. What could not
    /// be seen before has not changed.
    fn changes(&self, before: &Seen) -> Option<Fields> {
        let (mut changed, mut fields) = (Vec::new(), Fields::new());
        let ids = ID_NAMES.iter().zip(PREVIOUS_ID_NAMES).zip(self.ids.0.iter().zip(before.ids.0));
        for ((name, previous), (now, before)) in ids {
            if before.is_some() && *now != before {
                changed.push(*name);
                fields.push((previous.into(), before.into()));
            }
        }
        if self.name != before.name && !self.is_kernel_thread {
            changed.push("name");
            fields.push(("previous_name".into(), before.name.clone().into()));
        }
        if before.path.is_some() && self.path != before.path {
            changed.push("path");
            fields.push(("previous_path".into(), before.path.clone().into()));
        }
        if self.parent != before.parent {
            changed.push("parent");
            fields.push(("previous_parent".into(), before.parent.into()));
        }
        fields.push(("changed".into(), changed.join(",").into()));
        (!changed.is_empty()).then_some(fields)
    }

    fn fields(&self, pid: u32) -> Fields {
        let mut fields: Fields = vec![
            ("pid".into(), pid.into()),
            ("parent".into(), self.parent.into()),
            ("name".into(), self.name.clone().into()),
            ("path".into(), self.path.clone().into()),
            ("start_time".into(), self.start_time.into()),
            ("start_key".into(), self.key.clone().into()),
        ];
        fields.extend(ID_NAMES.iter().zip(self.ids.0).map(|(name, id)| ((*name).into(), id.into())));
        fields
    }

    fn fields_with_cmdline(&self, process: &Process) -> Fields {
        let mut fields = self.fields(process.pid());
        let cmdline = process.cmdline("cmdline");
        fields.push(("cmdline".into(), cmdline.map(|c| c.text.clone()).into()));
        fields.push(("cmdline_masked".into(), cmdline.map(|c| c.masked).into()));
        fields
    }
}

#[cfg(test)]
mod tests {
    use collector::{
        Masking, OfAll, ProcessCollector, ProcessQuery, ProcessRecord, ProcessRecords, Reads, Started, Stat,
    };
    use model::Run;

    use super::*;

    /// A process that runs `/bin/NAME` with these ids, in this state, since this tick.
    fn process(pid: u32, name: &str, uid: u32, state: u8, start: u64) -> ProcessRecord {
        let stat = Stat {
            name: name.into(),
            state: Some(state),
            parent: Some(1),
            start_ticks: Some(start),
            ..Stat::default()
        };
        let ids = Some(uid);
        let status =
            Status { uid: ids, euid: ids, suid: ids, gid: ids, egid: ids, sgid: ids, ..Status::default() };
        let is_zombie = state == b'Z';
        let path = if is_zombie { Vec::new() } else { format!("/bin/{name}").into_bytes() };
        ProcessRecord {
            pid,
            stat: Some(stat),
            started: Some(Started { unix: Some(1000), key: Some(format!("b-{pid}-{start}")) }),
            status: Some(status),
            cmdline: Some(format!("{name}\0--password\0hunter2").into_bytes()),
            exe: Some(Exe { path, deleted: Some(false) }),
            ..ProcessRecord::default()
        }
    }

    fn rows(records: &[ProcessRecord]) -> Rows<Process> {
        let query = ProcessQuery {
            table: "processes",
            pids: None,
            reads: Reads::More,
            ids_alone: true,
            of_all: OfAll::default(),
            masking: Masking::On,
            run: Run::unlimited(),
        };
        ProcessRecords(records.to_vec()).scan(query).unwrap()
    }

    /// What the second photograph tells after the first: kind, pid and what changed.
    fn between(before: &[ProcessRecord], after: &[ProcessRecord]) -> Vec<String> {
        let (first, _, _) = Photograph::default().next(rows(before), 0).unwrap();
        let (second, events, _) = first.next(rows(after), 7).unwrap();
        // What was told once is not told again.
        assert_eq!(second.next(rows(after), 8).unwrap().1, []);
        events.iter().map(told).collect()
    }

    fn told(event: &Observation) -> String {
        let field = |name: &str| event.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let pid = field("pid").and_then(Value::as_int).unwrap();
        let changed = field("changed").and_then(Value::as_str).unwrap_or_default();
        format!("{} {pid} {changed}", event.kind).trim_end().to_owned()
    }

    #[test]
    fn starts_exits_and_changes_are_told_in_the_order_that_makes_sense() {
        let init = process(1, "init", 0, b'S', 1);
        let before = [init.clone(), process(2, "old", 5, b'S', 2), process(3, "sh", 5, b'S', 3)];
        let after =
            [init, process(2, "new", 5, b'R', 9), process(3, "su", 0, b'S', 3), process(4, "x", 5, b'S', 9)];
        assert_eq!(
            between(&before, &after),
            ["exit 2", "start 2", "change 3 uid,euid,suid,gid,egid,sgid,name,path", "start 4"]
        );
        assert_eq!(between(&after, &after), Vec::<String>::new());
    }

    #[test]
    fn a_zombie_has_exited_once() {
        let alive = [process(2, "x", 5, b'S', 2)];
        let zombie = [process(2, "x", 5, b'Z', 2)];
        assert_eq!(between(&alive, &zombie), ["exit 2"]);
        assert_eq!(between(&zombie, &[]), Vec::<String>::new());
        assert_eq!(between(&[], &zombie), ["start 2", "exit 2"]);
    }

    #[test]
    fn what_cannot_be_seen_has_not_changed() {
        let seen = process(2, "x", 5, b'S', 2);
        let unseen = ProcessRecord { exe: None, status: None, ..seen.clone() };
        let nameless = ProcessRecord { started: None, ..seen.clone() };
        let (seen, unseen, nameless) = ([seen], [unseen], [nameless]);
        for (before, after) in [(&seen, &unseen), (&unseen, &seen), (&seen, &nameless)] {
            assert_eq!(between(before, after), Vec::<String>::new());
        }
        assert_eq!(Photograph::default().next(rows(&nameless), 0).unwrap().2, 1);
    }

    #[test]
    fn what_a_worker_of_the_kernel_works_at_is_no_change() {
        let worker = |name: &str| {
            let mut worker = process(9, name, 0, b'I', 2);
            worker.exe = Some(Exe::default());
            worker.stat.as_mut().unwrap().kernel_thread = true;
            worker
        };
        assert_eq!(between(&[worker("kworker/0:1")], &[worker("kworker/0:1-events")]), Vec::<String>::new());
    }

    #[test]
    fn an_event_has_the_columns_of_the_table_and_no_secret() {
        let (_, events, _) = Photograph::default().next(rows(&[process(2, "x", 5, b'S', 2)]), 7).unwrap();
        let fields: Vec<_> = events[0].fields.iter().map(|(name, value)| (&**name, value.clone())).collect();
        let cmdline = Value::from("x --password [masked]".to_owned());
        assert!(fields.contains(&("cmdline", cmdline)) && fields.contains(&("cmdline_masked", 1.into())));
        assert!(
            fields.contains(&("path", "/bin/x".to_owned().into())) && fields.contains(&("euid", 5.into()))
        );
        assert_eq!((events[0].time_ns, events[0].domain), (7, Domain::Process));
        let schema = collector::AnyTable::<collector::Host>::schema(&crate::processes::TABLE);
        for (name, _) in fields {
            assert!(schema.column(name).is_some(), "{name} is no column of processes");
        }
    }

    #[test]
    fn a_scan_that_is_cut_short_shows_no_exits() {
        let (first, _, _) = Photograph::default().next(rows(&[process(2, "x", 5, b'S', 2)]), 0).unwrap();
        let broken: Rows<Process> = Box::new(std::iter::once(Err(ScanError::Failed("gone".into()))));
        assert!(first.next(broken, 1).is_err());
    }
}
