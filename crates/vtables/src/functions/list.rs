//! The functions that a statement may call, in groups.

use super::{Body, Function, Kind};
use super::{dates, digests, math, network, patterns, text, versions};

type Run = fn(&super::Call<'_>) -> super::call::Result;

const fn entry(
    kind: Kind,
    body: Body,
    name: &'static str,
    arguments: &'static str,
    doc: &'static str,
) -> Function {
    Function { name, arguments, doc, kind, body }
}

/// A scalar function of SQLite.
const fn scalar(name: &'static str, arguments: &'static str, doc: &'static str) -> Function {
    entry(Kind::Scalar, Body::Sqlite, name, arguments, doc)
}

/// An aggregate of SQLite.
const fn aggregate(name: &'static str, arguments: &'static str, doc: &'static str) -> Function {
    entry(Kind::Aggregate, Body::Sqlite, name, arguments, doc)
}

/// A window function of SQLite.
const fn window(name: &'static str, arguments: &'static str, doc: &'static str) -> Function {
    entry(Kind::Window, Body::Sqlite, name, arguments, doc)
}

/// A table-valued function of SQLite.
const fn table(name: &'static str, arguments: &'static str, doc: &'static str) -> Function {
    entry(Kind::Table, Body::Sqlite, name, arguments, doc)
}

/// A scalar function of ours that is NULL when an argument is.
const fn strict(
    name: &'static str,
    arguments: &'static str,
    arity: i32,
    run: Run,
    doc: &'static str,
) -> Function {
    entry(Kind::Scalar, Body::Strict(arity, run), name, arguments, doc)
}

/// A scalar function of ours that sees NULLs.
const fn raw(
    name: &'static str,
    arguments: &'static str,
    arity: i32,
    run: Run,
    doc: &'static str,
) -> Function {
    entry(Kind::Scalar, Body::Raw(arity, run), name, arguments, doc)
}

/// Every function that a statement may call.
#[rustfmt::skip] // One line each.
pub(crate) static FUNCTIONS: &[Function] = &[
    // Patterns and texts, as osquery has them.
    strict("regex_match", "text, pattern, group", 3, patterns::regex_match, "What a group of a regular expression matched first (group 0 is the whole), NULL without a match."),
    strict("regex_split", "text, pattern, index", 3, patterns::regex_split, "A piece, from 0, of a text cut wherever a regular expression matches."),
    strict("regexp", "pattern, text", 2, patterns::regexp, "1 if a regular expression matches somewhere in a text; the operator `text REGEXP pattern`."),
    strict("split", "text, delimiters, index", 3, text::split, "A piece, from 0, of a text cut at any of the delimiting characters; pieces are trimmed, empty ones left out."),
    raw("concat", "value, ...", -1, text::concat, "The values one after the other, without NULLs."),
    raw("concat_ws", "separator, value, ...", -1, text::concat_ws, "The values with a separator between them, without NULLs."),
    strict("to_base64", "value", 1, text::to_base64, "The bytes of a value in base64."),
    strict("from_base64", "text", 1, text::from_base64, "What base64 stands for, as text; empty if it is not base64."),
    strict("conditional_to_base64", "value", 1, text::conditional_to_base64, "A text as it is if all of it is printable ASCII, else in base64."),
    // Digests.
    strict("md5", "value", 1, digests::md5, "The MD5 of a value's bytes, in hexadecimal."),
    strict("sha1", "value", 1, digests::sha1, "The SHA-1 of a value's bytes, in hexadecimal."),
    strict("sha256", "value", 1, digests::sha256, "The SHA-256 of a value's bytes, in hexadecimal."),
    // Networks.
    strict("inet_aton", "address", 1, network::inet_aton, "An IPv4 address as a number, NULL for any other text."),
    strict("in_cidr_block", "block, address", 2, network::in_cidr_block, "1 if an address lies in a block such as '10.0.0.0/8', NULL if it is no address."),
    strict("community_id_v1", "source_address, destination_address, source_port, destination_port, protocol[, seed]", -1, network::community_id_v1, "The Community ID of a flow, NULL if an argument cannot be used."),
    raw("community_id_v1_strict", "source_address, destination_address, source_port, destination_port, protocol[, seed]", -1, network::community_id_v1_strict, "The Community ID of a flow; an argument that cannot be used is an error."),
    // Versions.
    strict("version_compare", "a, b[, flavor]", -1, versions::version_compare, "-1, 0 or 1 as version a is older than, equal to or newer than b, by the rules of 'DPKG', 'RHEL' or 'ARCH' if given."),
    // Dates.
    raw("date", "time, modifier, ...", -1, dates::of_time, "A date as YYYY-MM-DD."),
    raw("time", "time, modifier, ...", -1, dates::of_time, "A time of day as HH:MM:SS."),
    raw("datetime", "time, modifier, ...", -1, dates::of_time, "A date and time as YYYY-MM-DD HH:MM:SS."),
    raw("julianday", "time, modifier, ...", -1, dates::of_time, "Days since noon of 24 November 4714 BC."),
    raw("unixepoch", "time, modifier, ...", -1, dates::of_time, "Seconds since 1970."),
    raw("strftime", "format, time, modifier, ...", -1, dates::formatted, "A date and time by a format such as '%Y-%m-%d'."),
    raw("timediff", "time, time", 2, dates::difference, "The time between two times, as a modifier for the other date functions."),
    raw("current_date", "", 0, dates::current_date, "The date at which the statement runs; CURRENT_DATE."),
    raw("current_time", "", 0, dates::current_time, "The time of day at which the statement runs; CURRENT_TIME."),
    raw("current_timestamp", "", 0, dates::current_timestamp, "The date and time at which the statement runs; CURRENT_TIMESTAMP."),
    // Mathematics.
    strict("acos", "number", 1, |call| math::of_one(call, f64::acos), "The arc cosine, in radians."),
    strict("asin", "number", 1, |call| math::of_one(call, f64::asin), "The arc sine, in radians."),
    strict("atan", "number", 1, |call| math::of_one(call, f64::atan), "The arc tangent, in radians."),
    strict("ceil", "number", 1, |call| math::whole(call, f64::ceil), "The next integer up."),
    strict("ceiling", "number", 1, |call| math::whole(call, f64::ceil), "The next integer up."),
    strict("cos", "radians", 1, |call| math::of_one(call, f64::cos), "The cosine."),
    strict("cot", "radians", 1, |call| math::of_one(call, |x| 1.0 / x.tan()), "The cotangent."),
    strict("degrees", "radians", 1, |call| math::of_one(call, f64::to_degrees), "Radians in degrees."),
    strict("exp", "number", 1, |call| math::of_one(call, f64::exp), "The power of e."),
    strict("floor", "number", 1, |call| math::whole(call, f64::floor), "The next integer down."),
    strict("ln", "number", 1, |call| math::log_of(call, f64::ln), "The natural logarithm."),
    strict("log", "number", 1, |call| math::log_of(call, f64::ln), "The natural logarithm."),
    strict("log10", "number", 1, |call| math::log_of(call, f64::log10), "The logarithm to base 10."),
    strict("log2", "number", 1, |call| math::log_of(call, f64::log2), "The logarithm to base 2."),
    strict("mod", "dividend, divisor", 2, |call| math::of_two(call, |x, y| x % y), "What division leaves, also of fractions."),
    strict("pi", "", 0, math::pi, "The number pi."),
    strict("pow", "base, exponent", 2, |call| math::of_two(call, f64::powf), "A power."),
    strict("power", "base, exponent", 2, |call| math::of_two(call, f64::powf), "A power."),
    strict("radians", "degrees", 1, |call| math::of_one(call, f64::to_radians), "Degrees in radians."),
    strict("sin", "radians", 1, |call| math::of_one(call, f64::sin), "The sine."),
    strict("sqrt", "number", 1, |call| math::of_one(call, f64::sqrt), "The square root."),
    strict("tan", "radians", 1, |call| math::of_one(call, f64::tan), "The tangent."),
    strict("trunc", "number", 1, |call| math::whole(call, f64::trunc), "The integer part."),
    scalar("abs", "number", "The number without its sign."),
    scalar("random", "", "A random integer of 64 bits."),
    scalar("round", "number[, digits]", "The number rounded to so many digits behind the point."),
    scalar("sign", "number", "-1, 0 or 1."),
    // Texts and values, SQLite's own.
    scalar("char", "code, ...", "The characters of Unicode code points."),
    scalar("coalesce", "value, value, ...", "The first value that is not NULL."),
    scalar("format", "format, value, ...", "Values by a format such as '%d of %s'."),
    scalar("glob", "pattern, text", "1 if a pattern of `*`, `?` and `[...]` matches; the operator `text GLOB pattern`."),
    scalar("hex", "value", "The bytes of a value in hexadecimal, upper case."),
    scalar("if", "condition, value, ...[, otherwise]", "The value behind the first condition that holds."),
    scalar("ifnull", "value, otherwise", "The value, or the other one if it is NULL."),
    scalar("iif", "condition, value, ...[, otherwise]", "The value behind the first condition that holds."),
    scalar("instr", "text, part", "Where a part starts in a text, from 1; 0 if it does not occur."),
    scalar("length", "value", "Characters of a text, or bytes of a blob."),
    scalar("like", "pattern, text[, escape]", "1 if a pattern of `%` and `_` matches; the operator `text LIKE pattern`."),
    scalar("likelihood", "value, probability", "The value; tells the planner how often it holds."),
    scalar("likely", "value", "The value; tells the planner that it mostly holds."),
    scalar("lower", "text", "The text with ASCII letters in lower case."),
    scalar("ltrim", "text[, characters]", "The text without spaces, or the given characters, in front."),
    scalar("max", "value, value, ...", "The largest of the values, NULL if one is NULL."),
    scalar("min", "value, value, ...", "The smallest of the values, NULL if one is NULL."),
    scalar("nullif", "value, other", "The value, or NULL if it equals the other."),
    scalar("octet_length", "value", "Bytes of a text or blob."),
    scalar("printf", "format, value, ...", "Values by a format such as '%d of %s'."),
    scalar("quote", "value", "The value as it would stand in SQL."),
    scalar("randomblob", "bytes", "So many random bytes."),
    scalar("replace", "text, part, other", "The text with each part replaced by the other."),
    scalar("rtrim", "text[, characters]", "The text without spaces, or the given characters, at its end."),
    scalar("soundex", "text", "How a word sounds in English."),
    scalar("sqlite_version", "", "The version of SQLite."),
    scalar("substr", "text, start[, length]", "A part of a text, from 1; from its end if negative."),
    scalar("substring", "text, start[, length]", "A part of a text, from 1; from its end if negative."),
    scalar("trim", "text[, characters]", "The text without spaces, or the given characters, at both ends."),
    scalar("typeof", "value", "'null', 'integer', 'real', 'text' or 'blob'."),
    scalar("unhex", "text[, ignored]", "The bytes that hexadecimal stands for, NULL if it is not hexadecimal."),
    scalar("unicode", "text", "The code point of the first character."),
    scalar("unistr", "text", "The text with escapes such as \\u00e9 resolved."),
    scalar("unistr_quote", "value", "The value as it would stand in SQL, with control characters escaped."),
    scalar("unlikely", "value", "The value; tells the planner that it rarely holds."),
    scalar("upper", "text", "The text with ASCII letters in upper case."),
    scalar("zeroblob", "bytes", "So many zero bytes."),
    // JSON.
    scalar("->", "json, path", "A part of a JSON text, as JSON; an operator."),
    scalar("->>", "json, path", "A part of a JSON text, as an SQL value; an operator."),
    scalar("json", "json", "The JSON without white space."),
    scalar("json_array", "value, ...", "A JSON array of the values."),
    scalar("json_array_insert", "json, path, value, ...", "The JSON with values inserted into arrays."),
    scalar("json_array_length", "json[, path]", "Elements of an array."),
    scalar("json_error_position", "json", "Where JSON is malformed, from 1; 0 if it is not."),
    scalar("json_extract", "json, path, ...", "Parts of a JSON text."),
    scalar("json_insert", "json, path, value, ...", "The JSON with values put where there is none."),
    scalar("json_object", "name, value, ...", "A JSON object of the pairs."),
    scalar("json_patch", "json, patch", "The JSON merged with another (RFC 7396)."),
    scalar("json_pretty", "json[, indent]", "The JSON over several lines."),
    scalar("json_quote", "value", "The value as JSON."),
    scalar("json_remove", "json, path, ...", "The JSON without the parts."),
    scalar("json_replace", "json, path, value, ...", "The JSON with values put where there is one."),
    scalar("json_set", "json, path, value, ...", "The JSON with values put in place."),
    scalar("json_type", "json[, path]", "'object', 'array', 'text', 'integer', 'real', 'true', 'false' or 'null'."),
    scalar("json_valid", "json[, flags]", "1 if the text is well-formed JSON."),
    scalar("jsonb", "json", "The JSON in SQLite's binary form."),
    scalar("jsonb_array", "value, ...", "As json_array, in binary form."),
    scalar("jsonb_array_insert", "json, path, value, ...", "As json_array_insert, in binary form."),
    scalar("jsonb_extract", "json, path, ...", "As json_extract, in binary form."),
    scalar("jsonb_insert", "json, path, value, ...", "As json_insert, in binary form."),
    scalar("jsonb_object", "name, value, ...", "As json_object, in binary form."),
    scalar("jsonb_patch", "json, patch", "As json_patch, in binary form."),
    scalar("jsonb_remove", "json, path, ...", "As json_remove, in binary form."),
    scalar("jsonb_replace", "json, path, value, ...", "As json_replace, in binary form."),
    scalar("jsonb_set", "json, path, value, ...", "As json_set, in binary form."),
    aggregate("json_group_array", "value", "A JSON array of the group's values."),
    aggregate("json_group_object", "name, value", "A JSON object of the group's pairs."),
    aggregate("jsonb_group_array", "value", "As json_group_array, in binary form."),
    aggregate("jsonb_group_object", "name, value", "As json_group_object, in binary form."),
    table("json_each", "json[, path]", "A row for each element of an array or object."),
    table("json_tree", "json[, path]", "A row for each element at any depth."),
    table("jsonb_each", "json[, path]", "As json_each, with values in binary form."),
    table("jsonb_tree", "json[, path]", "As json_tree, with values in binary form."),
    // Aggregates.
    aggregate("avg", "number", "The mean of the group."),
    aggregate("count", "[value]", "Rows of the group, or values that are not NULL."),
    aggregate("group_concat", "value[, separator]", "The group's values with a comma, or the separator, between them."),
    aggregate("max", "value", "The largest value of the group."),
    aggregate("min", "value", "The smallest value of the group."),
    aggregate("string_agg", "value, separator", "The group's values with the separator between them."),
    aggregate("sum", "number", "The sum of the group, NULL if it is empty."),
    aggregate("total", "number", "The sum of the group as a real, 0.0 if it is empty."),
    // Windows.
    window("cume_dist", "", "The part of the rows up to this one and its equals."),
    window("dense_rank", "", "The rank without gaps."),
    window("first_value", "value", "The value in the first row of the frame."),
    window("lag", "value[, offset[, otherwise]]", "The value in a row before."),
    window("last_value", "value", "The value in the last row of the frame."),
    window("lead", "value[, offset[, otherwise]]", "The value in a row behind."),
    window("nth_value", "value, n", "The value in the nth row of the frame."),
    window("ntile", "n", "Which of n parts of equal size the row is in."),
    window("percent_rank", "", "The rank from 0 to 1."),
    window("rank", "", "The rank, with gaps behind equals."),
    window("row_number", "", "The number of the row, from 1."),
];
