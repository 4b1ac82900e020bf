//! Mathematics that this build of SQLite does not have.
//!
//! As in SQLite's own (lang_mathfunc.html), an argument that is no number and a result that is none (`sqrt(-1)`)
//! are NULL; osquery fails on the latter. `log` is the natural logarithm, as in osquery, where SQLite's has base 10.

use model::Value;

use super::call::{Call, Result};

fn real(x: f64) -> Value<'static> {
    if x.is_nan() { Value::Null } else { Value::Real(x) }
}

/// A function of one number.
pub(super) fn of_one(call: &Call<'_>, function: impl Fn(f64) -> f64) -> Result {
    Ok(call.number(0).map(|x| real(function(x))).into())
}

/// A function of two numbers.
pub(super) fn of_two(call: &Call<'_>, function: impl Fn(f64, f64) -> f64) -> Result {
    Ok(call.number(0).zip(call.number(1)).map(|(x, y)| real(function(x, y))).into())
}

/// A logarithm. Of zero it is NULL, not minus infinity.
pub(super) fn log_of(call: &Call<'_>, logarithm: impl Fn(f64) -> f64) -> Result {
    of_one(call, |x| if x > 0.0 { logarithm(x) } else { f64::NAN })
}

/// `ceil` and `floor`, which give an integer, as in osquery, unless none is that large.
pub(super) fn whole(call: &Call<'_>, round: impl Fn(f64) -> f64) -> Result {
    if let rusqlite::types::ValueRef::Integer(n) = call.raw(0) {
        return Ok(n.into());
    }
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    Ok(call
        .number(0)
        .map(|x| match round(x) {
            whole if (-LIMIT..LIMIT).contains(&whole) => Value::Int(whole as i64),
            whole => real(whole),
        })
        .into())
}

/// `pi()`
pub(super) fn pi(_: &Call<'_>) -> Result {
    Ok(std::f64::consts::PI.into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn numbers_are_computed_and_what_is_none_is_null() {
        check(&[
            ("sqrt(2)", "1.4142135623730951"),
            ("sqrt(-1)", "NULL"),
            ("sqrt(' 4 ')", "2.0"),
            ("sqrt('abc')", "NULL"),
            ("sqrt('inf')", "NULL"),
            ("sqrt('')", "NULL"),
            ("round(log(107372805120), 9)", "25.399572776"),
            ("ln(1)", "0.0"),
            ("log10(1000)", "3.0"),
            ("log2(8)", "3.0"),
            ("log(0)", "NULL"),
            ("log(-1)", "NULL"),
            ("power(2, 10)", "1024.0"),
            ("pow(-8, 1.0 / 3)", "NULL"),
            ("mod(5.5, -2)", "1.5"),
            ("mod(1, 0)", "NULL"),
            ("round(exp(1), 9)", "2.718281828"),
            ("exp(1000)", "inf"),
            ("round(sin(30), 9)", "-0.988031624"),
            ("round(cos(30), 9)", "0.15425145"),
            ("round(tan(30), 9)", "-6.405331197"),
            ("round(cot(30), 9)", "-0.156119952"),
            ("round(asin(.5), 9)", "0.523598776"),
            ("round(acos(.5), 9)", "1.047197551"),
            ("round(atan(.5), 9)", "0.463647609"),
            ("acos(2)", "NULL"),
            ("round(radians(60), 9)", "1.047197551"),
            ("round(degrees(1.3), 9)", "74.484513367"),
            ("pi()", "3.141592653589793"),
        ]);
    }

    #[test]
    fn rounded_numbers_are_integers_where_integers_reach() {
        check(&[
            ("ceil(1.2)", "2"),
            ("ceiling(-1.2)", "-1"),
            ("floor(-1.2)", "-2"),
            ("trunc(-1.8)", "-1"),
            ("floor('7.9')", "7"),
            ("ceil(9223372036854775807)", "9223372036854775807"),
            ("floor(-9223372036854775808.0)", "-9223372036854775808"),
            ("floor(9223372036854775808.0)", "9.223372036854776e18"),
            ("ceil(-1e300)", "-1e300"),
            ("ceil('x')", "NULL"),
        ]);
    }
}
