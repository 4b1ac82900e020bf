//! Prints the rows of one table: `scan TABLE [column=value|column~like]…`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
use std::sync::Arc;

use model::{Constraint, Op, Query, Run, Value};

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap();
    let table = host::TABLES.iter().find(|t| t.name() == name).unwrap();
    let schema = Arc::new(table.schema());
    let mut query = Query::all(schema.clone(), Run::unlimited());
    for arg in args {
        let (at, op) = match (arg.find('='), arg.find('~')) {
            (Some(at), _) => (at, Op::Eq),
            (None, Some(at)) => (at, Op::Like),
            _ => panic!("column=value or column~pattern"),
        };
        let column = schema.column(&arg[..at]).unwrap();
        let value = match schema.columns[column].kind {
            model::Kind::Int => Value::Int(arg[at + 1..].parse().unwrap()),
            _ => Value::from(arg[at + 1..].to_owned()),
        };
        query.constraints.push(Constraint { column, op, values: vec![value] });
    }
    let mut scan = table.open(&collector::Host::live(), &query).unwrap();
    let mut rows = 0;
    while scan.advance().unwrap() {
        rows += 1;
        let cells: Vec<String> = (0..schema.columns.len())
            .map(|i| match scan.value(i) {
                Value::Null => format!("{}=NULL", schema.columns[i].name),
                Value::Int(n) => format!("{}={n}", schema.columns[i].name),
                Value::Real(x) => format!("{}={x}", schema.columns[i].name),
                Value::Text(t) | Value::Blob(t) => {
                    format!("{}={:?}", schema.columns[i].name, String::from_utf8_lossy(&t))
                }
            })
            .collect();
        println!("{}", cells.join(" "));
    }
    println!("{rows} rows; notes: {:?}", query.run.notes());
}
