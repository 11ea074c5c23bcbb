//! Indexes for `search`, the substring search over the folded keys, on SQLite: see
//! `src/records/list/search.rs`. FTS5 cuts the keys into runs of three characters.
//! Those of PostgreSQL come with `m20261126_000008_index_runs.rs`.
//!
//! The rows of before are indexed afterwards, see `backfill.rs`. FTS5 must be told of each row
//! once, so the triggers leave those alone until they are. Then the triggers are made anew,
//! without that condition.

use crate::{
    backfill::{self, Backfill},
    searched::{LISTS, List},
};
use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, Statement},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            return Ok(());
        }
        for list in &LISTS {
            db.execute_unprepared(&list.fill(INDEX)).await?;
            backfill::begin(manager, list.index, list.table).await?;
            let sql = format!("SELECT 1 FROM backfill WHERE name = '{}'", list.index);
            let row = Statement::from_string(DbBackend::Sqlite, sql);
            let unless = match db.query_one_raw(row).await? {
                Some(_) => UNLESS,
                None => ["", "", ""],
            };
            db.execute_unprepared(&triggers(list, unless)).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// How the rows of before are indexed.
pub(crate) fn backfills() -> [Backfill; 2] {
    LISTS.map(|list| Backfill {
        name: list.index,
        source: list.table,
        copy: list.fill(COPY),
        finish: list.fill(DROP_TRIGGERS) + &triggers(&list, ["", "", ""]),
    })
}

/// The triggers, with the conditions of those for new rows, for deleted rows, and for updated ones.
fn triggers(list: &List, [unless_new, unless_old, and_unless_old]: [&str; 3]) -> String {
    let triggers = TRIGGERS
        .replace("{unless_new}", unless_new)
        .replace("{unless_old}", unless_old)
        .replace("{and_unless_old}", and_unless_old);
    list.fill(&triggers)
}

/// The index alone, without a copy of the keys: to take an entry away it is told what
/// the keys were.
const INDEX: &str = "
    CREATE VIRTUAL TABLE {list}_search USING fts5 (
        {keys}, content = '', columnsize = 0, tokenize = 'trigram case_sensitive 1'
    );
";

const COPY: &str = "INSERT INTO {list}_search (rowid, {keys}) SELECT id, {keys} FROM {list} \
     WHERE id BETWEEN {first} AND {last}";

/// Unless the row is yet to be indexed.
const UNLESS: [&str; 3] = [
    "
    WHEN NOT EXISTS (SELECT 1 FROM backfill
        WHERE name = '{list}_search' AND NEW.id BETWEEN next AND last)",
    "
    WHEN NOT EXISTS (SELECT 1 FROM backfill
        WHERE name = '{list}_search' AND OLD.id BETWEEN next AND last)",
    "
    AND NOT EXISTS (SELECT 1 FROM backfill
        WHERE name = '{list}_search' AND OLD.id BETWEEN next AND last)",
];

const TRIGGERS: &str = "
    CREATE TRIGGER {list}_search_insert AFTER INSERT ON {list}{unless_new} BEGIN
        INSERT INTO {list}_search (rowid, {keys}) VALUES (NEW.id, {new});
    END;
    CREATE TRIGGER {list}_search_delete AFTER DELETE ON {list}{unless_old} BEGIN
        INSERT INTO {list}_search ({list}_search, rowid, {keys})
            VALUES ('delete', OLD.id, {old});
    END;
    CREATE TRIGGER {list}_search_update AFTER UPDATE OF id, {keys} ON {list}
    WHEN (OLD.id, {old}) IS NOT (NEW.id, {new}){and_unless_old} BEGIN
        INSERT INTO {list}_search ({list}_search, rowid, {keys})
            VALUES ('delete', OLD.id, {old});
        INSERT INTO {list}_search (rowid, {keys}) VALUES (NEW.id, {new});
    END;
";

const DROP_TRIGGERS: &str = "
    DROP TRIGGER {list}_search_insert;
    DROP TRIGGER {list}_search_delete;
    DROP TRIGGER {list}_search_update;
";
