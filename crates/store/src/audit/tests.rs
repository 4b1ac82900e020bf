//! A ledger over memory, and what an attacker may do to it.
#![allow(clippy::disallowed_methods, reason = "a test writes its fixtures and runs openssl")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use redb::ReadableTable;

use super::layout::{CHECKPOINTS, ENTRIES, META, NODES, PAYLOADS};
use super::*;
use crate::{PendingEntry, StoreError, database};

const EPOCH: [u8; 16] = [9; 16];

fn pending(n: u64) -> PendingEntry {
    PendingEntry {
        epoch: EPOCH,
        n,
        time_ms: 1_700_000_000_000 + n as i64,
        actor: "uid:1000".into(),
        action: "alert.ack".into(),
        subject: format!("alert-{}", n % 3),
        payload: format!("{{\"n\":{n}}}").into_bytes(),
    }
}

fn batch(numbers: std::ops::RangeInclusive<u64>) -> Vec<PendingEntry> {
    numbers.map(pending).collect()
}

fn in_memory(seed: u8, entries: u64) -> Ledger {
    let path = PathBuf::from("audit.redb");
    let file = database::over(crate::faulty::Disk::default(), &path).unwrap();
    let mut ledger = Ledger::over(file, path, |_| Ok(SigningKey::from_bytes(&[seed; 32]))).unwrap();
    ledger.append(&batch(1..=entries / 2)).unwrap();
    ledger.checkpoint(1).unwrap();
    ledger.append(&batch(entries / 2 + 1..=entries)).unwrap();
    ledger.checkpoint(2).unwrap();
    ledger
}

fn kinds(ledger: &Ledger, trust: &Trust) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = ledger.reader().verify(trust).unwrap().findings.iter().map(|f| f.kind).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

fn stored(ledger: &Ledger, sequence: u64) -> Vec<u8> {
    ledger.reader().look(|view| view.stored(sequence)).unwrap()
}

fn put(ledger: &Ledger, sequence: u64, bytes: Option<&[u8]>) {
    let writing = ledger.database_for_tests().begin_write().unwrap();
    {
        let mut entries = writing.open_table(ENTRIES).unwrap();
        match bytes {
            Some(bytes) => entries.insert(sequence, bytes).map(drop).unwrap(),
            None => entries.remove(sequence).map(drop).unwrap(),
        }
    }
    writing.commit().unwrap();
}

#[test]
fn entries_come_back_in_order_and_the_ledger_verifies() {
    let ledger = in_memory(1, 40);
    let reader = ledger.reader();
    assert_eq!(ledger.head().size, 40);
    assert_eq!(reader.head().unwrap(), ledger.head());
    assert_eq!(reader.root(40).unwrap(), ledger.head().root);
    let all = reader.entries(1..=u64::MAX).unwrap();
    assert_eq!(all.iter().map(|e| e.sequence).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let about: Vec<u64> = reader.about("alert-1", 4).unwrap().iter().map(|e| e.sequence).collect();
    assert_eq!(about, (7..=40).step_by(3).collect::<Vec<_>>());
    assert_eq!(reader.payload(3).unwrap().unwrap(), b"{\"n\":3}");
    let verdict = reader.verify(&Trust::default()).unwrap();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.not_checked.len(), 2);
}

#[test]
fn a_batch_that_comes_again_adds_nothing_and_a_gap_is_refused() {
    let mut ledger = in_memory(1, 10);
    let head = ledger.head();
    assert_eq!(ledger.append(&batch(1..=10)).unwrap(), head);
    assert_eq!(ledger.append(&batch(8..=12)).unwrap().size, 12);
    assert_eq!(ledger.last_drained(EPOCH).unwrap(), Some(12));
    let refused = ledger.append(&batch(14..=15)).unwrap_err().to_string();
    assert!(refused.contains("14") && refused.contains("does not follow 12"), "{refused}");
    assert_eq!(ledger.head().size, 12);
    assert_eq!(kinds(&ledger, &Trust::default()), []);
}

