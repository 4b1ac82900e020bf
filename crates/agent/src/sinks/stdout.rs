//! `stdout`: for a person, or a line of JSON per alert.

use std::io::{self, Write};

use config::Format;
use model::{Alert, NamedRow, Value, clean};

use super::Sink;
use super::line::line;

pub(crate) struct Stdout(pub(crate) Format);

impl Sink for Stdout {
    fn take(&mut self, alerts: &[Alert]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for alert in alerts {
            let text = match self.0 {
                Format::Human => human(alert),
                Format::Ndjson => line(alert),
            };
            out.write_all(text.as_bytes())?;
        }
        out.flush()
    }
}

/// Columns of a value on a line for a person; the whole of it is in the table.
const WIDTH_MAX: usize = 160;

fn human(alert: &Alert) -> String {
    let since = std::time::Duration::from_millis(u64::try_from(alert.first_ms).unwrap_or(0));
    let time = model::rfc3339(std::time::UNIX_EPOCH + since);
    let mut text = format!(
        "{:<8} {}  {}  {time}\n         alert {}\n",
        alert.severity.name(),
        clean::line(&alert.title),
        clean::line(&alert.rule),
        alert.id
    );
    row("", &alert.row, &mut text);
    for (name, rows) in &alert.evidence.sections {
        for each in rows.iter().take(8) {
            text.push_str(&format!("         {}\n", clean::line(name)));
            row("  ", each, &mut text);
        }
    }
    text
}

fn row(indent: &str, row: &NamedRow, text: &mut String) {
    let width = row.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in row {
        let mut shown = match value {
            Value::Null => continue,
            Value::Int(n) => n.to_string(),
            Value::Real(x) => format!("{x:?}"),
            Value::Text(bytes) | Value::Blob(bytes) => {
                let mut text = String::new();
                clean::push(bytes, &mut text);
                text
            }
        };
        if let Some((end, _)) = shown.char_indices().nth(WIDTH_MAX) {
            shown.truncate(end);
            shown.push('…');
        }
        text.push_str(&format!("         {indent}{:<width$}  {shown}\n", clean::line(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::alert;
    use super::*;
    use model::Evidence;

    #[test]
    fn hostile_bytes_and_long_values_do_not_reach_a_person() {
        let row: NamedRow = vec![
            ("path".into(), b"/tmp/\x1b[2J\n".to_vec().into()),
            ("cmdline".into(), vec![b'x'; 10_000].into()),
            ("gone".into(), Value::Null),
        ];
        let evidence = Evidence { sections: vec![("process".into(), vec![row.clone()])] };
        let text = human(&alert(row, evidence));
        assert!(!text.contains('\x1b') && text.len() < 1500, "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
    }
}
