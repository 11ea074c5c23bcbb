//! Lets the log of changes lose what it should: personal texts, by an erasure, and its oldest
//! rows, by age. Everything else about it stays append-only, and triggers see to that:
//!
//! - An update may only take the texts out of `old` and `new` ([`erased`]). Which columns
//!   changed stays, and so do numbers and flags.
//! - Rows may be deleted only up to the number that `change_pruned` has, which is set in the same
//!   transaction. The rows that tell of an erasure stay, and those of the same client that follow
//!   it: they explain the empty names.
//!
//! SQLite cannot change a constraint. The text of the table is changed instead, as SQLite's
//! documentation of ALTER TABLE describes for constraints, for which no row is touched.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer, timestamp_with_time_zone_null},
    sea_orm::DbBackend,
};

use crate::backfill;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Databases whose earlier steps were applied as a whole have none.
        backfill::create_table(manager).await?;
        manager
            .create_table(
                Table::create()
                    .table("change_pruned")
                    .col(integer("id").primary_key().check(Expr::col("id").eq(1)))
                    .col(big_integer("up_to"))
                    .col(timestamp_with_time_zone_null("at"))
                    .to_owned(),
            )
            .await?;
        let engine = manager.get_database_backend();
        let steps = match engine {
            DbBackend::Postgres => POSTGRES.to_owned(),
            _ => SQLITE
                .replace("{erased_old}", &erased(engine, "OLD.old"))
                .replace("{erased_new}", &erased(engine, "OLD.new")),
        };
        let db = manager.get_connection();
        db.execute_unprepared("INSERT INTO change_pruned (id, up_to) VALUES (1, 0)")
            .await?;
        db.execute_unprepared(&steps).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The expression for what an erasure leaves of the JSON object in `column`: all members, with
/// null in place of texts.
#[must_use]
pub fn erased(engine: DbBackend, column: &str) -> String {
    if engine == DbBackend::Postgres {
        return format!("change_erased({column})");
    }
    format!(
        "(SELECT '{{' || coalesce(group_concat(json_quote(key) || ':' || CASE type \
         WHEN 'text' THEN 'null' WHEN 'null' THEN 'null' WHEN 'true' THEN 'true' \
         WHEN 'false' THEN 'false' ELSE value END, ','), '') || '}}' FROM json_each({column}))"
    )
}

/// New rows must meet the constraints; the old ones meet them anyhow, and are not read.
const POSTGRES: &str = "
    LOCK TABLE change IN ACCESS EXCLUSIVE MODE;
    ALTER TABLE change DROP CONSTRAINT change_kind_check, DROP CONSTRAINT change_face_check;
    ALTER TABLE change
        ADD CONSTRAINT change_kind_check CHECK (kind IN ('CLIENT_CREATED', 'CLIENT_UPDATED',
            'LOCATION_CREATED', 'LOCATION_UPDATED', 'CLIENT_ERASED')) NOT VALID,
        ADD CONSTRAINT change_face_check CHECK (face IN ('GRAPHQL', 'REST', 'COMMAND')) NOT VALID;

    CREATE FUNCTION change_erased(fields text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT '{' || coalesce(string_agg(to_json(key)::text || ':'
            || CASE json_typeof(value) WHEN 'string' THEN 'null' ELSE value::text END,
            ',' ORDER BY place), '') || '}'
        FROM json_each(fields::json) WITH ORDINALITY AS field (key, value, place)
    $$;
    CREATE FUNCTION change_may_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF (NEW.id, NEW.at, NEW.user_name, NEW.face, NEW.kind, NEW.client_id,
                NEW.location_id, NEW.old, NEW.new) IS NOT DISTINCT FROM
                (OLD.id, OLD.at, OLD.user_name, OLD.face, OLD.kind, OLD.client_id,
                OLD.location_id, change_erased(OLD.old), change_erased(OLD.new))
            THEN
                RETURN NEW;
            END IF;
        ELSIF OLD.id <= (SELECT up_to FROM change_pruned) AND NOT EXISTS (SELECT 1 FROM change e
            WHERE e.client_id = OLD.client_id AND e.id <= OLD.id AND e.kind = 'CLIENT_ERASED')
        THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the log of changes is append-only: % is refused', TG_OP;
    END $$;
    DROP TRIGGER change_is_append_only ON change;
    CREATE TRIGGER change_is_append_only BEFORE TRUNCATE ON change
        FOR EACH STATEMENT EXECUTE FUNCTION change_is_append_only();
    CREATE TRIGGER change_may_change BEFORE UPDATE OR DELETE ON change
        FOR EACH ROW EXECUTE FUNCTION change_may_change();
";

const SQLITE: &str = "
    DROP TRIGGER change_is_append_only_update;
    DROP TRIGGER change_is_append_only_delete;
    CREATE TRIGGER change_is_append_only_update BEFORE UPDATE ON change
    WHEN (NEW.id, NEW.at, NEW.user_name, NEW.face, NEW.kind, NEW.client_id, NEW.location_id,
            NEW.old, NEW.new)
        IS NOT (OLD.id, OLD.at, OLD.user_name, OLD.face, OLD.kind, OLD.client_id,
            OLD.location_id, {erased_old}, {erased_new})
    BEGIN
        SELECT RAISE(ABORT, 'the log of changes is append-only: UPDATE is refused');
    END;
    CREATE TRIGGER change_is_append_only_delete BEFORE DELETE ON change
    WHEN OLD.id > (SELECT up_to FROM change_pruned) OR EXISTS (SELECT 1 FROM change e
        WHERE e.client_id = OLD.client_id AND e.id <= OLD.id AND e.kind = 'CLIENT_ERASED')
    BEGIN
        SELECT RAISE(ABORT, 'the log of changes is append-only: DELETE is refused');
    END;
    PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET sql = replace(replace(sql,
            '''LOCATION_UPDATED'')', '''LOCATION_UPDATED'', ''CLIENT_ERASED'')'),
            '''REST'')', '''REST'', ''COMMAND'')')
        WHERE type = 'table' AND name = 'change';
    PRAGMA writable_schema = RESET;
";
