//! An alert as one line of JSON.

use model::{Alert, NamedRow, Value, json};

/// Bytes of a line, its end included: what syslog and most shippers take without cutting.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a text in a row that had to be cut.
const CUT_BYTES: usize = 512;
/// Bytes to which the texts of the evidence are cut, as much as has to be.
const EVIDENCE_CUTS: [usize; 4] = [4096, 1024, CUT_BYTES, 128];

/// The line of an alert, below [`LINE_BYTES_MAX`]. Of evidence that does not fit, first long texts are cut, then whole
/// sections left out, the last first; the line says so, and all of it is in the table `alerts`.
pub(super) fn line(alert: &Alert) -> String {
    let written = |row: &NamedRow, sections: &[Section], cut| written(alert, row, sections, cut);
    let fits = |line: &String| line.len() < LINE_BYTES_MAX;
    let whole = written(&alert.row, &alert.evidence.sections, false);
    if fits(&whole) {
        return whole;
    }
    for bytes in EVIDENCE_CUTS {
        let shorter =
            |(name, rows): &Section| (name.clone(), rows.iter().map(|row| cut(row, bytes)).collect());
        let sections: Vec<Section> = alert.evidence.sections.iter().map(shorter).collect();
        let fewest = if Some(&bytes) == EVIDENCE_CUTS.last() { 0 } else { sections.len() };
        let mut fewer = (fewest..=sections.len()).rev().map(|n| written(&alert.row, &sections[..n], true));
        if let Some(line) = fewer.find(fits) {
            return line;
        }
    }
    let mut bytes = CUT_BYTES;
    loop {
        let line = written(&cut(&alert.row, bytes), &[], true);
        if fits(&line) || bytes == 0 {
            return line;
        }
        bytes /= 2;
    }
}

/// A part of the evidence: its name and its rows.
type Section = (String, Vec<NamedRow>);

/// A row whose texts are cut to so many bytes, and its columns to so many.
fn cut(row: &NamedRow, bytes: usize) -> NamedRow {
    let short = |value: &Value<'static>| match value {
        Value::Text(text) if text.len() > bytes => {
            let end =
                (0..=bytes).rev().find(|end| std::str::from_utf8(&text[..*end]).is_ok()).unwrap_or(bytes);
            Value::Text(text[..end].to_vec().into())
        }
        Value::Blob(blob) if blob.len() > bytes => Value::Blob(blob[..bytes].to_vec().into()),
        value => value.clone(),
    };
    row.iter()
        .take(bytes.max(8))
        .map(|(name, value)| (name.chars().take(64).collect::<String>().into(), short(value)))
        .collect()
}

fn text(name: &str, value: &str, out: &mut String) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    json::push_string(value, out);
}

fn object(row: &NamedRow, out: &mut String) {
    json::push_row(row.iter().map(|(name, value)| (&**name, value)), out);
}

fn written(alert: &Alert, row: &NamedRow, sections: &[Section], is_cut: bool) -> String {
    let mut out = String::from("{\"time\":");
    let since = std::time::Duration::from_millis(u64::try_from(alert.first_ms).unwrap_or(0));
    json::push_string(&model::rfc3339(std::time::UNIX_EPOCH + since), &mut out);
    text("id", &alert.id.to_string(), &mut out);
    text("severity", alert.severity.name(), &mut out);
    text("rule", &alert.rule, &mut out);
    text("title", &alert.title.chars().take(CUT_BYTES).collect::<String>(), &mut out);
    out.push_str(&format!(",\"count\":{}", alert.count));
    out.push_str(",\"tags\":[");
    for (n, tag) in alert.tags.iter().take(32).enumerate() {
        out.push_str(if n > 0 { "," } else { "" });
        json::push_string(&tag.chars().take(64).collect::<String>(), &mut out);
    }
    out.push_str("],\"row\":");
    object(row, &mut out);
    out.push_str(",\"evidence\":{");
    for (n, (name, rows)) in sections.iter().enumerate() {
        out.push_str(if n > 0 { "," } else { "" });
        json::push_string(name, &mut out);
        out.push_str(":[");
        for (n, row) in rows.iter().enumerate() {
            out.push_str(if n > 0 { "," } else { "" });
            object(row, &mut out);
        }
        out.push(']');
    }
    out.push('}');
    if is_cut {
        out.push_str(",\"cut\":true");
    }
    text("rule_version", &alert.rule_version, &mut out);
    out.push_str("}\n");
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use model::{AlertId, AlertState, Evidence, Severity};

    pub(in crate::sinks) fn alert(row: NamedRow, evidence: Evidence) -> Alert {
        Alert {
            id: AlertId([7; 16]),
            rule: "r".into(),
            rule_version: "v".into(),
            sql: "SELECT 1".into(),
            title: "A title".into(),
            severity: Severity::High,
            tags: ["attack.t1".into()].into(),
            state: AlertState::New,
            first_ms: 1_000,
            last_ms: 1_000,
            window_end_ms: 2_000,
            count: 1,
            row,
            evidence,
        }
    }

    #[test]
    fn a_line_is_json_and_never_longer_than_shippers_take() {
        let long = |n: usize| Value::Text(vec![b'\xff'; n].into());
        let evidence =
            Evidence { sections: vec![("process".into(), vec![vec![("cmdline".into(), long(20_000))]])] };
        let many = (0..3000).map(|n| (format!("column{n}").into(), long(100))).collect();
        let rows: [NamedRow; 4] =
            [vec![("pid".into(), 1.into())], vec![("x".into(), long(30_000))], many, Vec::new()];
        for row in rows {
            for evidence in [Evidence::default(), evidence.clone()] {
                let line = line(&alert(row.clone(), evidence.clone()));
                assert!(line.len() <= LINE_BYTES_MAX && line.matches('\n').count() == 1);
                let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(parsed["id"], "07".repeat(16));
                assert_eq!(parsed["time"], "1970-01-01T00:00:01.000Z");
                assert!(parsed["evidence"].is_object());
            }
        }
    }

    #[test]
    fn of_long_evidence_the_texts_are_cut_before_a_section_is_left_out() {
        let row = |bytes: usize| vec![("cmdline".into(), Value::Text(vec![b'x'; bytes].into()))];
        let evidence = |ancestors: usize| Evidence {
            sections: vec![
                ("process".into(), vec![row(9)]),
                ("ancestors".into(), vec![row(30_000); ancestors]),
                ("image".into(), vec![row(64)]),
            ],
        };
        let parsed = |ancestors| -> serde_json::Value {
            serde_json::from_str(&line(&alert(Vec::new(), evidence(ancestors)))).unwrap()
        };
        for (ancestors, bytes) in [(1, 4096), (10, 1024), (32, 128)] {
            let line = parsed(ancestors);
            assert_eq!(line["cut"], true);
            assert_eq!(line["evidence"]["process"][0]["cmdline"], "x".repeat(9));
            assert_eq!(line["evidence"]["ancestors"][0]["cmdline"], "x".repeat(bytes));
            assert!(line["evidence"]["image"].is_array());
        }
        let line = parsed(200);
        assert!(line["evidence"]["process"].is_array() && line["evidence"]["ancestors"].is_null(), "{line}");
    }
}