#[test]
fn every_bit_of_every_entry_node_and_checkpoint_counts() {
    let ledger = in_memory(1, 10);
    for sequence in 1..=10 {
        let good = stored(&ledger, sequence);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            put(&ledger, sequence, Some(&bad));
            assert!(kinds(&ledger, &Trust::default()).contains(&FindingKind::EntryChanged));
        }
        put(&ledger, sequence, Some(&good));
    }
    let nodes: Vec<_> = ledger
        .reader()
        .look(|view| {
            Ok(view
                .nodes
                .iter()
                .unwrap()
                .map(|n| n.map(|(k, v)| (k.value(), v.value())).unwrap())
                .collect::<Vec<_>>())
        })
        .unwrap();
    for (place, good) in nodes {
        for value in (0..32)
            .map(|at| {
                let mut bad = good;
                bad[at] ^= 1;
                bad
            })
            .chain([good])
        {
            let writing = ledger.database_for_tests().begin_write().unwrap();
            writing.open_table(NODES).unwrap().insert(place, value).unwrap();
            writing.commit().unwrap();
            assert_eq!(kinds(&ledger, &Trust::default()).contains(&FindingKind::NodeWrong), value != good);
        }
    }
    let good = ledger.reader().checkpoints(10).unwrap().remove(0);
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] ^= 1;
        let Ok(bad) = String::from_utf8(bad) else { continue };
        let writing = ledger.database_for_tests().begin_write().unwrap();
        writing.open_table(CHECKPOINTS).unwrap().insert(10, bad.as_str()).unwrap();
        writing.commit().unwrap();
        assert_ne!(kinds(&ledger, &Trust::default()), [], "byte {at}: {bad}");
    }
}

#[test]
fn edit_insert_delete_reorder_and_duplicate_are_named() {
    use FindingKind::*;
    let ledger = in_memory(1, 10);
    let (three, four) = (stored(&ledger, 3), stored(&ledger, 4));
    let edited = Entry { actor: "uid:0".into(), ..Entry::from_stored(&three).unwrap() }.sealed().1;
    put(&ledger, 3, Some(&edited));
    assert!(kinds(&ledger, &Trust::default()).contains(&ChainBroken));
    put(&ledger, 3, None);
    assert!(kinds(&ledger, &Trust::default()).contains(&EntryMissing));
    put(&ledger, 3, Some(&four));
    assert!(kinds(&ledger, &Trust::default()).contains(&EntryMisplaced));
    put(&ledger, 4, Some(&three));
    assert!(kinds(&ledger, &Trust::default()).contains(&EntryMisplaced));
    put(&ledger, 3, Some(&three));
    put(&ledger, 4, Some(&four));
    assert_eq!(kinds(&ledger, &Trust::default()), []);
    put(&ledger, 11, Some(&four));
    assert!(kinds(&ledger, &Trust::default()).contains(&HeadWrong));
    put(&ledger, 11, None);
    put(&ledger, 10, None);
    assert!(kinds(&ledger, &Trust::default()).contains(&HeadWrong));
    let writing = ledger.database_for_tests().begin_write().unwrap();
    writing.open_table(PAYLOADS).unwrap().insert(5, &b"other"[..]).unwrap();
    writing.commit().unwrap();
    assert!(kinds(&ledger, &Trust::default()).contains(&PayloadChanged));
}

#[test]
fn key_and_checkpoint_show_what_the_file_cannot() {
    use FindingKind::*;
    let (ledger, other) = (in_memory(1, 10), in_memory(2, 10));
    let kept = ledger.reader().checkpoints(0).unwrap();
    let trust = Trust { key: Some(ledger.public_key()), checkpoints: kept.clone(), witness: None };
    assert_eq!(kinds(&ledger, &trust), []);
    assert_eq!(ledger.reader().verify(&trust).unwrap().not_checked.len(), 0);
    assert!(kinds(&other, &trust).contains(&OtherLedger));

    // The same ledger by its id: shorter, forked, and signed with another key.
    let twin = |seed, entries: u64, first: u64| {
        let path = PathBuf::from("audit.redb");
        let file = database::over(crate::faulty::Disk::default(), &path).unwrap();
        let key = SigningKey::from_bytes(&[seed; 32]);
        let key = |_| Ok(key.clone());
        drop(Ledger::over(file, path.clone(), key).unwrap());
        let file = database::over(crate::faulty::Disk::default(), &path).unwrap();
        let ledger_of = Ledger::over(file, path.clone(), key).unwrap();
        let writing = ledger_of.database_for_tests().begin_write().unwrap();
        {
            let mut meta = writing.open_table(META).unwrap();
            meta.insert("ledger", &ledger.head().ledger[..]).unwrap();
            let empty = layout::empty_head(ledger.head().ledger);
            meta.insert("head", layout::head_bytes(&empty).as_slice()).unwrap();
        }
        writing.commit().unwrap();
        let mut twin = ledger_of.again_for_tests();
        let mut records = batch(1..=entries);
        records[0].time_ms = first as i64;
        twin.append(&records).unwrap();
        twin.checkpoint(3).unwrap();
        twin
    };
    let same = pending(1).time_ms as u64;
    assert!(kinds(&twin(1, 7, same), &trust).contains(&RolledBack));
    assert_eq!(kinds(&twin(1, 7, same), &Trust::default()), []);
    assert!(kinds(&twin(1, 12, 5), &trust).contains(&Forked));
    assert!(kinds(&twin(3, 10, same), &trust).contains(&KeyChanged));
    let head = ledger.head();
    let witness = Witness { ledger: head.ledger, size: head.size, hash: head.hash };
    let trust = Trust { witness: Some(witness), ..Trust::default() };
    assert_eq!(kinds(&ledger, &trust), []);
    assert!(kinds(&twin(1, 12, 5), &trust).contains(&Forked));
}

