//! Indexes for `search` on PostgreSQL: see `src/records/list/search.rs`.
//!
//! A text search vector has five characters from each place of the keys on, and fewer
//! from the last ones on. GIN, its index, finds all that begin with some text, so it finds
//! texts of any length. Most runs of five characters are so rare that a search costs the
//! same whether there are ten thousand rows or a million. Runs of three, as the extension
//! pg_trgm has them, are in a hundred times as many rows then, and each takes time.
//!
//! The keys are in a table of their own, which triggers keep in the transaction of the
//! write. PostgreSQL adds a row to all indexes of its table when a column of one of them
//! changes, and of a client the instant of its last change always does. This index would
//! cost most of them all.
//!
//! The rows of before are copied afterwards, see `backfill.rs`.

use crate::{
    backfill::{self, Backfill},
    searched::LISTS,
};
use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let db = manager.get_connection();
        db.execute_unprepared(RUNS).await?;
        for list in &LISTS {
            db.execute_unprepared(&list.fill(LIST)).await?;
        }
        for list in &LISTS {
            backfill::begin(manager, list.index, list.table).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// How the rows of before are copied.
pub(crate) fn backfills() -> [Backfill; 2] {
    LISTS.map(|list| Backfill {
        name: list.index,
        source: list.table,
        copy: list.fill(COPY),
        finish: String::new(),
    })
}

/// A row is locked while it is copied: whoever changes it meanwhile waits, and then finds the
/// copy. One that was changed before has a copy already.
const COPY: &str = "INSERT INTO {list}_search (id, {keys}) SELECT id, {keys} FROM {list} \
     WHERE id BETWEEN {first} AND {last} ORDER BY id FOR SHARE ON CONFLICT (id) DO NOTHING";

/// In another encoding a character here is not one for the gateway, and runs of five would
/// not meet. Step 4 used to make indexes of pg_trgm.
const RUNS: &str = "
    DO $$
    DECLARE
        trigrams text;
    BEGIN
        IF current_setting('server_encoding') <> 'UTF8' THEN
            RAISE EXCEPTION 'the encoding of the database is %, and must be UTF8: '
                'make it with createdb --encoding=UTF8 --template=template0',
                current_setting('server_encoding');
        END IF;
        FOREACH trigrams IN ARRAY ARRAY['client_name_key', 'client_account_code_key',
                'client_location_name_key'] LOOP
            EXECUTE format('DROP INDEX IF EXISTS %I.%I', current_schema(),
                trigrams || '_search_idx');
        END LOOP;
    END $$;
    CREATE FUNCTION search_runs(VARIADIC keys text[]) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE
        key text;
        runs text[] := '{}';
    BEGIN
        FOREACH key IN ARRAY keys LOOP
            FOR place IN 1 .. coalesce(length(key), 0) LOOP
                runs := runs || substr(key, place, 5);
            END LOOP;
        END LOOP;
        RETURN array_to_tsvector(runs);
    END $$;
";

/// New entries of the index go to a list first, which every search has to read: it is kept short.
const LIST: &str = "
    CREATE TABLE {list}_search (id bigint PRIMARY KEY, {columns});
    CREATE FUNCTION {list}_search() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM {list}_search;
            RETURN NULL;
        END IF;
        IF TG_OP = 'UPDATE' AND (OLD.id, {old}) IS NOT DISTINCT FROM (NEW.id, {new}) THEN
            RETURN NULL;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            DELETE FROM {list}_search WHERE id = OLD.id;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO {list}_search (id, {keys}) VALUES (NEW.id, {new});
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER {list}_search AFTER INSERT OR DELETE OR UPDATE OF id, {keys} ON {list}
        FOR EACH ROW EXECUTE FUNCTION {list}_search();
    CREATE TRIGGER {list}_search_truncate AFTER TRUNCATE ON {list}
        FOR EACH STATEMENT EXECUTE FUNCTION {list}_search();
    CREATE INDEX {list}_search_idx ON {list}_search
        USING gin (search_runs({keys})) WITH (gin_pending_list_limit = 256);
";
