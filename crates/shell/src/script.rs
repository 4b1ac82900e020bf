//! A script cut into statements and dot commands.

use crate::lex::{Kind, tokens};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A statement, without the `;` that ends it.
    Sql(String),
    /// A dot command: a line that starts with `.` where a statement could start.
    Dot(String),
}

/// Cuts what is complete off the front of a script that is still being read, line by line. What stays in
/// `text` is the start of a statement, or nothing.
pub(crate) fn take_complete(text: &mut String) -> Vec<Piece> {
    let (mut pieces, mut taken) = (Vec::new(), 0);
    while let Some((piece, length)) = first(&text[taken..]) {
        pieces.extend(piece);
        taken += length;
    }
    text.drain(..taken);
    pieces
}

/// All pieces of a whole script; the last statement needs no `;`.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut text = text.to_owned();
    text.push('\n');
    let mut pieces = take_complete(&mut text);
    pieces.extend(rest(&text));
    pieces
}

/// What is left at the end of a script: a statement that nothing ended.
pub(crate) fn rest(text: &str) -> Option<Piece> {
    (!is_blank(text)).then(|| Piece::Sql(text.trim().to_owned()))
}

/// Whether a text holds nothing but space and comments.
pub(crate) fn is_blank(text: &str) -> bool {
    tokens(text).all(|t| matches!(t.kind, Kind::Space | Kind::Comment) && !t.open)
}

/// The first complete piece (none for an empty statement) and its length with what ends it.
fn first(text: &str) -> Option<(Option<Piece>, usize)> {
    let blank = text.len() - text.trim_start().len();
    let line = &text[blank..];
    if line.starts_with('.') {
        let end = line.find('\n')?;
        return Some((Some(Piece::Dot(line[..end].trim_end().to_owned())), blank + end + 1));
    }
    let mut comments_only = true;
    for token in tokens(text) {
        let token_text = &text[token.place.clone()];
        match token.kind {
            Kind::Symbol if token_text == ";" => {
                let statement = text[..token.place.start].trim();
                let piece = (!is_blank(statement)).then(|| Piece::Sql(statement.to_owned()));
                return Some((piece, token.place.end));
            }
            // A comment before a dot command ends with its line.
            Kind::Comment => {}
            Kind::Space if comments_only && token.place.start > 0 && token_text.contains('\n') => {
                return Some((None, token.place.end));
            }
            Kind::Space => {}
            _ => comments_only = false,
        }
    }
    (blank > 0 && blank == text.len()).then_some((None, blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> Piece {
        Piece::Sql(text.to_owned())
    }

    fn dot(text: &str) -> Piece {
        Piece::Dot(text.to_owned())
    }

    #[test]
    fn semicolons_end_statements_but_not_within_quotes_and_comments() {
        assert_eq!(
            pieces("SELECT ';' AS \"a;b\" /* ; */ -- ;\n FROM t; SELECT [;], `;`;;SELECT 3"),
            [sql("SELECT ';' AS \"a;b\" /* ; */ -- ;\n FROM t"), sql("SELECT [;], `;`"), sql("SELECT 3")]
        );
    }

    #[test]
    fn a_dot_command_is_a_line_where_a_statement_could_start() {
        assert_eq!(
            pieces(".mode json\n-- a remark\n.tables\nSELECT 1\n.5;\n  .quit  \n"),
            [dot(".mode json"), dot(".tables"), sql("SELECT 1\n.5"), dot(".quit")]
        );
    }

    #[test]
    fn nothing_comes_of_blank_text() {
        for blank in ["", "  \n\n", "-- only a remark", "/* ; */", ";;\n;", "-- a\n-- b\n"] {
            assert_eq!(pieces(blank), [], "{blank:?}");
        }
    }

    #[test]
    fn an_unfinished_statement_waits_for_its_end() {
        let mut text = String::new();
        let mut all = Vec::new();
        for line in ["SELECT '\n", "a;\n", "b' AS x\n", "; SELECT 2;\n", "SELECT 3\n"] {
            text.push_str(line);
            all.push(take_complete(&mut text));
        }
        let none: Vec<Piece> = Vec::new();
        assert_eq!(
            all,
            [
                none.clone(),
                none.clone(),
                none.clone(),
                vec![sql("SELECT '\na;\nb' AS x"), sql("SELECT 2")],
                none
            ]
        );
        assert_eq!(rest(&text), Some(sql("SELECT 3")));
    }

    #[test]
    fn an_open_comment_is_kept_for_the_engine_to_refuse() {
        assert_eq!(pieces("SELECT 1 /* open"), [sql("SELECT 1 /* open")]);
        assert_eq!(pieces("/* open"), [sql("/* open")]);
    }
}
