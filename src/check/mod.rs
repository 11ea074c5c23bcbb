//! What must hold in every database at every moment, and the checks that it does.
//!
//! The checks only read, and all of them see the same state. What they find names
//! tables, columns and ids, never values.

pub mod catalog;
mod lists;
mod query;
mod rows;
mod search;

use std::{collections::HashSet, fmt};

use indicatif::ProgressBar;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr, SqlxError,
    SqlxSqliteError, Statement, TransactionTrait,
};

use crate::{error::Outage, storage::connections::fault::Complaint};

/// Ids that are shown of each kind of violation.
pub const SHOWN: usize = 10;
/// The table in which the migrations note what was applied.
const APPLIED: &str = "seaql_migrations";

/// One kind of violation.
#[derive(Debug)]
pub struct Violation {
    /// What is wrong, as the rest of a sentence about the ids.
    pub what: String,
    /// How many there are.
    pub count: u64,
    /// What the ids are of.
    pub unit: &'static str,
    /// The first ids.
    pub ids: Vec<i64>,
}

/// What one check found.
#[derive(Debug)]
pub struct Outcome {
    /// What was checked.
    pub name: String,
    /// What there was to check.
    pub extent: String,
    /// What is wrong.
    pub violations: Vec<Violation>,
}

/// Whether the schema is the one of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// It is.
    Current,
    /// There is none.
    Absent,
    /// Steps are missing.
    Older,
    /// There are steps that this program does not know.
    Newer,
}

/// What all checks together found.
#[derive(Debug)]
pub struct Report {
    /// Of which age the schema is. Unless it is current, only the database as such was
    /// checked.
    pub schema: Schema,
    /// How many checks were made.
    pub checks: usize,
    /// How many kinds of violations there are.
    pub violations: usize,
    /// How many rows were read in each list.
    pub rows: Vec<(&'static str, u64)>,
}

/// One of the things to check.
enum Check {
    /// The engine's own checks of the file.
    File,
    /// What the engine keeps beside the rows: tables, constraints, indexes, triggers.
    Catalog,
    /// Each row of a list.
    Rows(lists::List),
    /// Something that one statement finds.
    Query(query::Query),
    /// The index for searches of a list, on SQLite.
    Search(search::Index),
}

impl Violation {
    /// Something that is wrong once, and has no id.
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

/// Checks everything, tells `done` of each check when it is made, and `progress` of the
/// rows.
///
/// # Errors
/// If the database goes away. What cannot be read is a violation.
pub async fn check(
    transaction: &DatabaseTransaction,
    progress: &ProgressBar,
    mut done: impl FnMut(&Outcome) -> std::io::Result<()>,
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
        if schema != Schema::Current && !matches!(check, Check::File) {
            continue;
        }
        progress.reset();
        progress.set_length(0);
        progress.set_message(check.name());
        // On its own: what PostgreSQL cannot read spoils the transaction around it.
        let part = transaction.begin().await?;
        let made = check.make(&part, progress, &mut report).await;
        let outcome = match made {
            Ok(outcome) => outcome,
            Err(
                DbErr::Query(RuntimeErr::SqlxError(cause))
                | DbErr::Exec(RuntimeErr::SqlxError(cause)),
            ) if !is_lost(&cause) => Outcome {
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

/// Why something cannot be read, without the words of the database, which may quote a
/// value.
fn unreadable(error: &SqlxError) -> String {
    match Complaint::behind(error) {
        Some(complaint) => {
            format!("cannot be checked: the database refuses to read it ({complaint})")
        }
        None => "cannot be checked: it is not of the types that it should have".to_owned(),
    }
}

/// Whether there is no more to be had of this connection.
fn is_lost(error: &SqlxError) -> bool {
    // SQLite says "I/O error" of a file that is cut short.
    let is_sqlite = error
        .as_database_error()
        .is_some_and(|cause| cause.try_downcast_ref::<SqlxSqliteError>().is_some());
    Outage::behind(error).is_some() && !is_sqlite
}

/// All checks, those that explain others first.
fn checks(engine: DbBackend) -> Vec<Check> {
    let mut checks = Vec::new();
    if engine == DbBackend::Sqlite {
        checks.push(Check::File);
        checks.push(Check::Query(query::FOREIGN_KEYS));
    }
    checks.push(Check::Catalog);
    checks.extend(lists::all(engine).into_iter().map(Check::Rows));
    checks.extend(query::all(engine).into_iter().map(Check::Query));
    checks.extend(search::INDEXES.map(|index| match engine {
        DbBackend::Postgres => Check::Query(index.of_postgres()),
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
            Self::Query(query) => query.name.to_owned(),
            Self::Search(index) => index.name.to_owned(),
        }
    }

    async fn make(
        &self,
        db: &DatabaseTransaction,
        progress: &ProgressBar,
        report: &mut Report,
    ) -> Result<Outcome, DbErr> {
        let (extent, violations) = match self {
            Self::File => file(db).await?,
            Self::Catalog => catalog::check(db).await?,
            Self::Rows(list) => {
                let (count, violations) = rows::check(db, list, progress).await?;
                report.rows.push((list.table, count));
                (format!("{count} rows"), violations)
            }
            Self::Query(query) => (String::new(), query.check(db).await?),
            Self::Search(index) => index.check(db, progress).await?,
        };
        Ok(Outcome {
            name: self.name(),
            extent,
            violations,
        })
    }
}

/// SQLite's own check of its file, with all indexes. It is told in no more lines than
/// ids are.
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
async fn schema(db: &DatabaseTransaction) -> Result<(Schema, Outcome), DbErr> {
    let steps: Vec<_> = Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect();
    let exists = migration::SchemaManager::new(db).has_table(APPLIED).await?;
    let mut applied = HashSet::new();
    if exists {
        for row in select(db, &format!("SELECT version FROM {APPLIED}")).await? {
            applied.insert(row.try_get_by_index::<String>(0)?);
        }
    }
    let missing = steps.iter().filter(|step| !applied.contains(*step)).count();
    let unknown = applied.iter().filter(|step| !steps.contains(step)).count();
    let (schema, violation) = if applied.is_empty() {
        let what = "there is none: this is not a database of clientele, or it is still empty";
        (Schema::Absent, Some(what.to_owned()))
    } else if unknown > 0 {
        let what = format!(
            "{unknown} of its steps are unknown: a newer clientele made it, which must check it, too"
        );
        (Schema::Newer, Some(what))
    } else if missing > 0 {
        let what = format!("{missing} steps are missing: `clientele migrate` applies them");
        (Schema::Older, Some(what))
    } else {
        (Schema::Current, None)
    };
    let outcome = Outcome {
        name: "schema".to_owned(),
        extent: format!("{} steps", applied.len()),
        violations: violation.map(Violation::single).into_iter().collect(),
    };
    Ok((schema, outcome))
}

async fn select(db: &DatabaseTransaction, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_all_raw(statement).await
}
