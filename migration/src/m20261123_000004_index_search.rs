//! Indexes for `search`, the substring search over the folded keys, on SQLite: see
//! `src/records/list/search.rs`. FTS5 cuts the keys into runs of three characters.
//! Those of PostgreSQL come with `m20261126_000008_index_runs.rs`.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            return Ok(());
        }
        for (list, keys) in [
            ("client", &["name_key", "account_code_key"][..]),
            ("client_location", &["name_key"]),
        ] {
            let of = |row: &str| {
                let keys = keys.iter().map(|key| format!("{row}.{key}"));
                keys.collect::<Vec<_>>().join(", ")
            };
            let steps = SQLITE
                .replace("{list}", list)
                .replace("{keys}", &keys.join(", "))
                .replace("{old}", &of("OLD"))
                .replace("{new}", &of("NEW"));
            db.execute_unprepared(&steps).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The index alone, without a copy of the keys: to take an entry away it is told what
/// the keys were.
const SQLITE: &str = "
    CREATE VIRTUAL TABLE {list}_search USING fts5 (
        {keys}, content = '', columnsize = 0, tokenize = 'trigram case_sensitive 1'
    );
    INSERT INTO {list}_search (rowid, {keys}) SELECT id, {keys} FROM {list};
    CREATE TRIGGER {list}_search_insert AFTER INSERT ON {list} BEGIN
        INSERT INTO {list}_search (rowid, {keys}) VALUES (NEW.id, {new});
    END;
    CREATE TRIGGER {list}_search_delete AFTER DELETE ON {list} BEGIN
        INSERT INTO {list}_search ({list}_search, rowid, {keys})
            VALUES ('delete', OLD.id, {old});
    END;
    CREATE TRIGGER {list}_search_update AFTER UPDATE OF id, {keys} ON {list}
    WHEN (OLD.id, {old}) IS NOT (NEW.id, {new}) BEGIN
        INSERT INTO {list}_search ({list}_search, rowid, {keys})
            VALUES ('delete', OLD.id, {old});
        INSERT INTO {list}_search (rowid, {keys}) VALUES (NEW.id, {new});
    END;
";
