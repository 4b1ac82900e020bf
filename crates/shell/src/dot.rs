//! Dot commands, with the meanings that sqlite3 and osqueryi give them. One literal list.

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use crate::cmd::{explain, schema, tables};
use crate::exit::Exit;
use crate::render::Format;
use crate::session::{Flow, Session};
use crate::{given, interrupt, output, paint, say};

type Done = Result<Flow, Exit>;

/// What an argument of a dot command is, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    None,
    Command,
    Table,
    Mode,
    OnOff,
    File,
    Sql,
    /// A number, then SQL.
    SecondsSql,
    Other,
}

/// A dot command.
pub(crate) struct Dot {
    pub(crate) name: &'static str,
    pub(crate) argument: Argument,
    /// As help shows it.
    usage: &'static str,
    about: &'static str,
    run: fn(&mut Session, &str) -> Done,
}

/// Every dot command.
pub(crate) static COMMANDS: &[Dot] = &[
    Dot {
        name: ".exit",
        argument: Argument::None,
        usage: "",
        about: "Leave, as .quit and Ctrl-D do.",
        run: quit,
    },
    Dot {
        name: ".explain",
        argument: Argument::Sql,
        usage: "SQL",
        about: "Run a statement and tell how it read its tables.",
        run: explain,
    },
    Dot {
        name: ".headers",
        argument: Argument::OnOff,
        usage: "on|off",
        about: "Print the names of columns in table and csv.",
        run: headers,
    },
    Dot {
        name: ".help",
        argument: Argument::Command,
        usage: "[COMMAND]",
        about: "List these commands, or tell about one.",
        run: help,
    },
    Dot {
        name: ".mode",
        argument: Argument::Mode,
        usage: "[MODE]",
        about: "Print results as table, json, ndjson, csv, line or markdown.",
        run: mode,
    },
    Dot {
        name: ".output",
        argument: Argument::File,
        usage: "[FILE]",
        about: "Write results to a file; without one, show them again.",
        run: output,
    },
    Dot { name: ".quit", argument: Argument::None, usage: "", about: "Leave.", run: quit },
    Dot {
        name: ".read",
        argument: Argument::File,
        usage: "FILE",
        about: "Run the statements and commands of a file.",
        run: read,
    },
    Dot {
        name: ".schema",
        argument: Argument::Table,
        usage: "[PATTERN]",
        about: "Print tables as CREATE TABLE, with what each column means.",
        run: schema,
    },
    Dot {
        name: ".tables",
        argument: Argument::Table,
        usage: "[PATTERN]",
        about: "List tables whose name matches, as in .tables proc or .tables %_files.",
        run: tables,
    },
    Dot {
        name: ".timeout",
        argument: Argument::Other,
        usage: "[DURATION|none]",
        about: "End statements that take longer, as in .timeout 10s.",
        run: timeout,
    },
    Dot {
        name: ".timer",
        argument: Argument::OnOff,
        usage: "on|off",
        about: "Print the number of rows and the time after each result.",
        run: timer,
    },
    Dot {
        name: ".watch",
        argument: Argument::SecondsSql,
        usage: "SECONDS SQL",
        about: "Run a statement again and again until Ctrl-C.",
        run: watch,
    },
];

/// Runs a dot command.
pub(crate) fn run(session: &mut Session, line: &str) -> Done {
    let line = line.trim();
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match find(name) {
        Some(command) => (command.run)(session, argument.trim()),
        None => wrong(&match vtables::nearest(name, COMMANDS.iter().map(|c| c.name)) {
            Some(near) => format!("there is no command {name}; did you mean {near}?"),
            None => format!("there is no command {name}; .help lists them"),
        }),
    }
}

/// A command by its name, in any case, or by the start of it that only one command has.
fn find(name: &str) -> Option<&'static Dot> {
    let name = name.to_ascii_lowercase();
    if let Some(same) = COMMANDS.iter().find(|c| c.name == name) {
        return Some(same);
    }
    let mut starting = COMMANDS.iter().filter(|c| name.len() > 1 && c.name.starts_with(&name));
    starting.next().filter(|_| starting.next().is_none())
}

fn wrong(message: &str) -> Done {
    say::error(message);
    Err(Exit::Usage)
}

fn failed(error: &anyhow::Error) -> Done {
    wrong(&format!("{error:#}"))
}

fn quit(_: &mut Session, _: &str) -> Done {
    Ok(Flow::Quit)
}

fn help(session: &mut Session, name: &str) -> Done {
    let dotted = format!(".{}", name.trim_start_matches('.'));
    let chosen: Vec<&Dot> = match find(&dotted) {
        Some(command) => vec![command],
        None if name.is_empty() => COMMANDS.iter().collect(),
        None => return run(session, &dotted),
    };
    let colours = session.look().colours;
    let mut text = String::new();
    for command in &chosen {
        let usage = format!("{} {}", command.name, command.usage);
        text.push_str(&paint::styled_if(colours, paint::KEYWORD, command.name));
        text.push_str(&usage[command.name.len()..]);
        text.push_str(&" ".repeat(26usize.saturating_sub(usage.len())));
        text.push_str(command.about);
        text.push('\n');
    }
    if name.is_empty() {
        text.push_str(
            "\nA statement ends with `;`. Tab completes tables, columns, functions and keywords.\n",
        );
        text.push_str("Ctrl-C stops the statement that runs, Ctrl-D leaves.\n");
    }
    session.print(&text)?;
    Ok(Flow::Continue)
}

