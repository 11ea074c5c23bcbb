//! Indexes for `search`, the substring search over the folded keys: see `search.rs`
//! of the root package. Both engines cut the keys into runs of three characters.
//!
//! PostgreSQL does it in its extension pg_trgm. Where that cannot be had, because it
//! is not installed or this user may not create it, searches read every row.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(POSTGRES).await?;
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

/// Inserts go to a list first, which every search has to read: it is kept short.
const POSTGRES: &str = "
    DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX client_name_key_search_idx ON client
            USING gin (name_key gin_trgm_ops) WITH (gin_pending_list_limit = 256);
        CREATE INDEX client_account_code_key_search_idx ON client
            USING gin (account_code_key gin_trgm_ops) WITH (gin_pending_list_limit = 256);
        CREATE INDEX client_location_name_key_search_idx ON client_location
            USING gin (name_key gin_trgm_ops) WITH (gin_pending_list_limit = 256);
    EXCEPTION WHEN feature_not_supported OR undefined_file OR undefined_object
            OR insufficient_privilege THEN
        RAISE WARNING 'no index for search: %', SQLERRM;
    END $$;
";

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
