//! Tests of the first layer as a whole: what passes, what does not, and what is told about it.

mod accepted; // queries as people write them
mod agreement; // SQLite as the judge of random statements
mod answers; // references, tested columns, warnings, places
mod refused; // hostile and mistaken statements

use std::borrow::Cow;
use std::sync::Arc;

use model::{ColumnSchema, Extent, Identity, Kind, Ops, TableSchema};

use super::{Checked, GuardLimits, check};
use crate::{Catalog, SqlError};

/// Tables with their columns; a `*` marks a hidden one.
const TABLES: &[(&str, &str)] = &[
    (
        "processes",
        "pid name path cmdline state cwd root uid gid euid egid on_disk wired_size resident_size \
        total_size user_time system_time start_time parent pgroup threads nice *phys_footprint",
    ),
    ("users", "uid gid uid_signed gid_signed username description directory shell uuid type *is_hidden"),
    ("groups", "gid gid_signed groupname comment"),
    ("user_groups", "uid gid"),
    (
        "file",
        "path directory filename inode uid gid mode device size block_size atime mtime ctime btime \
        hard_links symlink type *attributes",
    ),
    ("hash", "path directory md5 sha1 sha256"),
    ("listening_ports", "pid port protocol family address fd socket path net_namespace"),
    (
        "process_open_sockets",
        "pid fd socket family protocol local_address remote_address local_port \
        remote_port path state net_namespace",
    ),
    ("process_open_files", "pid fd path"),
    ("process_memory_map", "pid start end permissions offset device inode path pseudo"),
    ("process_envs", "pid key value"),
    ("interface_addresses", "interface address mask broadcast point_to_point type"),
    ("crontab", "event minute hour day_of_month month day_of_week command path"),
    ("mounts", "device device_alias path type blocks_size blocks blocks_free flags"),
    ("os_version", "name version major minor patch build platform"),
    ("system_info", "hostname uuid cpu_type physical_memory"),
    ("osquery_schedule", "name query interval executions last_executed"),
    ("last", "username tty pid type type_name time host"),
    ("shell_history", "uid time command history_file"),
    ("startup_items", "name path args type source status username"),
    ("suid_bin", "path username groupname permissions"),
    ("deb_packages", "name version source size arch revision status maintainer section priority"),
    ("file_lines", "line *path"),
    ("process_ancestors", "pid parent name depth *of"),
    ("daemoneye_tables", "name about"),
];

pub(super) const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "dense_rank",
    "first_value",
    "format",
    "glob",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "inet_aton",
    "instr",
    "json",
    "json_array",
    "json_extract",
    "json_group_array",
    "json_object",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "lower",
    "ltrim",
    "match",
    "max",
    "min",
    "nth_value",
    "ntile",
    "nullif",
    "printf",
    "quote",
    "rank",
    "regex_match",
    "regex_split",
    "regexp",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sha1",
    "sha256",
    "split",
    "strftime",
    "substr",
    "substring",
    "sum",
    "time",
    "total",
    "trim",
    "typeof",
    "unicode",
    "unixepoch",
    "upper",
    "version_compare",
    "in_cidr_block",
    "last",
];

pub(super) fn catalog() -> Catalog {
    let schema = |(name, columns): &(&'static str, &'static str)| {
        let column = |column: &'static str| ColumnSchema {
            name: Cow::Borrowed(column.trim_start_matches('*')),
            kind: Kind::Text,
            doc: Cow::Borrowed("A column."),
            hidden: column.starts_with('*'),
            required: false,
            push: Ops::NONE,
        };
        Arc::new(TableSchema {
            name: Cow::Borrowed(name),
            about: Cow::Borrowed("A table."),
            columns: columns.split_whitespace().map(column).collect(),
            identity: Identity { columns: Vec::new(), unique: false },
            extent: Extent::Whole { rows: 10 },
            examples: Vec::new(),
        })
    };
    TABLES.iter().map(schema).collect()
}

pub(super) fn checked(sql: &str) -> Result<Checked, SqlError> {
    check(sql, &catalog(), FUNCTIONS, &GuardLimits::default())
}

/// A database of its own, in which every table and function of these tests exists.
pub(super) fn sqlite() -> rusqlite::Connection {
    use rusqlite::functions::FunctionFlags;
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    for (name, columns) in TABLES {
        let columns: Vec<String> =
            columns.split_whitespace().map(|c| format!("\"{}\"", c.trim_start_matches('*'))).collect();
        connection.execute_batch(&format!("CREATE TABLE {name} ({})", columns.join(", "))).unwrap();
    }
    for (name, args) in [
        ("inet_aton", 1),
        ("regex_match", 3),
        ("regex_split", 3),
        ("regexp", 2),
        ("split", 3),
        ("sha1", 1),
        ("sha256", 1),
        ("version_compare", 2),
        ("in_cidr_block", 2),
        ("last", 1),
    ] {
        connection.create_scalar_function(name, args, FunctionFlags::SQLITE_UTF8, |_| Ok(0)).unwrap();
    }
    connection
}
