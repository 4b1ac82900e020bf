//! The values of one column, side by side: written row by row, read in place.

use std::borrow::Cow;

use model::Value;
use prost::bytes::Bytes;

use crate::proto::{self, Layout};

const NULL: u8 = 0;
const INT: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// One column of a batch that is being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    classes: Vec<u8>,
    /// Which classes there are, bit by class.
    seen: u8,
    /// Bits of integers and doubles, as far as there was one; rows without are 0.
    numbers: Vec<i64>,
    least: i64,
    most: i64,
    /// As far as there was text or a blob.
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn push(&mut self, value: &Value<'_>) {
        let row = self.classes.len();
        let class = match value {
            Value::Null => NULL,
            Value::Int(n) => {
                self.number(row, *n);
                (self.least, self.most) = (self.least.min(*n), self.most.max(*n));
                INT
            }
            Value::Real(x) => {
                self.number(row, x.to_bits() as i64);
                REAL
            }
            Value::Text(text) => {
                self.append(row, text);
                TEXT
            }
            Value::Blob(blob) => {
                self.append(row, blob);
                BLOB
            }
        };
        self.seen |= 1 << class;
        self.classes.push(class);
    }

    fn number(&mut self, row: usize, bits: i64) {
        self.numbers.resize(row, 0);
        self.numbers.push(bits);
    }

    fn append(&mut self, row: usize, bytes: &[u8]) {
        self.ends.resize(row, self.bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Takes the last value back.
    pub(crate) fn pop(&mut self) {
        self.classes.pop();
        let rows = self.classes.len();
        self.numbers.truncate(rows);
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// The column as a message; the writer is empty after it.
    pub(crate) fn finish(&mut self) -> proto::Values {
        let column = std::mem::take(self);
        let rows = column.classes.len();
        let uniform = [(INT, Layout::Int), (REAL, Layout::Real), (TEXT, Layout::Text), (BLOB, Layout::Blob)];
        let layout = match column.seen & !(1 << NULL) {
            0 => return proto::Values { layout: Layout::Null.into(), ..Default::default() },
            seen => uniform.iter().find(|(class, _)| seen == 1 << class).map_or(Layout::Mixed, |(_, l)| *l),
        };
        let mut values = proto::Values { layout: layout.into(), ..Default::default() };
        if column.seen & (1 << NULL) != 0 && layout != Layout::Mixed {
            values.nulls = nulls(&column.classes).into();
        }
        if matches!(layout, Layout::Int | Layout::Real | Layout::Mixed) {
            let mut numbers = column.numbers;
            numbers.resize(rows, 0);
            let width = if layout == Layout::Int { width(column.least, column.most) } else { 8 };
            let packed: Vec<u8> = pack(&numbers, width);
            values.numbers = packed.into();
        }
        if matches!(layout, Layout::Text | Layout::Blob | Layout::Mixed) {
            let mut ends = column.ends;
            ends.resize(rows, column.bytes.len() as u32);
            let width = match column.bytes.len() {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            };
            values.ends = pack(&ends.iter().map(|e| i64::from(*e)).collect::<Vec<_>>(), width).into();
            values.bytes = column.bytes.into();
        }
        if layout == Layout::Mixed {
            values.classes = column.classes.into();
        }
        values
    }
}

fn nulls(classes: &[u8]) -> Vec<u8> {
    let byte = |eight: &[u8]| {
        eight.iter().enumerate().fold(0, |bits, (n, class)| bits | u8::from(*class == NULL) << n)
    };
    classes.chunks(8).map(byte).collect()
}

/// Bytes that every integer between these needs.
fn width(least: i64, most: i64) -> usize {
    let fits = |low: i64, high: i64| least >= low && most <= high;
    if fits(i8::MIN.into(), i8::MAX.into()) {
        1
    } else if fits(i16::MIN.into(), i16::MAX.into()) {
        2
    } else if fits(i32::MIN.into(), i32::MAX.into()) {
        4
    } else {
        8
    }
}

/// The low bytes of each.
fn pack(numbers: &[i64], width: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(numbers.len() * width);
    match width {
        1 => packed.extend(numbers.iter().map(|n| *n as u8)),
        2 => numbers.iter().for_each(|n| packed.extend_from_slice(&(*n as u16).to_le_bytes())),
        4 => numbers.iter().for_each(|n| packed.extend_from_slice(&(*n as u32).to_le_bytes())),
        _ => numbers.iter().for_each(|n| packed.extend_from_slice(&n.to_le_bytes())),
    }
    packed
}

/// One column of a batch that arrived, checked once so that reading it cannot fail.
#[derive(Debug)]
pub(crate) struct Column {
    layout: Layout,
    rows: usize,
    nulls: Bytes,
    numbers: Bytes,
    width: usize,
    ends: Bytes,
    ends_width: usize,
    bytes: Bytes,
    classes: Bytes,
}

impl Column {
    /// The column of a message with so many rows. The error says what is wrong with it.
    pub(crate) fn new(values: proto::Values, rows: usize) -> Result<Column, &'static str> {
        let layout = Layout::try_from(values.layout).map_err(|_| "a column's layout is unknown")?;
        let has = |parts: &[Layout]| parts.contains(&layout);
        let mut column = Column {
            layout,
            rows,
            nulls: values.nulls,
            numbers: values.numbers,
            width: 8,
            ends: values.ends,
            ends_width: 4,
            bytes: values.bytes,
            classes: values.classes,
        };
        if rows == 0 {
            column.layout = Layout::Null;
            return Ok(column);
        }
        if !column.nulls.is_empty() && column.nulls.len() != rows.div_ceil(8) {
            return Err("a column's nulls do not fit its rows");
        }
        if has(&[Layout::Int, Layout::Real, Layout::Mixed]) {
            column.width = width_of(&column.numbers, rows).ok_or("a column's numbers do not fit its rows")?;
            if layout != Layout::Int && column.width != 8 {
                return Err("a column's numbers are not 8 bytes each");
            }
        }
        if has(&[Layout::Mixed]) && (column.classes.len() != rows || column.classes.iter().any(|c| *c > BLOB))
        {
            return Err("a column's classes do not fit its rows");
        }
        if has(&[Layout::Text, Layout::Blob, Layout::Mixed]) {
            column.ends_width = width_of(&column.ends, rows).ok_or("a column's ends do not fit its rows")?;
            let mut before = 0;
            for row in 0..rows {
                let end = column.end(row);
                if end < before {
                    return Err("a column's ends are not in order");
                }
                before = end;
            }
            if before > column.bytes.len() {
                return Err("a column's ends lie outside of its bytes");
            }
        }
        Ok(column)
    }

    fn end(&self, row: usize) -> usize {
        match self.ends_width {
            1 => usize::from(self.ends[row]),
            2 => usize::from(u16::from_le_bytes(part(&self.ends, row))),
            4 => u32::from_le_bytes(part(&self.ends, row)) as usize,
            _ => usize::try_from(u64::from_le_bytes(part(&self.ends, row))).unwrap_or(usize::MAX),
        }
    }

    fn number(&self, row: usize) -> i64 {
        match self.width {
            1 => i64::from(self.numbers[row] as i8),
            2 => i64::from(i16::from_le_bytes(part(&self.numbers, row))),
            4 => i64::from(i32::from_le_bytes(part(&self.numbers, row))),
            _ => i64::from_le_bytes(part(&self.numbers, row)),
        }
    }

    fn slice(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.end(row - 1) };
        &self.bytes[start..self.end(row)]
    }

    /// The value of a row, which borrows from the batch; NULL where there is no such row.
    pub(crate) fn get(&self, row: usize) -> Value<'_> {
        if row >= self.rows || self.nulls.get(row / 8).is_some_and(|byte| byte & (1 << (row % 8)) != 0) {
            return Value::Null;
        }
        let class = match self.layout {
            Layout::Null => NULL,
            Layout::Int => INT,
            Layout::Real => REAL,
            Layout::Text => TEXT,
            Layout::Blob => BLOB,
            Layout::Mixed => self.classes[row],
        };
        match class {
            INT => Value::Int(self.number(row)),
            REAL => Value::Real(f64::from_bits(self.number(row) as u64)),
            TEXT => Value::Text(Cow::Borrowed(self.slice(row))),
            BLOB => Value::Blob(Cow::Borrowed(self.slice(row))),
            _ => Value::Null,
        }
    }

    /// Bytes of the frame that the column is made of.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.nulls.len() + self.numbers.len() + self.ends.len() + self.bytes.len() + self.classes.len()
    }
}

