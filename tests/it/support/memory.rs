//! The store in memory for tests of the store: a line on which nothing ever happens, and the two kinds of SQL by which they
//! look behind its back, read as far as they need.

use countersign::handle::facts::BoxFuture;
use countersign::store::{Line, Memory, Passage};
use serde_json::{Map, Value};

/// A line without faults.
pub struct Straight;

impl Line for Straight {
    fn there(&self, _: &'static str) -> BoxFuture<'_, Passage> {
        Box::pin(async {
            // As with a real database, others get their turn meanwhile.
            tokio::task::yield_now().await;
            Passage::Free
        })
    }

    fn back(&self, _: &'static str) -> BoxFuture<'_, Passage> {
        Box::pin(async { Passage::Free })
    }
}

/// `column = value`, `column <> 'value'`, and several of them.
fn holds(row: &Map<String, Value>, conditions: &str) -> bool {
    conditions.split(" AND ").all(|condition| {
        let (unequal, (column, value)) = match condition.split_once(" <> ") {
            Some(parts) => (true, parts),
            None => (false, condition.split_once(" = ").expect(condition)),
        };
        (row[column.trim()] == read(value)) != unequal
    })
}

fn read(value: &str) -> Value {
    let value = value.trim();
    match value.strip_prefix('\'') {
        Some(text) => Value::from(text.trim_end_matches('\'')),
        None => Value::from(value.parse::<i64>().expect(value)),
    }
}

/// `SELECT count(*) FROM table [WHERE …]`
pub fn count(memory: &Memory, sql: &str) -> i64 {
    let rest = sql.strip_prefix("SELECT count(*) FROM ").expect(sql);
    let (table, conditions) = rest.split_once(" WHERE ").unwrap_or((rest, ""));
    let rows = memory.rows(table);
    let meant = rows
        .iter()
        .filter(|row| conditions.is_empty() || holds(row, conditions));
    i64::try_from(meant.count()).unwrap()
}

/// `UPDATE table SET … WHERE …`
pub fn change(memory: &Memory, sql: &str) {
    let rest = sql.strip_prefix("UPDATE ").expect(sql);
    let (table, rest) = rest.split_once(" SET ").expect(sql);
    let (values, conditions) = rest.split_once(" WHERE ").expect(sql);
    let mut rows = memory.rows(table);
    rows.retain(|row| holds(row, conditions));
    for row in &mut rows {
        for assignment in values.split(", ") {
            let (column, value) = assignment.split_once(" = ").expect(sql);
            row.insert(column.to_owned(), read(value));
        }
    }
    memory.put(table, rows);
}
