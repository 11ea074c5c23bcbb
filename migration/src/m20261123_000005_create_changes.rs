//! The log of changes: a row for each record that a mutation creates or updates,
//! written in the mutation's own transaction. What may be done to it later is in
//! `m20261130_000013_open_log.rs`.
//!
//! There are no foreign keys: clients and locations are never deleted, and the log
//! would have to outlive them if they were.
//!
//! # Numbers to resume from
//!
//! Whoever has read the log up to number N goes on after N, so no smaller number may
//! appear later. On SQLite, which has one writer, `AUTOINCREMENT` sees to it. On
//! PostgreSQL writers take numbers in one order and commit in another, and waiting for
//! each other would cost them most of their speed. So they say what they are about:
//!
//! - A writer (`change_number`; since step 7 `change_announce`, once for all rows of a
//!   statement) reads the last number given, A, then takes a shared advisory lock that
//!   spells A and lasts until its transaction has ended, and only then takes its own
//!   number, n. So A < n: the sequence gives each number once,
//!   upwards, and one at a time (`CACHE 1`).
//! - A reader (`change_horizon`) reads the last number given, L, then the least number
//!   in those locks, M; its horizon is the smaller one. Then, in a statement of its own
//!   and so with a newer snapshot, it reads rows up to the horizon and no further.
//!
//! Let n be at or before the horizon. n was given before the reader read L, for n <= L.
//! So its writer held its lock before the reader looked at the locks. Had it still held
//! it then, the horizon would be at most A, and A < n. So it held it no more: its
//! transaction had ended, and locks are let go only when what was committed can be seen.
//! So the snapshot, which is newer, shows n, or n was rolled back and never comes. All
//! numbers up to the horizon are settled, and whoever has seen N, which was before a
//! horizon, never finds a smaller one later.
//!
//! Nothing in it is a transaction id: a dump that is restored elsewhere goes on with
//! the same numbers. A crash cannot give a number again that somebody has seen: the
//! log of the sequence is on disk before the commit that shows the number.

use crate::m20261123_000001_create_clients::create_index;
use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, big_pk_auto, text, timestamp_with_time_zone},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (id, steps) = match manager.get_database_backend() {
            // Its trigger numbers the rows.
            DbBackend::Postgres => (big_integer("id").primary_key().take(), POSTGRES),
            _ => (big_pk_auto("id"), SQLITE),
        };
        let one_of = |name, values: &[&'static str]| {
            let mut column = text(name);
            column.check(Expr::col(name).is_in(values.iter().copied()));
            column
        };
        let kinds = [
            "CLIENT_CREATED",
            "CLIENT_UPDATED",
            "LOCATION_CREATED",
            "LOCATION_UPDATED",
        ];
        manager
            .create_table(
                Table::create()
                    .table("change")
                    .col(id)
                    .col(timestamp_with_time_zone("at"))
                    .col(text("user_name"))
                    .col(one_of("face", &["GRAPHQL", "REST"]))
                    .col(one_of("kind", &kinds))
                    .col(big_integer("client_id"))
                    .col(big_integer_null("location_id"))
                    .col(text("old"))
                    .col(text("new"))
                    .to_owned(),
            )
            .await?;
        for column in ["client_id", "user_name"] {
            create_index(manager, "change", column).await?;
        }
        manager.get_connection().execute_unprepared(steps).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The sequence stands at 0, a number that nobody gets: what `last_value` says of a
/// sequence that has not begun is the number to come, and here it is always the last
/// one given.
///
/// The key of a lock is "ch" in its highest 16 bits and the number in the other 48;
/// `pg_locks` shows its halves, as `classid` and `objid`, for all databases of the
/// server. Each statement of a function runs after the one before it.
const POSTGRES: &str = "
    CREATE SEQUENCE change_id_seq MINVALUE 0 START 0 CACHE 1 OWNED BY change.id;
    SELECT setval('change_id_seq', 0);

    CREATE FUNCTION change_number() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared((x'6368'::bigint << 48) | last_value)
        FROM change_id_seq;
        NEW.id := nextval('change_id_seq');
        RETURN NEW;
    END $$;
    CREATE TRIGGER change_number BEFORE INSERT ON change
        FOR EACH ROW EXECUTE FUNCTION change_number();

    CREATE FUNCTION change_horizon() RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE
        last_given bigint;
        least_announced bigint;
    BEGIN
        SELECT last_value INTO last_given FROM change_id_seq;
        SELECT min(((classid::bigint & x'ffff'::bigint) << 32) | objid::bigint)
        INTO least_announced
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
            AND classid::bigint >> 16 = x'6368'::bigint
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
        RETURN least(last_given, least_announced);
    END $$;

    CREATE FUNCTION change_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the log of changes is append-only: % is refused', TG_OP;
    END $$;
    CREATE TRIGGER change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON change
        FOR EACH STATEMENT EXECUTE FUNCTION change_is_append_only();
";

const SQLITE: &str = "
    CREATE TRIGGER change_is_append_only_update BEFORE UPDATE ON change BEGIN
        SELECT RAISE(ABORT, 'the log of changes is append-only: UPDATE is refused');
    END;
    CREATE TRIGGER change_is_append_only_delete BEFORE DELETE ON change BEGIN
        SELECT RAISE(ABORT, 'the log of changes is append-only: DELETE is refused');
    END;
";