fn part<const N: usize>(bytes: &[u8], row: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[row * N..(row + 1) * N]);
    part
}

fn width_of(packed: &[u8], rows: usize) -> Option<usize> {
    let width = packed.len() / rows;
    ([1, 2, 4, 8].contains(&width) && packed.len() == width * rows).then_some(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            (-200_i64..200).prop_map(Value::Int),
            any::<f64>().prop_map(Value::Real),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| Value::Blob(b.into())),
        ]
    }

    /// Columns as tables have them: of one class but for NULLs, or of any.
    fn column() -> impl Strategy<Value = Vec<Value<'static>>> {
        let class = |n: usize| {
            prop::collection::vec(value(), 0..300).prop_map(move |values| {
                let keep = |v: &Value<'_>| match v {
                    Value::Null => true,
                    Value::Int(_) => n == 0,
                    Value::Real(_) => n == 1,
                    Value::Text(_) => n == 2,
                    Value::Blob(_) => n == 3,
                };
                values.into_iter().filter(keep).collect()
            })
        };
        prop_oneof![class(0), class(1), class(2), class(3), prop::collection::vec(value(), 0..300)]
    }

    fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
        match (a, b) {
            (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_in_its_place(values in column()) {
            let mut writer = Writer::default();
            values.iter().for_each(|v| writer.push(v));
            let column = Column::new(writer.finish(), values.len()).unwrap();
            for (row, value) in values.iter().enumerate() {
                prop_assert!(same(&column.get(row), value), "{row}: {:?} for {value:?}", column.get(row));
            }
            prop_assert_eq!(column.get(values.len()), Value::Null);
        }

        #[test]
        fn a_column_that_makes_no_sense_is_refused_or_read_without_a_panic(
            layout in -1..8,
            rows in 0_usize..40,
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 5),
        ) {
            let mut parts = parts.into_iter().map(Bytes::from);
            let mut part = || parts.next().unwrap_or_default();
            let values = proto::Values {
                layout, nulls: part(), numbers: part(), ends: part(), bytes: part(), classes: part(),
            };
            if let Ok(column) = Column::new(values, rows) {
                (0..=rows).for_each(|row| drop(column.get(row).into_owned()));
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_that_is_taken_back_leaves_no_trace(values in column(), extra in value()) {
            let mut writer = Writer::default();
            for value in &values {
                writer.push(&extra);
                writer.pop();
                writer.push(value);
            }
            let column = Column::new(writer.finish(), values.len()).unwrap();
            for (row, value) in values.iter().enumerate() {
                prop_assert!(same(&column.get(row), value));
            }
        }
    }

    #[test]
    fn small_integers_take_a_byte_each() {
        let mut writer = Writer::default();
        (0..100).for_each(|n| writer.push(&Value::Int(n)));
        assert_eq!(writer.finish().numbers.len(), 100);
    }
}
