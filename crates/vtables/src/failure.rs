//! What goes wrong while tables are scanned, as errors of the statement.

use model::{ScanError, TableSchema};

use crate::{ErrorKind, Limit, SqlError};

/// That a statement does not say which rows it wants of a table that has to be told.
pub(crate) fn required(schema: &TableSchema) -> SqlError {
    let columns: Vec<&str> = schema.required().collect();
    let name = &schema.name;
    let message = format!("the table `{name}` needs {} in WHERE", columns.join(" or "));
    let column = columns.first().copied().unwrap_or_default();
    SqlError::new(ErrorKind::RequiredColumn, message).help(format!(
        "say which: WHERE {name}.{column} = '…', or join {name} on {column}; in an OR, say it in each part, \
             and without COLLATE or an empty IN ()"
    ))
}

/// A scan's error as a statement's.
pub(crate) fn scan_error(schema: &TableSchema, error: ScanError) -> SqlError {
    match error {
        ScanError::Stopped(stop) => stopped(stop),
        failed @ ScanError::Failed(_) => {
            SqlError::new(ErrorKind::Table, format!("{}: {failed}", schema.name))
        }
        // It names the collector.
        away @ ScanError::Unreachable { .. } => {
            SqlError::new(ErrorKind::Unreachable, format!("{}: {away}", schema.name))
                .help("start it again; what is scanned in this process still answers")
        }
    }
}

/// Why a run stopped, as a statement's error.
pub(crate) fn stopped(stop: model::Stop) -> SqlError {
    use model::Stop;
    let (kind, help) = match stop {
        Stop::Cancelled => return SqlError::new(ErrorKind::Cancelled, stop.to_string()),
        Stop::Deadline(_) => {
            (ErrorKind::Limit(Limit::Deadline), "narrow it with WHERE, or give it more time")
        }
        Stop::Memory(_) => {
            (ErrorKind::Limit(Limit::Memory), "narrow it with WHERE so that fewer rows are kept for a join")
        }
    };
    SqlError::new(kind, stop.to_string()).help(help)
}

/// That a table's code panicked.
pub(crate) fn panicked(schema: &TableSchema, panic: &(dyn std::any::Any + Send)) -> SqlError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    SqlError::new(ErrorKind::Internal, format!("the table `{}` failed: {text}", schema.name))
        .help("this is a fault of DaemonEye; the session goes on, and other tables still answer")
}
