//! Backfills: what is made of rows that were there before a step of the schema.
//!
//! A step only makes tables, columns and triggers, which takes a moment. The triggers see to the
//! rows that are written from then on. Those of before are copied afterwards, in batches,
//! beside gateways that serve: `src/storage/backfill.rs` does that. The table `backfill` has
//! a row for each copy that is not complete, with the ids that are left. Until it is gone,
//! nobody reads what the copy is for.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text},
    sea_orm::DbBackend,
};

use crate::{
    m20261123_000003_create_tallies as tallies, m20261123_000004_index_search as fts5,
    m20261126_000008_index_runs as runs,
};

/// A copy of the rows of a table.
#[derive(Clone, Debug)]
pub struct Backfill {
    /// What is filled.
    pub name: &'static str,
    /// The table whose rows are copied.
    pub source: &'static str,
    /// The statement that copies the rows whose ids are from `{first}` to `{last}`.
    pub(crate) copy: String,
    /// What follows when all are copied.
    pub finish: String,
}

impl Backfill {
    /// The statement that copies the rows with these ids.
    #[must_use]
    pub fn copy(&self, first: i64, last: i64) -> String {
        let copy = self.copy.replace("{first}", &first.to_string());
        copy.replace("{last}", &last.to_string())
    }
}

/// All backfills on this engine.
#[must_use]
pub fn all(engine: DbBackend) -> Vec<Backfill> {
    let searches = match engine {
        DbBackend::Postgres => runs::backfills(),
        _ => fts5::backfills(),
    };
    tallies::backfills(engine)
        .into_iter()
        .chain(searches)
        .collect()
}

/// The table of the copies that are not complete.
pub(crate) async fn create_table(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("backfill")
                .if_not_exists()
                .col(text("name").primary_key())
                .col(big_integer("next"))
                .col(big_integer("last"))
                .to_owned(),
        )
        .await
}

/// Notes that all rows of `source` are to be copied. Whoever writes it must be locked out, or
/// have triggers that see to what is new.
pub(crate) async fn begin(
    manager: &SchemaManager<'_>,
    name: &str,
    source: &str,
) -> Result<(), DbErr> {
    create_table(manager).await?;
    let sql = format!(
        "INSERT INTO backfill SELECT '{name}', first, last FROM \
         (SELECT (SELECT min(id) FROM {source}) AS first, (SELECT max(id) FROM {source}) AS last) \
         AS ids WHERE last IS NOT NULL"
    );
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}
