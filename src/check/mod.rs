//! Checks what must hold in every database at every moment.
//!
//! The checks only read, and all of them see the same state. Their findings name tables,
//! columns and ids, never values.

pub mod catalog;
mod query;
mod row_rules;
mod rows;
mod search;

use std::fmt;

use indicatif::ProgressBar;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr, SqlxError,
    SqlxSqliteError, Statement, TransactionTrait,
};

use crate::{
    error::Outage,
    storage::{backfill, connections::fault::Complaint, schema::Steps},
};

/// How many ids are shown of each kind of violation.
pub const SHOWN: usize = 10;

/// One kind of violation.
#[derive(Debug)]
pub struct Violation {
    /// What is wrong with the ids.
    pub what: String,
    /// How many ids there are.
    pub count: u64,
    /// What kind of ids they are.
    pub unit: &'static str,
    /// The first ids.
    pub ids: Vec<i64>,
}

/// The result of one check.
#[derive(Debug)]
pub struct CheckResult {
    /// The name of the check.
    pub name: String,
    /// How much was checked, such as the number of rows.
    pub extent: String,
    /// What is wrong.
    pub violations: Vec<Violation>,
}

/// How the schema compares with that of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Exactly the steps of this program were applied.
    Current,
    /// There is no schema.
    Absent,
    /// Steps of this program are missing.
    Older,
    /// What the latest steps have added is yet to be filled from the rows of before.
    Unfilled,
    /// There are steps that this program does not know.
    Newer,
}

/// The result of all checks.
#[derive(Debug)]
pub struct Report {
    /// The state of the schema. Unless it is current, only the file of SQLite was checked, too.
    pub schema: SchemaState,
    /// How many checks were made.
    pub checks: usize,
    /// How many kinds of violations were found.
    pub violations: usize,
    /// How many rows were read in each list.
    pub rows: Vec<(&'static str, u64)>,
}

/// A check.
enum Check {
    /// SQLite's own check of its file.
    File,
    /// What the engine has beside the rows: tables, constraints, indexes, triggers.
    Catalog,
    /// The rules for each row of a table.
    Rows(row_rules::TableRules),
    /// A check that is one statement.
    StatementCheck(query::StatementCheck),
    /// A search index of SQLite.
    Search(search::Index),
}

impl Violation {
    /// A violation that has no ids.
    fn single(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            count: 1,
            unit: "",
            ids: Vec::new(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ids.is_empty() {
            return formatter.write_str(&self.what);
        }
        let ids: Vec<_> = self.ids.iter().map(ToString::to_string).collect();
        let more = if self.count > self.ids.len() as u64 {
            ", ..."
        } else {
            ""
        };
        let (what, count, unit) = (&self.what, self.count, self.unit);
        write!(
            formatter,
            "{what} ({count}: {unit} {}{more})",
            ids.join(", ")
        )
    }
}

/// Makes all checks. Calls `done` after each of them, and counts rows in `progress`.
///
/// # Errors
/// If the connection is lost. Data that cannot be read is a violation instead.
pub async fn check(
    transaction: &DatabaseTransaction,
    progress: &ProgressBar,
    mut done: impl FnMut(&CheckResult) -> std::io::Result<()>,
) -> anyhow::Result<Report> {
    let engine = transaction.get_database_backend();
    let (schema, outcome) = schema(transaction).await?;
    let mut report = Report {
        schema,
        checks: 1,
        violations: outcome.violations.len(),
        rows: Vec::new(),
    };
    done(&outcome)?;
    for check in checks(engine) {
        if schema != SchemaState::Current && !matches!(check, Check::File) {
            continue;
        }
        progress.reset();
        progress.set_length(0);
        progress.set_message(check.name());
        // In a savepoint, because PostgreSQL takes no further statement after an error.
        let part = transaction.begin().await?;
        let made = check.make(&part, progress, &mut report).await;
        let outcome = match made {
            Ok(outcome) => outcome,
            Err(
                DbErr::Query(RuntimeErr::SqlxError(cause))
                | DbErr::Exec(RuntimeErr::SqlxError(cause)),
            ) if !is_lost(&cause) => CheckResult {
                name: check.name(),
                extent: String::new(),
                violations: vec![Violation::single(unreadable(&cause))],
            },
            Err(error) => return Err(error.into()),
        };
        part.rollback().await?;
        report.checks += 1;
        report.violations += outcome.violations.len();
        done(&outcome)?;
    }
    Ok(report)
}

/// Why a check failed, without the message of the database, which may quote a value.
fn unreadable(error: &SqlxError) -> String {
    match Complaint::behind(error) {
        Some(complaint) => {
            format!("cannot be checked: the database refuses to read it ({complaint})")
        }
        None => "cannot be checked: it is not of the types that it should have".to_owned(),
    }
}

/// Whether the connection is lost.
fn is_lost(error: &SqlxError) -> bool {
    // SQLite reports an I/O error for a file that was truncated.
    let is_sqlite = error
        .as_database_error()
        .is_some_and(|cause| cause.try_downcast_ref::<SqlxSqliteError>().is_some());
    Outage::behind(error).is_some() && !is_sqlite
}

/// All checks. Those whose findings explain others come first.
fn checks(engine: DbBackend) -> Vec<Check> {
    let mut checks = Vec::new();
    if engine == DbBackend::Sqlite {
        checks.push(Check::File);
        checks.push(Check::StatementCheck(query::FOREIGN_KEYS));
    }
    checks.push(Check::Catalog);
    checks.extend(row_rules::all(engine).into_iter().map(Check::Rows));
    checks.extend(query::all(engine).into_iter().map(Check::StatementCheck));
    checks.extend(search::INDEXES.map(|index| match engine {
        DbBackend::Postgres => Check::StatementCheck(index.of_postgres()),
        _ => Check::Search(index),
    }));
    checks
}

impl Check {
    fn name(&self) -> String {
        match self {
            Self::File => "file".to_owned(),
            Self::Catalog => "catalog".to_owned(),
            Self::Rows(list) => list.table.to_owned(),
            Self::StatementCheck(query) => query.name.to_owned(),
            Self::Search(index) => index.name.to_owned(),
        }
    }