#[test]
fn a_proof_survives_its_text_and_no_change_of_it() {
    let ledger = in_memory(1, 10);
    for sequence in 1..=10 {
        let text = ledger.reader().prove(sequence).unwrap().to_string();
        let proof: Proof = text.parse().unwrap();
        assert_eq!(proof.to_string(), text);
        assert_eq!(verify_proof(&proof, &ledger.public_key()).unwrap().sequence, sequence);
        assert!(verify_proof(&proof, &in_memory(2, 1).public_key()).is_err());
    }
    let text = ledger.reader().prove(4).unwrap().to_string();
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 1;
        let Ok(bad) = String::from_utf8(bad) else { continue };
        assert!(
            bad.parse::<Proof>().and_then(|proof| verify_proof(&proof, &ledger.public_key())).is_err(),
            "{at}: {bad}"
        );
    }
    assert!(ledger.reader().prove(11).is_err());
}

#[test]
fn openssl_verifies_a_checkpoint() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: needs openssl");
        return;
    }
    let ledger = in_memory(1, 10);
    let key: NoteKey = ledger.public_key().to_string().parse().unwrap();
    assert_eq!(key, ledger.public_key());
    let checkpoint = Checkpoint::parse(&ledger.reader().checkpoints(10).unwrap()[0]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name)
    };
    let mut openssl = Command::new("openssl");
    openssl
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
        .arg(file("key.pem", key.to_pem().as_bytes()));
    openssl.arg("-sigfile").arg(file("sig", checkpoint.signatures().next().unwrap()));
    let output = openssl.arg("-in").arg(file("text", checkpoint.signed_text().as_bytes())).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn open_error(dir: &Path) -> String {
    Ledger::open(dir).err().unwrap().to_string()
}

#[test]
fn a_key_that_is_open_to_others_missing_or_another_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.append(&batch(1..=3)).unwrap();
    let head = ledger.head();
    assert!(matches!(Ledger::open(dir.path()), Err(StoreError::InUse(_))));
    let outside = LedgerReader::open(dir.path()).unwrap();
    assert_eq!(outside.head().unwrap(), head);
    drop((ledger, outside));
    assert_eq!(Ledger::open(dir.path()).unwrap().head(), head);
    assert_eq!(verify(&dir.path().join("audit.redb"), &Trust::default()).unwrap().findings, []);
    let key = dir.path().join("audit.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(open_error(dir.path()).contains("open to others"));
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&key, [5; 32]).unwrap();
    assert!(open_error(dir.path()).contains("not the key"));
    std::fs::write(&key, [5; 31]).unwrap();
    assert!(open_error(dir.path()).contains("32 bytes"));
    std::fs::remove_file(&key).unwrap();
    assert!(open_error(dir.path()).contains("missing"));
}

