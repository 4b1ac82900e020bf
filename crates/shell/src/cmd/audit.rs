//! `audit`: whether the ledger is what was written, and proofs of it.
#![allow(clippy::disallowed_methods, reason = "proofs, keys and checkpoints are files that the person names")]

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use store::{LEDGER_FILE, LedgerReader, NoteKey, Proof, StateReader, Trust, verify, verify_proof};

use super::alerts::CHANGE_TIME_MAX;
use crate::exit::Exit;
use crate::machine::Source;
use crate::{clean, say};

/// Bytes of a proof, key or checkpoint.
const TEXT_BYTES_MAX: u64 = 1 << 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Verify the ledger, or a proof; exit code 1 if something is wrong
    Verify(Verify),
    /// Print the proof that an entry stands in the ledger, under a signed checkpoint
    Prove {
        /// The entry's number, or the id of an alert, which means that it was raised
        what: String,
    },
    /// Sign where the ledger stands, and print that: keep it elsewhere
    Checkpoint,
    /// Print the public key that checkpoints are verified with
    Key {
        /// As a public key in PEM, for openssl
        #[arg(long)]
        pem: bool,
    },
}

#[derive(clap::Args)]
struct Verify {
    /// The key that the ledger is known by, as `audit key` printed it, or a file with it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere; may be given again
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Verify this proof in place of the ledger, by --key; - for standard input
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

pub(crate) fn run(args: Args, source: &Source) -> anyhow::Result<Exit> {
    match args.command {
        Command::Verify(Verify { key: Some(key), proof: Some(proof), .. }) => proof_holds(&proof, &key),
        Command::Verify(Verify { proof: Some(_), .. }) => bail!(crate::Usage(anyhow::anyhow!(
            "a proof is verified with the public key of its ledger: give --key and what `audit key` printed, best when \
             the ledger was new, or a file with it"
        ))),
        Command::Verify(asked) => ledger_holds(&asked, source),
        Command::Prove { what } => prove(&what, source),
        Command::Checkpoint => checkpoint(source),
        Command::Key { pem } => {
            let key = LedgerReader::open(&source.state_directory()?)?.public_key()?;
            print(&if pem { key.to_pem() } else { format!("{key}\n") })
        }
    }
}

fn print(text: &str) -> anyhow::Result<Exit> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(TEXT_BYTES_MAX).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

fn key(given: &str) -> anyhow::Result<NoteKey> {
    let given = match given.contains('+') {
        true => given.to_owned(),
        false => text(Path::new(given))?,
    };
    match given.trim().parse() {
        Ok(key) => Ok(key),
        Err(error) => bail!(crate::Usage(anyhow::anyhow!("{error}"))),
    }
}

fn proof_holds(path: &Path, given: &str) -> anyhow::Result<Exit> {
    let proof: Proof = text(path)?.parse()?;
    let head = proof.checkpoint().head;
    match verify_proof(&proof, &key(given)?) {
        Ok(entry) => {
            let time = std::time::Duration::from_millis(u64::try_from(entry.time_ms).unwrap_or(0));
            let time = model::rfc3339(std::time::UNIX_EPOCH + time);
            print(&format!(
                "the proof holds: entry {} of a ledger of {} entries\n  {time}  {}  {}  {}\n",
                entry.sequence,
                head.size,
                clean::line(&entry.actor),
                clean::line(&entry.action),
                clean::line(&entry.subject)
            ))
        }
        Err(error) => {
            say::error(&error.to_string());
            Ok(Exit::Failed)
        }
    }
}

fn ledger_holds(asked: &Verify, source: &Source) -> anyhow::Result<Exit> {
    let directory = source.state_directory()?;
    let checkpoints = asked.checkpoint.iter().map(|path| text(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let witness = StateReader::open(&directory).and_then(|state| state.witness()).unwrap_or_else(|error| {
        say::remark(&format!("note: the state cannot be asked what it knows of the ledger: {error}"));
        None
    });
    let key = asked.key.as_deref().map(self::key).transpose()?;
    let verdict = verify(&directory.join(LEDGER_FILE), &Trust { key, checkpoints, witness })?;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} entries, {} findings", verdict.head.size, verdict.findings.len());
    for finding in &verdict.findings {
        let _ = writeln!(out, "  {}", clean::line(&finding.sentence));
    }
    for sentence in &verdict.not_checked {
        let _ = writeln!(out, "  not checked: {sentence}");
    }
    print(&out)?;
    Ok(if verdict.findings.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Has the agent sign a checkpoint.
fn signed(source: &Source) -> anyhow::Result<String> {
    match source.agent()?.act("audit.checkpoint", &[], CHANGE_TIME_MAX)? {
        Ok(text) => Ok(text),
        Err(why) => bail!("{why}"),
    }
}

fn checkpoint(source: &Source) -> anyhow::Result<Exit> {
    print(&signed(source)?)
}

fn prove(what: &str, source: &Source) -> anyhow::Result<Exit> {
    let directory = source.state_directory()?;
    let sequence = match what.parse::<u64>() {
        Ok(sequence) if what.len() < 16 => sequence,
        _ => {
            let mut found = LedgerReader::open(&directory)?.about(what, 0)?;
            if found.is_empty() {
                // Its record may wait in the state: a checkpoint has it in the ledger.
                signed(source)?;
                found = LedgerReader::open(&directory)?.about(what, 0)?;
            }
            let raised = found.iter().find(|entry| entry.action == "alert.raised").or(found.first());
            raised
                .map(|entry| entry.sequence)
                .with_context(|| format!("the ledger has no entry about {what}"))?
        }
    };
    let proof = match LedgerReader::open(&directory)?.prove(sequence) {
        Ok(proof) => proof,
        // The last checkpoint does not cover it.
        Err(_) => {
            signed(source)?;
            LedgerReader::open(&directory)?.prove(sequence)?
        }
    };
    print(&proof.to_string())
}