fn on_off(argument: &str) -> Option<bool> {
    match argument.to_ascii_lowercase().as_str() {
        "on" | "yes" | "1" => Some(true),
        "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn headers(session: &mut Session, argument: &str) -> Done {
    match on_off(argument) {
        Some(on) => session.headers = on,
        None => return wrong(".headers is on or off"),
    }
    Ok(Flow::Continue)
}

fn timer(session: &mut Session, argument: &str) -> Done {
    match on_off(argument) {
        Some(on) => session.timer = on,
        None => return wrong(".timer is on or off"),
    }
    Ok(Flow::Continue)
}

fn mode(session: &mut Session, argument: &str) -> Done {
    if argument.is_empty() {
        session.print(&format!("{}\n", session.format.name()))?;
        return Ok(Flow::Continue);
    }
    match Format::from_str(argument, true) {
        Ok(format) => session.format = format,
        Err(_) => {
            let names: Vec<&str> = Format::value_variants().iter().map(|format| format.name()).collect();
            return wrong(&format!("there is no mode {argument}; the modes are {}", names.join(", ")));
        }
    }
    Ok(Flow::Continue)
}

fn timeout(session: &mut Session, argument: &str) -> Done {
    if argument.is_empty() {
        let now = session.limits.timeout.map_or("none".to_owned(), |time| format!("{time:?}"));
        session.print(&format!("{now}\n"))?;
        return Ok(Flow::Continue);
    }
    match given::timeout(argument) {
        Ok(timeout) => session.limits.timeout = timeout,
        Err(error) => return failed(&error),
    }
    Ok(Flow::Continue)
}

fn tables(session: &mut Session, pattern: &str) -> Done {
    let colours = session.look().colours;
    refresh(session)?;
    let text = tables::list(&session.engine, pattern, colours);
    if text.is_empty() {
        return wrong(&tables::unknown(session.engine.catalog(), pattern));
    }
    session.print(&text)?;
    Ok(Flow::Continue)
}

/// What is told about tables should be true now.
fn refresh(session: &mut Session) -> Result<(), Exit> {
    let refreshed = session.engine.refresh();
    refreshed.map(drop).map_err(|error| {
        say::sql_error("", &error);
        Exit::of(&error)
    })
}

fn schema(session: &mut Session, pattern: &str) -> Done {
    refresh(session)?;
    match schema::text(session.engine.catalog(), pattern) {
        Some(text) => session.print(&text)?,
        None => return wrong(&tables::unknown(session.engine.catalog(), pattern)),
    }
    Ok(Flow::Continue)
}

fn explain(session: &mut Session, sql: &str) -> Done {
    let sql = sql.trim_end_matches(';');
    if sql.is_empty() {
        return wrong(".explain needs a statement, as in .explain SELECT * FROM time");
    }
    interrupt::reset();
    let options = session.options(sql);
    match explain::report(&mut session.engine, sql, options) {
        Ok(report) => {
            let text = explain::human(&report, session.look().colours);
            session.print(&text)?;
            Ok(Flow::Continue)
        }
        Err(error) => {
            say::sql_error(sql, &error);
            Err(Exit::of(&error))
        }
    }
}

fn read(session: &mut Session, file: &str) -> Done {
    if file.is_empty() {
        return wrong(".read needs a file");
    }
    match given::read_file(Path::new(unquoted(file))) {
        Ok(text) => session.script(&text),
        Err(error) => failed(&error),
    }
}

fn output(session: &mut Session, file: &str) -> Done {
    session.file = None;
    let file = unquoted(file);
    if file.is_empty() || file == "stdout" {
        return Ok(Flow::Continue);
    }
    match output::file(Path::new(file)) {
        Ok(open) => session.file = Some((file.into(), open)),
        Err(error) => return wrong(&format!("{file} could not be created: {error}")),
    }
    Ok(Flow::Continue)
}

fn unquoted(file: &str) -> &str {
    let without = |quote| file.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    without('\'').or_else(|| without('"')).unwrap_or(file)
}

fn watch(session: &mut Session, argument: &str) -> Done {
    let (seconds, sql) = argument.split_once(char::is_whitespace).unwrap_or((argument, ""));
    let sql = sql.trim().trim_end_matches(';');
    let every = match given::duration(seconds) {
        Ok(every) if every >= Duration::from_millis(100) && !sql.is_empty() => every,
        _ => return wrong(".watch needs seconds and a statement, as in .watch 2 SELECT * FROM time"),
    };
    let interactive = std::mem::take(&mut session.interactive);
    let watched = repeat(session, every, sql, interactive);
    session.interactive = interactive;
    watched
}

/// Runs a statement until Ctrl-C or its first error. A person sees each result on a fresh screen.
fn repeat(session: &mut Session, every: Duration, sql: &str, fresh: bool) -> Done {
    let fresh = fresh && session.file.is_none() && !paint::is_dumb();
    loop {
        if fresh {
            let about = format!("every {every:?}, Ctrl-C ends it: {}", crate::clean::line(sql));
            let about = paint::styled_if(session.look().colours, paint::FAINT, &about);
            // Erase the screen, cursor to its corner (ECMA-48 ED and CUP).
            session.print(&format!("\x1b[2J\x1b[H{about}\n"))?;
        }
        session.sql(sql)?;
        if interrupt::wait(every) {
            return Ok(Flow::Continue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_order_and_are_found_by_a_start_of_their_own() {
        assert!(COMMANDS.is_sorted_by_key(|c| c.name));
        assert_eq!(find(".HELP").map(|c| c.name), Some(".help"));
        assert_eq!(find(".q").map(|c| c.name), Some(".quit"));
        assert!(find(".t").is_none());
        assert!(find(".").is_none());
        assert!(find(".nothing").is_none());
    }
}
