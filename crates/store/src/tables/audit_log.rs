//! `audit_log`: the entries of the ledger.

use std::sync::OnceLock;

use collector::{Row, Rows, Table, blob, int, key, text, unique};
use model::{Extent, Query, ScanError, Value};

use super::{failed, seconds};
use crate::{Entry, Hash, LedgerReader};

/// Entries that are read at once.
const PAGE: u64 = 500;

pub(crate) static TABLE: Table<Logged, LedgerReader> = Table {
    name: "audit_log",
    about: "What the agent and its users did, as the audit ledger keeps it.",
    identity: unique(&["seq", "subject"]),
    extent: Extent::PerKey { keys: 10_000, rows: 2 },
    columns: &[
        key(int("seq", "Place in the ledger, from 1, without gaps.", |l| l.entry.sequence.into())),
        int("time", "When, in seconds since 1970.", |l| seconds(l.entry.time_ms).into()),
        text("actor", "`agent`, or the user that the kernel named, such as `uid:1000`.", |l| {
            (&l.entry.actor).into()
        }),
        text("action", "What was done, such as `alert.raised`.", |l| (&l.entry.action).into()),
        key(text("subject", "To what: an alert's or a rule's id, a file.", |l| (&l.entry.subject).into())),
        text("payload", "What more was written down.", |l| l.payload().into()),
        text("payload_hash", "BLAKE3 over it, in hexadecimal.", |l| hex(&l.entry.payload_hash)),
        text("previous_hash", "Hash of the entry before, in hexadecimal.", |l| hex(&l.entry.previous)),
        text("hash", "Hash of this entry, in hexadecimal.", |l| hex(&l.entry.hash)),
        blob("entry", "The bytes that were hashed: see docs/ledger-format.md.", |l| {
            Value::Blob(l.entry.to_stored().into())
        }),
    ],
    scan,
    examples: &[
        "SELECT seq, time, actor, action, subject FROM audit_log ORDER BY seq DESC LIMIT 20",
        "SELECT actor, action, payload FROM audit_log WHERE subject = 'deleted-executable'",
    ],
};

pub(crate) struct Logged {
    entry: Entry,
    reader: LedgerReader,
    payload: OnceLock<Option<Vec<u8>>>,
}

impl Row for Logged {
    fn heap_bytes(&self) -> usize {
        self.entry.actor.len() + self.entry.action.len() + self.entry.subject.len() + 256
    }
}

impl Logged {
    fn payload(&self) -> Option<&[u8]> {
        let read = || self.reader.payload(self.entry.sequence).ok().flatten();
        self.payload.get_or_init(read).as_deref()
    }
}

fn hex(hash: &Hash) -> Value<'static> {
    blake3::Hash::from_bytes(*hash).to_hex().as_str().to_owned().into()
}

fn scan(reader: &LedgerReader, query: &Query) -> Result<Rows<Logged>, ScanError> {
    let reader = reader.clone();
    let logged = {
        let reader = reader.clone();
        move |entry| Logged { entry, reader: reader.clone(), payload: OnceLock::new() }
    };
    let run = query.run.clone();
    if let Some(sequences) = query.ints("seq") {
        let mut sequences: Vec<u64> = sequences.into_iter().filter_map(|n| u64::try_from(n).ok()).collect();
        sequences.sort_unstable();
        sequences.dedup();
        return Ok(Box::new(sequences.into_iter().filter_map(move |sequence| {
            let entry =
                run.check().map_err(ScanError::from).and_then(|()| reader.entry(sequence).map_err(failed));
            entry.map(|entry| entry.map(&logged)).transpose()
        })));
    }
    if let Some(subjects) = query.texts("subject") {
        let mut subjects: Vec<String> =
            subjects.into_iter().filter_map(|s| String::from_utf8(s.to_vec()).ok()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut entries = Vec::new();
        for subject in subjects {
            let mut after = 0;
            loop {
                run.check()?;
                let page = reader.about(&subject, after).map_err(failed)?;
                let Some(last) = page.last() else { break };
                after = last.sequence;
                entries.extend(page);
            }
        }
        return Ok(Box::new(entries.into_iter().map(move |entry| Ok(logged(entry)))));
    }
    let (mut next, mut page) = (1, Vec::new().into_iter());
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(entry) = page.next() {
                return Some(Ok(logged(entry)));
            }
            let read = run.check().map_err(ScanError::from);
            let read =
                read.and_then(|()| reader.entries(next..=next.saturating_add(PAGE - 1)).map_err(failed));
            match read {
                Err(error) => return Some(Err(error)),
                Ok(entries) => {
                    next = entries.last()?.sequence + 1;
                    page = entries.into_iter();
                }
            }
        }
    })))
}
