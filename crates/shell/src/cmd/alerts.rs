//! `alerts`: what rules found, and what is done about it.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use model::Value;
use vtables::{Engine, Limits, Options};

use crate::exit::Exit;
use crate::machine::Source;
use crate::render::Format;
use crate::session::Session;
use crate::settings::Settings;
use crate::{clean, paint, say};

/// How long the agent may take to make a change.
pub(crate) const CHANGE_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List alerts, newest first
    List(List),
    /// Tell all about one alert
    Show {
        /// Its id, or how it begins
        id: String,
    },
    /// Say that somebody works on it
    Ack(Change),
    /// Say that it is done with
    Close(Change),
    /// Take a closed one up again
    Reopen(Change),
}

#[derive(clap::Args)]
struct List {
    /// Only alerts in this state; may be given again [default: all that are not closed]
    #[arg(long, value_enum)]
    status: Vec<State>,
    /// Closed ones too
    #[arg(long, conflicts_with = "status")]
    all: bool,
    /// Only those of this rule
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// How they are printed [default: `cli.format` of the settings, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    New,
    Acknowledged,
    Closed,
    Reopened,
}

#[derive(clap::Args)]
struct Change {
    /// Ids, or how they begin
    #[arg(required = true)]
    ids: Vec<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) fn run(args: Args, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(list) => self::list(&list, source, settings),
        Command::Show { id } => show(&id, source),
        Command::Ack(change) => self::change("alert.ack", &change, source),
        Command::Close(change) => self::change("alert.close", &change, source),
        Command::Reopen(change) => self::change("alert.reopen", &change, source),
    }
}

/// An engine that has the agent's tables.
pub(crate) fn engine(source: &Source) -> anyhow::Result<Engine> {
    let engine = source.engine(Limits::default())?;
    if engine.catalog().get("alerts").is_none() {
        let why = "no agent runs, and there is no state to read: start daemoneye-agent, or name its --state directory";
        bail!(crate::machine::Unreachable::because(why));
    }
    Ok(engine)
}

fn list(list: &List, source: &Source, settings: &Settings) -> anyhow::Result<Exit> {
    let mut session = Session::new(engine(source)?, false, true);
    session.format = list.format.unwrap_or(settings.format.value);
    let states = match (&list.status[..], list.all) {
        ([], true) => "1".to_owned(),
        ([], false) => "state <> 'closed'".to_owned(),
        (states, _) => {
            let name = |state: &State| state.to_possible_value().map(|v| format!("'{}'", v.get_name()));
            format!("state IN ({})", states.iter().filter_map(name).collect::<Vec<_>>().join(", "))
        }
    };
    let rule = if list.rule.is_some() { " AND rule = :rule" } else { "" };
    session.params.extend(list.rule.iter().map(|rule| ("rule".to_owned(), rule.clone().into())));
    let sql = format!(
        "SELECT substr(id, 1, 12) AS id, datetime(time, 'unixepoch') AS time, severity, state, count, rule, title, \
         pid, path FROM alerts WHERE {states}{rule} ORDER BY alerts.time DESC LIMIT {}",
        list.limit
    );
    Ok(session.sql(&sql).err().unwrap_or(Exit::Done))
}

/// The id that begins so.
fn whole(engine: &mut Engine, id: &str) -> anyhow::Result<String> {
    let is_id = id.len() >= 4 && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        bail!(crate::Usage(anyhow::anyhow!(
            "`{id}` is no alert's id: it has 32 hexadecimal digits, of which the first four may do"
        )));
    }
    let options = Options {
        params: vec![("id".into(), format!("{}%", id.to_lowercase()).into())],
        ..Options::default()
    };
    let found = engine.query("SELECT id FROM alerts WHERE id LIKE :id LIMIT 2", &options)?.rows;
    match &found[..] {
        [] => bail!("there is no alert {id}: see `alerts list --all`"),
        [row] => Ok(row[0].as_str().unwrap_or_default().to_owned()),
        _ => bail!("several alerts begin with {id}: give more of it"),
    }
}

