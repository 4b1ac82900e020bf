//! Lengths of time as people write them: `30s`, `5m`, `1h30m`, `7d`.

use std::time::Duration;

/// Units, in ms.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The form, for messages.
pub const FORM: &str = "write a number with ms, s, m, h or d, such as 30s, 5m, 1h30m or 7d";

/// The length of time; `None` when the text has another form or is too long for a `u64` of ms.
pub fn parse(text: &str) -> Option<Duration> {
    let mut ms = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(unit);
        let (_, each) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        ms = ms.checked_add(number.parse::<u64>().ok()?.checked_mul(each)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(ms))
}

/// A length of time in the largest unit that gives a whole number.
pub fn shown(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.into_iter().rev().find(|(_, each)| ms > 0 && ms.is_multiple_of(*each));
    let (unit, each) = unit.unwrap_or(UNITS[0]);
    format!("{}{unit}", ms / each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        let seconds = |text| parse(text).map(|d| d.as_secs());
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_time_is_shown_as_it_is_written() {
        for text in ["1ms", "250ms", "30s", "90s", "5m", "25h", "7d", "0ms"] {
            assert_eq!(parse(text).map(shown).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "30", "s", "30 s", "-5m", "1.5h", "5min", "99999999999999999999s", "999999999999999d"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
