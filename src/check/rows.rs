//! Reads every row of a table, in batches, and applies the rules for it.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement};

use super::{
    SHOWN, Violation,
    row_rules::{Rule, TableRules, TextColumn},
    select,
};

/// Rows in a batch.
const BATCH: u64 = 500;

/// The violations, in the order of the rules.
#[derive(Default)]
struct Violations(BTreeMap<(usize, bool), Violation>);

impl Violations {
    fn add(&mut self, kind: (usize, bool), id: i64, what: impl FnOnce() -> String) {
        let violation = self.0.entry(kind).or_insert_with(|| Violation {
            what: what(),
            count: 0,
            unit: "id",
            ids: Vec::new(),
        });
        violation.count += 1;
        if violation.ids.len() < SHOWN {
            violation.ids.push(id);
        }
    }
}

/// The number of rows, and what is wrong with them.
pub async fn check(
    db: &DatabaseTransaction,
    list: &TableRules,
    progress: &ProgressBar,
) -> Result<(u64, Vec<Violation>), DbErr> {
    let engine = db.get_database_backend();
    let columns = columns(list, engine);
    let mut found = Violations::default();
    let mut count = 0;
    show_length(db, list.table, progress).await?;
    let mut batches = Batches::new(list.table, &columns);
    while let Some(rows) = batches.next(db).await? {
        for (id, row) in &rows {
            check_row(list, *id, row, &mut found)?;
        }
        count += rows.len() as u64;
        progress.inc(rows.len() as u64);
    }
    Ok((count, found.0.into_values().collect()))
}

/// The conditions as one number with a bit for each, and the texts.
fn columns(list: &TableRules, engine: DbBackend) -> String {
    let bits = list.faults.iter().enumerate().map(|(bit, (_, condition))| {
        format!(
            "CASE WHEN {condition} THEN CAST({} AS bigint) ELSE 0 END",
            1_u64 << bit
        )
    });
    let bits = bits.collect::<Vec<_>>().join(" + ");
    let texts = list
        .texts
        .iter()
        .map(|TextColumn { column, .. }| match engine {
            // The column may hold any type, and texts that are not in UTF-8.
            DbBackend::Sqlite => format!("CAST({column} AS blob), typeof({column})"),
            _ => (*column).to_owned(),
        });
    std::iter::once(format!("CAST({bits} AS bigint)"))
        .chain(texts)
        .collect::<Vec<_>>()
        .join(", ")
}

fn check_row(
    list: &TableRules,
    id: i64,
    row: &QueryResult,
    found: &mut Violations,
) -> Result<(), DbErr> {
    let bits: i64 = row.try_get_by_index(1)?;
    for (bit, (what, _)) in list.faults.iter().enumerate() {
        if bits & (1 << bit) != 0 {
            found.add((bit, true), id, || what.clone().into_owned());
        }
    }
    let mut values = Values { row, next: 2 };
    let mut previous = None;
    for (index, TextColumn { column, rule }) in list.texts.iter().enumerate() {
        let kind = list.faults.len() + index;
        let Ok(stored) = values.next()? else {
            found.add((kind, true), id, || format!("{column} is not a text"));
            previous = None;
            continue;
        };
        let is_null = stored.is_none() && matches!(rule, Rule::Required(_));
        if is_null {
            found.add((kind, true), id, || format!("{column} is null"));
        } else if let Some(fault) = rule.fault(stored.as_deref(), previous.as_deref()) {
            found.add((kind, false), id, || format!("{column} {fault}"));
        }
        previous = stored;
    }
    Ok(())
}

/// A value of another type in a column of text.
struct NotText;

/// Reads the texts of a row one after the other.
struct Values<'row> {
    row: &'row QueryResult,
    next: usize,
}

impl Values<'_> {
    fn next(&mut self) -> Result<Result<Option<String>, NotText>, DbErr> {
        let index = self.next;
        if self.row.try_as_pg_row().is_some() {
            self.next += 1;
            return self.row.try_get_by_index(index).map(Ok);
        }
        self.next += 2;
        let bytes: Option<Vec<u8>> = self.row.try_get_by_index(index)?;
        let kind: String = self.row.try_get_by_index(index + 1)?;
        Ok(match bytes {
            Some(bytes) if kind == "text" => String::from_utf8(bytes).map(Some).or(Err(NotText)),
            None if kind == "null" => Ok(None),
            _ => Err(NotText),
        })
    }
}

/// Tells `progress` how many rows there are.
pub async fn show_length(
    db: &DatabaseTransaction,
    table: &str,
    progress: &ProgressBar,
) -> Result<(), DbErr> {
    for row in select(db, &format!("SELECT COUNT(*) FROM {table}")).await? {
        let count: i64 = row.try_get_by_index(0)?;
        progress.set_length(count.unsigned_abs());
    }
    Ok(())
}

/// The rows of a table in batches, in the order of their ids.
pub struct Batches {
    sql: String,
    next: Option<i64>,
}

impl Batches {
    /// Selects `columns` after the id.
    pub fn new(table: &str, columns: &str) -> Self {
        Self {
            sql: format!(
                "SELECT id, {columns} FROM {table} WHERE id >= $1 ORDER BY id LIMIT {BATCH}"
            ),
            next: Some(i64::MIN),
        }
    }

    /// The next batch, with the ids; none after the last one.
    pub async fn next(
        &mut self,
        db: &DatabaseTransaction,
    ) -> Result<Option<Vec<(i64, QueryResult)>>, DbErr> {
        let Some(next) = self.next else {
            return Ok(None);
        };
        let engine = db.get_database_backend();
        let statement = Statement::from_sql_and_values(engine, &self.sql, [next.into()]);
        let rows = db.query_all_raw(statement).await?.into_iter();
        let rows = rows.map(|row| Ok((row.try_get_by_index(0)?, row)));
        let rows: Vec<(i64, QueryResult)> = rows.collect::<Result<_, DbErr>>()?;
        self.next = rows.last().and_then(|(id, _)| id.checked_add(1));
        Ok((!rows.is_empty()).then_some(rows))
    }
}
