//! SQL in colours.

use anstyle::Style;
use vtables::Catalog;

use super::words;
use crate::lex::{Kind, tokens};
use crate::paint;

/// A line in colours, as a part of the statement whose earlier lines are `above`. Its width does not change.
pub(super) fn coloured(above: &str, line: &str, catalog: &Catalog) -> String {
    let text = format!("{above}{line}");
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = above.len();
    if let (true, Some(name)) = (above.is_empty() && line.starts_with('.'), line.split_whitespace().next()) {
        out.push_str(&paint::styled(paint::KEYWORD, name));
        rest = name.len();
    }
    for token in tokens(&text).filter(|token| token.place.end > rest) {
        let after = &text[token.place.end..];
        let style = style(token.kind, &text[token.place.clone()], after, catalog);
        let part = &text[token.place.start.max(rest)..token.place.end];
        match style {
            Some(style) => out.push_str(&paint::styled(style, part)),
            None => out.push_str(part),
        }
    }
    out
}

fn style(kind: Kind, text: &str, after: &str, catalog: &Catalog) -> Option<Style> {
    match kind {
        Kind::Comment => Some(paint::FAINT),
        Kind::Text => Some(paint::TEXT),
        Kind::Number | Kind::Parameter => Some(paint::NUMBER),
        Kind::Word if after.trim_start().starts_with('(') && is_function(text) => Some(paint::FUNCTION),
        Kind::Word if words::keyword(text).is_some() => Some(paint::KEYWORD),
        Kind::Word if catalog.get(text).is_some() => Some(paint::TABLE),
        Kind::Space | Kind::Symbol | Kind::Word | Kind::QuotedName => None,
    }
}

fn is_function(name: &str) -> bool {
    vtables::functions().any(|function| function.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Source;

    #[test]
    fn colours_change_no_character() {
        let engine = Source::HERE.engine(vtables::Limits::default()).unwrap();
        let (catalog, above) = (engine.catalog(), "SELECT 'open\n");
        for line in
            ["SELECT name FROM daemoneye_tables WHERE x = 'é' -- 1", ".help me", "string' AS x, 1.5", ""]
        {
            for above in ["", above] {
                let coloured = coloured(above, line, catalog);
                assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), line);
            }
        }
        let shown = coloured("", "select 1 from daemoneye_tables", catalog);
        let table = paint::styled(paint::TABLE, "daemoneye_tables");
        assert!(
            shown.starts_with(&paint::styled(paint::KEYWORD, "select")) && shown.ends_with(&table),
            "{shown:?}"
        );
        let inside = coloured("SELECT 'open\n", "select", catalog);
        assert_eq!(inside, paint::styled(paint::TEXT, "select"));
    }
}