fn change(verb: &str, change: &Change, source: &Source) -> anyhow::Result<Exit> {
    let agent = source.agent()?;
    let mut engine = engine(source)?;
    let mut exit = Exit::Done;
    for id in &change.ids {
        let id = whole(&mut engine, id)?;
        match agent.act(verb, &[("id", &id), ("reason", &change.reason)], CHANGE_TIME_MAX)? {
            Ok(said) => writeln!(io::stdout().lock(), "{}", clean::line(&said))?,
            Err(why) => {
                say::error(&why);
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

fn show(id: &str, source: &Source) -> anyhow::Result<Exit> {
    let mut engine = engine(source)?;
    let id = whole(&mut engine, id)?;
    let options = Options { params: vec![("id".into(), id.clone().into())], ..Options::default() };
    let alert = engine.query(
        "SELECT severity, title, state, datetime(time, 'unixepoch') AS first, datetime(last_time, 'unixepoch') AS last, \
         count, rule, tags, rule_version, sql, \"row\", evidence FROM alerts WHERE id = :id",
        &options,
    )?;
    let [row] = &alert.rows[..] else { bail!("alert {id} is gone") };
    let text = |n: usize| shown(&row[n]);
    let colours = paint::stdout_colours();
    let heading = |text: &str| paint::styled_if(colours, paint::HEADING, text);
    let mut out = String::new();
    out.push_str(&format!("{}  {}\n", heading(&text(1)), text(0)));
    let facts = [("alert", id.clone()), ("state", text(2)), ("rule", text(6)), ("tags", text(7))];
    let times = [("first", text(3)), ("last", text(4)), ("count", text(5)), ("version", text(8))];
    for (name, value) in facts.into_iter().chain(times) {
        out.push_str(&format!("  {name:<8} {value}\n"));
    }
    out.push_str(&format!("\n{}\n", heading("found")));
    fields(row[10].as_str().unwrap_or_default(), &mut out);
    let evidence: serde_json::Value = serde_json::from_str(row[11].as_str().unwrap_or("{}"))?;
    for (section, rows) in evidence.as_object().into_iter().flatten() {
        for (n, each) in rows.as_array().into_iter().flatten().enumerate() {
            let name = clean::line(section).into_owned();
            out.push_str(&if n == 0 { format!("\n{}\n", heading(&name)) } else { "  --\n".to_owned() });
            object(each, &mut out);
        }
    }
    let done = engine.query(
        "SELECT datetime(time, 'unixepoch'), action, actor, reason FROM alert_history WHERE alert_id = :id ORDER BY number",
        &options,
    )?;
    out.push_str(&format!("\n{}\n", heading("what was done")));
    for row in &done.rows {
        let words: Vec<String> = row.iter().map(shown).collect();
        out.push_str(&format!("  {}\n", words.join("  ").trim_end()));
    }
    out.push_str(&format!("\n{}\n", heading("statement")));
    let mut sql = String::new();
    row[9]
        .as_str()
        .unwrap_or_default()
        .lines()
        .for_each(|line| sql.push_str(&format!("  {}\n", clean::line(line))));
    out.push_str(&sql);
    io::stdout().lock().write_all(out.as_bytes())?;
    Ok(Exit::Done)
}

fn fields(json: &str, out: &mut String) {
    if let Ok(value) = serde_json::from_str(json) {
        object(&value, out);
    }
}

fn object(value: &serde_json::Value, out: &mut String) {
    let fields = || value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let width = fields().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in fields() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.push_str(&format!("  {:<width$}  {}\n", clean::line(name), clean::line(&value)));
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(n) => n.to_string(),
        Value::Real(x) => format!("{x:?}"),
        Value::Text(bytes) | Value::Blob(bytes) => {
            let mut text = String::new();
            clean::push(bytes, &mut text);
            text
        }
    }
}
