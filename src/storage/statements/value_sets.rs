//! One statement that runs for several sets of values, for PostgreSQL: how batches are written.

use std::fmt::Write;

use chrono::SecondsFormat;
use sea_orm::{DbBackend, DbErr, QueryResult, Statement, Value};
use serde_json::json;

/// The name of the table of value sets in a statement.
pub const SETS: &str = "asked";
/// The column with the number of each set.
pub const NUMBER: &str = "asked_number";

/// The table from which a statement reads its sets of values: the first value of a set is
/// in the column `"1"`, and so on. None if a value is of a type that is not supported here.
///
/// The sets are one parameter, as JSON, so neither the text nor the plan depends on how
/// many there are. PostgreSQL would expect a hundred sets, and read all of a small table
/// rather than look for so many. Behind a limit whose value it does not know it expects
/// ten; the value is null, no limit.
#[must_use]
pub fn table<'a>(set: impl Iterator<Item = &'a Value>) -> Option<String> {
    let mut table =
        format!("(SELECT * FROM json_to_recordset($1::json) AS \"{SETS}\"(\"{NUMBER}\" int");
    for (index, value) in set.enumerate() {
        let sql_type = match value {
            Value::Bool(_) => "boolean",
            Value::Int(_) => "int",
            Value::BigInt(_) => "bigint",
            Value::String(_) => "text",
            Value::ChronoDateTimeUtc(_) => "timestamptz",
            _ => return None,
        };
        write!(table, ", \"{}\" {sql_type}", index + 1).ok()?;
    }
    write!(table, ") LIMIT (SELECT NULL::bigint)) AS \"{SETS}\"").ok()?;
    Some(table)
}

/// The text of a statement that runs `statement` once for each of several sets of values;
/// none if a value is of a type that is not supported here.
#[must_use]
pub fn for_each(statement: &Statement) -> Option<String> {
    let sets = table(statement.values.iter().flat_map(|values| &values.0))?;
    let rows = with_columns(&statement.sql);
    // A lateral join for each set: PostgreSQL can only run them one after the other, so the
    // rows of each set stay in their order.
    Some(format!(
        "SELECT \"rows\".*, \"{SETS}\".\"{NUMBER}\" FROM {sets} \
         CROSS JOIN LATERAL ({rows}) AS \"rows\""
    ))
}

/// Replaces each parameter by the column of its value in the table of sets.
fn with_columns(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut quote = None;
    let mut rest = sql;
    while let Some(at) = rest.find(['$', '\'', '"']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let (sign, after) = found.split_at(1);
        rest = after;
        if sign == "$" && quote.is_none() {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, after) = after.split_at(digits);
            out.extend(["\"", SETS, "\".\"", number, "\""]);
            rest = after;
            continue;
        }
        if sign != "$" {
            match quote {
                None => quote = Some(sign),
                Some(open) if open == sign => quote = None,
                Some(_) => {}
            }
        }
        out.push_str(sign);
    }
    out.push_str(rest);
    out
}

/// The statement with this text, which reads from a [`table`], for these sets of values.
#[must_use]
pub fn of_sets<'a>(sql: String, sets: impl Iterator<Item = &'a Vec<Value>>) -> Statement {
    let sets = sets.enumerate().map(|(number, values)| {
        let columns = values.iter().enumerate();
        let columns = columns.map(|(index, value)| ((index + 1).to_string(), as_json(value)));
        let number = (NUMBER.to_owned(), json!(number));
        columns.chain([number]).collect::<serde_json::Map<_, _>>()
    });
    let sets = sets.collect::<serde_json::Value>().to_string();
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [sets.into()])
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::BigInt(number) => json!(number),
        Value::String(text) => json!(text),
        Value::ChronoDateTimeUtc(at) => {
            json!(at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)))
        }
        // `table` refuses all other types.
        _ => serde_json::Value::Null,
    }
}

/// Divides the rows among the sets that they belong to.
///
/// # Errors
/// If a row has no number of a set.
pub fn by_set(rows: Vec<QueryResult>, sets: usize) -> Result<Vec<Vec<QueryResult>>, DbErr> {
    let mut found: Vec<_> = (0..sets).map(|_| Vec::new()).collect();
    for row in rows {
        let number: i32 = row.try_get("", NUMBER)?;
        let of_set = usize::try_from(number)
            .ok()
            .and_then(|set| found.get_mut(set));
        of_set
            .ok_or_else(|| DbErr::Type(format!("there is no set {number}")))?
            .push(row);
    }
    Ok(found)
}
