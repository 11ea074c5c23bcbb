//! One lock for all changes that a statement logs, on PostgreSQL, instead of one for each.
//!
//! What `m20261123_000005_create_changes.rs` says of a writer holds as before, now for
//! each statement: its trigger takes the lock, and only then do its rows get their
//! numbers. Statements may log the changes of many requests, and the server's memory for
//! locks is small.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            let db = manager.get_connection();
            db.execute_unprepared(POSTGRES).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The column becomes one that is written only by who says so, as restores do, with a
/// sequence that goes on where the old one stood. What is said of the old one's lowest
/// value holds for the new one.
///
/// The next step makes triggers on the other two tables. All are locked here, in the order of
/// the writers, so that an upgrade and they seldom wait for each other in a circle.
const POSTGRES: &str = "
    LOCK TABLE client, client_location IN SHARE ROW EXCLUSIVE MODE;
    LOCK TABLE change IN ACCESS EXCLUSIVE MODE;
    DROP TRIGGER change_number ON change;
    DROP FUNCTION change_number();

    DO $$
    DECLARE
        last_given bigint;
    BEGIN
        SELECT last_value INTO last_given FROM change_id_seq;
        DROP SEQUENCE change_id_seq;
        ALTER TABLE change ALTER id
            ADD GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0 CACHE 1);
        PERFORM setval('change_id_seq', last_given);
    END $$;

    CREATE FUNCTION change_announce() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared((x'6368'::bigint << 48) | last_value)
        FROM change_id_seq;
        RETURN NULL;
    END $$;
    CREATE TRIGGER change_announce BEFORE INSERT ON change
        FOR EACH STATEMENT EXECUTE FUNCTION change_announce();
";
