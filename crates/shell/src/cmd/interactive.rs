//! No command: the interactive shell, or a script from standard input.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, anyhow};

use crate::exit::Exit;
use crate::interrupt::{self, Scope};
use crate::machine::Source;
use crate::session::{Outcome, Session};
use crate::settings::{self, Settings};
use crate::{interactive, script};

pub(crate) fn run(source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let engine = source.engine(settings::limits(settings))?;
    interrupt::listen(engine.canceller(), if person { Scope::Statement } else { Scope::Program })?;
    let mut session = Session::new(engine, person, person);
    session.format = settings.format.value;
    if person { interactive::run(session) } else { piped(session) }
}

/// Runs each statement as soon as it is complete, so that a program can hold a conversation.
fn piped(mut session: Session) -> anyhow::Result<Exit> {
    let mut input = io::stdin().lock();
    let mut outcome = Outcome::default();
    let (mut waiting, mut line) = (String::new(), Vec::new());
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).context("standard input could not be read")?;
        let text = std::str::from_utf8(&line)
            .map_err(|_| crate::Usage(anyhow!("standard input is not UTF-8 text")))?;
        waiting.push_str(text);
        let mut pieces = script::take_complete(&mut waiting);
        if read == 0 {
            waiting.push('\n');
            pieces.extend(script::take_complete(&mut waiting));
            pieces.extend(script::rest(&waiting));
        }
        let ended = pieces.iter().any(|piece| outcome.take(session.piece(piece)));
        if ended || read == 0 {
            return Ok(outcome.into_flow().err().unwrap_or(Exit::Done));
        }
    }
}
