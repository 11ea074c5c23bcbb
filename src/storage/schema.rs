//! How the schema of a database stands to this program, which may be older or newer.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The table of the steps that were applied.
pub(crate) const APPLIED: &str = "seaql_migrations";
/// The table with the oldest program that may use the schema.
pub(crate) const SUPPORT: &str = "schema_support";

/// The version of this program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// The steps of a schema, compared with those of this program.
#[derive(Debug, Default)]
pub struct Steps {
    /// Those of this program that are missing, in their order.
    pub pending: Vec<String>,
    /// Those of a newer program.
    pub newer: Vec<String>,
    /// Whether there are any.
    pub has_some: bool,
    /// The oldest program that may use the schema; none if the schema does not say.
    oldest_program: Option<String>,
}

impl Steps {
    /// Reads which steps were applied.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn read(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let own = Migrator::migrations();
        let own = own.iter().map(|step| step.name().to_owned());
        let own: Vec<_> = own.collect();
        let mut steps = Self::default();
        let mut applied = Vec::new();
        if has_table(db, APPLIED).await? {
            applied = texts(db, "version", APPLIED).await?;
        } else if sees_no_schema(db).await? {
            let rights = "the database user may use no schema in its search path: grant it usage \
                          on the schema of the tables";
            return Err(DbErr::Custom(rights.to_owned()));
        }
        steps.has_some = !applied.is_empty();
        let is_pending = |step: &&String| !applied.contains(step);
        steps.pending = own.iter().filter(is_pending).cloned().collect();
        steps.newer = applied
            .into_iter()
            .filter(|step| !own.contains(step))
            .collect();
        if !steps.newer.is_empty() && has_table(db, SUPPORT).await? {
            steps.oldest_program = texts(db, "oldest_program", SUPPORT).await?.pop();
        }
        Ok(steps)
    }

    /// Whether this program may use the schema as it is: it has all steps, and newer ones only
    /// if these keep what the program relies on.
    #[must_use]
    pub fn may_be_used(&self) -> bool {
        self.pending.is_empty() && (self.newer.is_empty() || self.admits(PROGRAM))
    }

    fn admits(&self, program: &str) -> bool {
        let oldest = self.oldest_program.as_deref().and_then(version);
        oldest.is_some_and(|oldest| version(program).is_some_and(|program| program >= oldest))
    }

    /// Why this program may not use the schema, for the operator; none if it may, or lacks
    /// steps of its own only.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let newest = self.newer.last()?;
        if self.admits(PROGRAM) {
            return None;
        }
        let oldest = self.oldest_program.as_deref();
        let oldest = oldest.map_or_else(String::new, |oldest| format!(", {oldest} or later"));
        Some(format!(
            "the schema has steps of a newer program, the last one {newest}: start that \
             program{oldest}"
        ))
    }
}

/// A version as numbers, to compare it.
fn version(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|number| number.parse().ok()).collect()
}

async fn has_table(db: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let engine = db.get_database_backend();
    let sql = match engine {
        DbBackend::Postgres => "SELECT 1 WHERE to_regclass($1) IS NOT NULL",
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
    };
    let statement = Statement::from_sql_and_values(engine, sql, [table.into()]);
    Ok(db.query_one_raw(statement).await?.is_some())
}

/// Whether PostgreSQL shows the user no schema: then nobody can tell whether there are tables.
async fn sees_no_schema(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let engine = db.get_database_backend();
    if engine != DbBackend::Postgres {
        return Ok(false);
    }
    let sql = "SELECT 1 WHERE current_schema() IS NULL";
    let row = db
        .query_one_raw(Statement::from_string(engine, sql))
        .await?;
    Ok(row.is_some())
}

async fn texts(db: &impl ConnectionTrait, column: &str, table: &str) -> Result<Vec<String>, DbErr> {
    let sql = format!("SELECT {column} FROM {table} ORDER BY {column}");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get("", column)).collect()
}