    async fn make(
        &self,
        db: &DatabaseTransaction,
        progress: &ProgressBar,
        report: &mut Report,
    ) -> Result<CheckResult, DbErr> {
        let (extent, violations) = match self {
            Self::File => file(db).await?,
            Self::Catalog => catalog::check(db).await?,
            Self::Rows(list) => {
                let (count, violations) = rows::check(db, list, progress).await?;
                report.rows.push((list.table, count));
                (format!("{count} rows"), violations)
            }
            Self::StatementCheck(query) => (String::new(), query.check(db).await?),
            Self::Search(index) => index.check(db, progress).await?,
        };
        Ok(CheckResult {
            name: self.name(),
            extent,
            violations,
        })
    }
}

/// SQLite's own check of its file, with all indexes: at most as many findings as ids are shown.
async fn file(db: &DatabaseTransaction) -> Result<(String, Vec<Violation>), DbErr> {
    let rows = select(db, &format!("PRAGMA integrity_check({SHOWN})")).await?;
    let mut faults = Vec::new();
    for row in rows {
        let line: String = row.try_get_by_index(0)?;
        if line != "ok" {
            faults.push(Violation::single(line.replace('\n', " ")));
        }
    }
    Ok(("integrity_check".to_owned(), faults))
}

/// Compares the steps that were applied with those of this program.
async fn schema(db: &DatabaseTransaction) -> Result<(SchemaState, CheckResult), DbErr> {
    let steps = Steps::read(db).await?;
    let (missing, unknown) = (steps.pending.len(), steps.newer.len());
    let applied = Migrator::migrations().len() - missing + unknown;
    let (schema, violation) = if !steps.has_some {
        let what = "there is none: this is not a database of clientele, or it is still empty";
        (SchemaState::Absent, Some(what.to_owned()))
    } else if unknown > 0 {
        let what = format!(
            "{unknown} of its steps are unknown: a newer clientele made it, which must check it, too"
        );
        (SchemaState::Newer, Some(what))
    } else if missing > 0 {
        let what = format!("{missing} steps are missing: `clientele migrate` applies them");
        (SchemaState::Older, Some(what))
    } else if let Some(first) = backfill::pending(db).await?.first() {
        let what = format!(
            "{} is yet to be filled from the rows of before: gateways do so while they serve, \
             or `clientele migrate --wait`",
            first.name
        );
        (SchemaState::Unfilled, Some(what))
    } else {
        (SchemaState::Current, None)
    };
    let outcome = CheckResult {
        name: "schema".to_owned(),
        extent: format!("{applied} steps"),
        violations: violation.map(Violation::single).into_iter().collect(),
    };
    Ok((schema, outcome))
}

async fn select(db: &DatabaseTransaction, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_all_raw(statement).await
}
