//! Numbers of bytes as people write them: `512`, `64KiB`, `32MiB`, `2GiB`.

/// Units, as powers of two; the bare number last, which any text ends with.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];

/// The form, for messages.
pub const FORM: &str = "write bytes, such as 512, 64KiB, 32MiB or 2GiB";

/// The number of bytes; `None` when the text has another form or is too large for a `u64`.
pub fn parse(text: &str) -> Option<u64> {
    let (unit, shift) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_multiplies() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("64KiB"), Some(64 << 10));
        assert_eq!(parse("32 MiB"), Some(32 << 20));
        assert_eq!(parse("2GiB"), Some(2 << 30));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "MiB", "-1", "+1", "1.5MiB", "1MB", "1 000", "99999999999GiB", "1mib"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
