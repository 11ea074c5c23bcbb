//! Indexes for `search` on PostgreSQL: see `search.rs` of the root package.
//!
//! A text search vector has five characters from each place of the keys on, and fewer
//! from the last ones on. GIN, its index, finds all that begin with some text, so it finds
//! texts of any length. Most runs of five characters are so rare that a search costs the
//! same whether there are ten thousand rows or a million. Runs of three, as the extension
//! pg_trgm has them, are in a hundred times as many rows then, and each takes time.
//!
//! The keys are in a table of their own, which triggers keep in the transaction of the
//! write. PostgreSQL adds a row to all indexes of its table when it changes in whatever
//! way, and this one would cost most of them all.

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
        for (list, keys) in [
            ("client", &["name_key", "account_code_key"][..]),
            ("client_location", &["name_key"]),
        ] {
            let new: Vec<_> = keys.iter().map(|key| format!("NEW.{key}")).collect();
            let columns: Vec<_> = keys
                .iter()
                .map(|key| format!("{key} text COLLATE \"C\""))
                .collect();
            let steps = LIST
                .replace("{list}", list)
                .replace("{columns}", &columns.join(", "))
                .replace("{keys}", &keys.join(", "))
                .replace("{new}", &new.join(", "));
            db.execute_unprepared(&steps).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Earlier steps made indexes of pg_trgm.
const RUNS: &str = "
    DROP INDEX IF EXISTS client_name_key_search_idx, client_account_code_key_search_idx,
        client_location_name_key_search_idx;
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

/// What was there is copied after the triggers have locked writers out. New entries of the
/// index go to a list first, which every search has to read: it is kept short.
const LIST: &str = "
    CREATE TABLE {list}_search (id bigint PRIMARY KEY, {columns});
    CREATE FUNCTION {list}_search() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM {list}_search;
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
    INSERT INTO {list}_search (id, {keys}) SELECT id, {keys} FROM {list};
    CREATE INDEX {list}_search_idx ON {list}_search
        USING gin (search_runs({keys})) WITH (gin_pending_list_limit = 256);
";
