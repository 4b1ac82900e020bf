//! What is given on the command line: parameters, durations, SQL and where it comes from.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use model::Value;

/// A parameter of a statement, from `name=value`.
///
/// An integer or a real is a number, `null` is NULL, what stands in single quotes is text, and so is all else.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) value: Value<'static>,
}

impl Param {
    /// From the bytes of an argument; a value need not be UTF-8.
    pub(crate) fn parse(given: &OsStr) -> anyhow::Result<Param> {
        let bytes = given.as_encoded_bytes();
        let wrong = || anyhow!("a parameter is name=value, as in pid=1");
        let equals = bytes.iter().position(|b| *b == b'=').ok_or_else(wrong)?;
        let name = std::str::from_utf8(&bytes[..equals])?.trim_start_matches([':', '@', '$']);
        if name.is_empty() || !name.chars().all(crate::lex::is_name) {
            return Err(wrong());
        }
        Ok(Param { name: name.to_owned(), value: value(&bytes[equals + 1..]) })
    }
}

fn value(bytes: &[u8]) -> Value<'static> {
    let text = || Value::Text(bytes.to_vec().into());
    let Ok(given) = std::str::from_utf8(bytes) else { return text() };
    if let Some(quoted) = given.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Value::from(quoted.replace("''", "'"));
    }
    let numeric = given.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match (given.parse::<i64>(), given.parse::<f64>()) {
        _ if given.eq_ignore_ascii_case("null") => Value::Null,
        (Ok(n), _) => Value::Int(n),
        (_, Ok(x)) if numeric && x.is_finite() => Value::Real(x),
        _ => text(),
    }
}

/// A duration: `10s`, `500ms`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(given: &str) -> anyhow::Result<Duration> {
    let given = given.trim();
    let digits = given.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(given.len());
    let (number, unit) = given.split_at(digits);
    let unit = match unit.trim() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => bail!("a duration is a number with ms, s, m or h, as in 10s"),
    };
    let number: f64 = number.parse().context("a duration is a number with ms, s, m or h, as in 10s")?;
    Duration::try_from_secs_f64(number * unit).context("that duration is too long")
}

/// A timeout: a duration, or `none`.
pub(crate) fn timeout(given: &str) -> anyhow::Result<Option<Duration>> {
    match given {
        "none" => Ok(None),
        given => duration(given).map(Some),
    }
}

/// SQL text and how it may be cut.
#[derive(Debug)]
pub(crate) enum Sql {
    /// An argument: one statement.
    Argument(String),
    /// A file or standard input: statements with `;` between them.
    Script(String),
}

impl Sql {
    /// From the argument (`-` is standard input) or the file, of which one is given.
    pub(crate) fn read(argument: Option<&str>, file: Option<&Path>) -> anyhow::Result<Sql> {
        match (argument, file) {
            (Some("-"), _) => {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes).context("standard input could not be read")?;
                utf8(bytes, "standard input").map(Sql::Script)
            }
            (Some(sql), _) => Ok(Sql::Argument(sql.to_owned())),
            (None, Some(file)) => read_file(file).map(Sql::Script),
            (None, None) => bail!("there is no SQL: give it as an argument, with --file, or with -"),
        }
    }
}

/// A file's text.
#[expect(clippy::disallowed_methods, reason = "a script that the user names, no fact about the machine")]
pub(crate) fn read_file(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("{} could not be read", file.display()))?;
    utf8(bytes, &file.display().to_string())
}

fn utf8(bytes: Vec<u8>, whose: &str) -> anyhow::Result<String> {
    String::from_utf8(bytes)
        .map_err(|e| anyhow!("{whose} is not UTF-8 text, at byte {}", e.utf8_error().valid_up_to()))
}

/// For clap: a parameter.
pub(crate) fn param_argument() -> impl clap::builder::TypedValueParser<Value = Param> {
    use clap::builder::TypedValueParser;
    clap::builder::OsStringValueParser::new()
        .try_map(|given: OsString| Param::parse(&given).map_err(std::io::Error::other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Value<'static> {
        Param::parse(OsStr::new(&format!("p={text}"))).unwrap().value
    }

    #[test]
    fn a_parameter_has_the_type_that_it_is_written_in() {
        assert_eq!(given("42"), Value::Int(42));
        assert_eq!(given("-9223372036854775808"), Value::Int(i64::MIN));
        assert_eq!(given("1.5e3"), Value::Real(1500.0));
        assert_eq!(given("NULL"), Value::Null);
        assert_eq!(given("'42'"), Value::from("42"));
        assert_eq!(given("'it''s'"), Value::from("it's"));
        for text in ["", "sshd", "inf", "nan", "1.2.3.4", "0x10", "a=b", "'", "--", "1e999"] {
            assert_eq!(given(text), Value::from(text), "{text}");
        }
    }

    #[test]
    fn a_parameter_may_bear_its_sign_and_needs_a_name() {
        assert_eq!(Param::parse(OsStr::new(":pid=1")).unwrap().name, "pid");
        for wrong in ["pid", "=1", "a b=1", ""] {
            assert!(Param::parse(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_parameter_keeps_bytes_that_are_not_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let param = Param::parse(OsStr::from_bytes(b"path=/tmp/\xff")).unwrap();
        assert_eq!(param.value, Value::from(&b"/tmp/\xff"[..]));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10s").unwrap(), Duration::from_secs(10));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(timeout("none").unwrap(), None);
        for wrong in ["", "s", "10x", "-1s", "1e400h", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