#[test]
fn a_later_form_is_left_alone() {
    let ledger = in_memory(1, 1);
    let writing = ledger.database_for_tests().begin_write().unwrap();
    writing.open_table(META).unwrap().insert("form", &2u32.to_le_bytes()[..]).unwrap();
    writing.commit().unwrap();
    assert!(matches!(ledger.reader().head(), Err(StoreError::Newer { found: 2, known: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_tree_and_its_proofs_are_those_of_another_implementation(size in 1u64..70, part in 0.0f64..1.0) {
        let ledger = in_memory(1, size);
        let reader = ledger.reader();
        let mut oracle = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        for sequence in 1..=size {
            oracle.push(stored(&ledger, sequence));
        }
        let old = 1 + (part * size as f64) as u64;
        let root = ledger.head().root;
        let oracle_root = oracle.root();
        prop_assert_eq!(&oracle_root.as_bytes()[..], &root[..]);
        let path = reader.inclusion(old, size).unwrap();
        let proof = oracle.prove_inclusion(old as usize - 1);
        prop_assert_eq!(proof.as_bytes(), path.concat());
        prop_assert!(inclusion_holds(&leaf_hash(&stored(&ledger, old)), old - 1, size, &path, &root));
        prop_assert!(!inclusion_holds(&leaf_hash(b"other"), old - 1, size, &path, &root));
        let (path, old_root) = (reader.consistency(old, size).unwrap(), reader.root(old).unwrap());
        prop_assert!(consistency_holds((old, &old_root), (size, &root), &path));
        prop_assert!(!consistency_holds((old, &[0; 32]), (size, &root), &path));
        if old < size {
            let proof = oracle.prove_consistency((size - old) as usize);
            prop_assert_eq!(proof.as_bytes(), path.concat());
        }
    }
}

/// Released bytes: a ledger that is written today is read by every later version.
#[test]
fn the_bytes_of_entries_and_checkpoints_are_those_of_the_format() {
    let id = [0x11; 16];
    let mut head = layout::empty_head(id);
    let mut all = String::new();
    for n in 1..=2u64 {
        let entry = Entry {
            sequence: n,
            time_ms: 1_700_000_000_000,
            actor: "uid:0".into(),
            action: "alert.ack".into(),
            subject: "a".into(),
            payload_hash: *blake3::hash(b"{}").as_bytes(),
            previous: head.hash,
            hash: [0; 32],
        };
        let (entry, stored) = entry.sealed();
        assert_eq!(Entry::from_stored(&stored).unwrap(), entry);
        assert_eq!(entry.to_stored(), stored);
        (head.size, head.hash) = (n, entry.hash);
        all.push_str(&stored.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    let key = SigningKey::from_bytes(&[3; 32]);
    let checkpoint = checkpoint::sign(&head, 5, &key);
    let digest = blake3::hash(format!("{all}{checkpoint}").as_bytes()).to_hex();
    assert!(all.starts_with("4445454e5452590101000000000000000068e5cf8b010000"), "{all}");
    assert_eq!(digest.as_str(), GOLDEN, "{all} {checkpoint}");
}

const GOLDEN: &str = "5d24f5869c205bc44cd82b6002281e15e767f11d4afc1661c2d194a0ffa90652";

#[test]
fn whichever_write_or_sync_fails_every_entry_is_there_once() {
    use crate::faulty::{Disk, Failure};
    let open = |disk: &Disk| {
        let path = PathBuf::from("audit.redb");
        let file = database::over(disk.clone(), &path)?;
        Ledger::over(file, path, |_| Ok(SigningKey::from_bytes(&[1; 32])))
    };
    let work = |ledger: &mut Ledger, taken: &mut u64| -> Result<(), StoreError> {
        for n in 1..=4 {
            *taken = ledger.append(&batch(n..=n + 1))?.size;
        }
        ledger.checkpoint(7).map(drop)
    };
    let clean = Disk::default();
    let mut ledger = open(&clean).unwrap();
    let before = clean.operations();
    work(&mut ledger, &mut 0).unwrap();
    let operations = clean.operations() - before;
    for n in 1..=operations {
        for (failure, some) in [(Failure::Error, false), (Failure::Error, true), (Failure::Torn, true)] {
            let disk = Disk::default();
            let mut ledger = open(&disk).unwrap();
            disk.fail_at(n, failure);
            let mut taken = 0;
            let failed = work(&mut ledger, &mut taken);
            drop(ledger);
            disk.power_cycle(some);
            let context = format!("operation {n}, {failure:?}, {some}: {failed:?}");
            let mut ledger = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(ledger.head().size >= taken, "{context}: {taken} were acknowledged");
            work(&mut ledger, &mut taken).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(ledger.head().size, 5, "{context}");
            assert_eq!(ledger.reader().verify(&Trust::default()).unwrap().findings, [], "{context}");
        }
    }
}

#[test]
fn a_flip_anywhere_in_the_file_is_named_or_changes_no_entry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.redb");
    let mut ledger = Ledger::open(directory.path()).unwrap();
    ledger.append(&batch(1..=40)).unwrap();
    ledger.checkpoint(1).unwrap();
    let entries = ledger.reader().entries(1..=100).unwrap();
    drop(ledger);
    let bytes = std::fs::read(&path).unwrap();
    let (mut named, mut same) = (0, 0);
    for at in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        match verify(&path, &Trust::default()) {
            Err(_) => named += 1,
            Ok(verdict) if !verdict.findings.is_empty() => named += 1,
            Ok(_) => {
                let reader = LedgerReader::open(directory.path()).unwrap();
                assert_eq!(reader.entries(1..=100).unwrap(), entries, "byte {at}");
                same += 1;
            }
        }
    }
    assert!(named > 50 && same > 0, "{named} named, {same} harmless");
}
