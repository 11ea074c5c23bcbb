//! The instants of changes on PostgreSQL, such that one can poll by them.
//!
//! Whoever has seen all records up to an instant asks for those that were changed at it or
//! later, so no record may appear with an earlier one afterwards. Writers take instants in
//! one order and commit in another, and the clocks of gateways differ. So all take them
//! from the server's clock, and say what they are about, much as they do for the numbers
//! of the log (`m20261123_000005_create_changes.rs`):
//!
//! - A writer (`change_stamp`) reads the clock, A, then takes a shared advisory lock that
//!   spells A and lasts until its transaction has ended, and only then takes its stamp, s:
//!   what the clock says by now, or, should that be less than the greatest stamp that was
//!   committed until now or than A, a millisecond more than that one. So A <= s. It writes
//!   no other instant.
//! - A reader (`stamp_horizon`) reads the greatest stamp that was committed, L, waits until
//!   the clock has passed the millisecond of L, and then reads the least instant in those
//!   locks, M; its horizon is the smaller one of L and the last millisecond before M.
//!   Then, in a statement of its own and so with a newer snapshot, it reads rows.
//!
//! Let a row with the stamp s appear only after that snapshot was taken. Had its writer its
//! lock when the reader looked at them, then M <= A <= s, and the horizon is less than M.
//! Else it took it later, for it had not ended: locks are let go only when what was
//! committed can be seen, and then the snapshot would show the row. So it took its
//! stamp after the reader had read L, and knew of it: each statement of a function has a
//! newer snapshot than the one before it. Either the clock was behind the greatest
//! stamp committed by then, and s is more than that one and so than L. Or s is what
//! the clock said, and the clock had passed L before. In either case s is more than
//! the horizon: rows up to it are settled.
//!
//! That the clock had passed L is all that is assumed of clocks, and no stamp is ahead of a
//! clock that goes on. After it was set back, as after a fail-over to a server whose clock
//! is behind, stamps go on from the greatest one all the same, a millisecond at a time,
//! for a writer waits as long before it goes ahead of the clock: so they do not run away.
//! The reader cannot wait for such a clock then, and there is one millisecond, the one in
//! which the clock catches up, whose stamp may equal L. Who asks for what was changed at an
//! instant or later finds that, too.
//!
//! A writer that finds the clock behind lets its lock go, by undoing half of itself, and
//! takes another one, at the greatest stamp: else readers would see nothing that is newer
//! than the clock while anybody writes.
//!
//! Stamps are whole milliseconds. Somebody's own SQL may leave smaller parts in a record;
//! then both functions take the next whole one for the greatest stamp. No stamp is less
//! than what was left, none gets such parts from it, and the horizon reaches it.
//!
//! Tests and others may give both functions an instant to use in place of the clock's.

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

/// The key of a lock is "st" in its highest 16 bits, so it is none of the log's, and the
/// milliseconds since 1970 in the other 48.
///
/// `previous` is when the records that change were last changed, and the stamp is later:
/// if that was in this very millisecond, the writer waits for the next one.
///
/// That no stamp is greater than the clock is what mostly holds, and an index tells it
/// without a look at any row. Only else the greatest one is read, its last entry.
const POSTGRES: &str = "
    CREATE FUNCTION change_stamp(given timestamptz, previous timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql AS $$
    DECLARE
        announced timestamptz := date_trunc('milliseconds', coalesce(given, clock_timestamp()));
        latest timestamptz;
        clock timestamptz;
    BEGIN
        FOR attempt IN 1 .. 2 LOOP
            BEGIN
                PERFORM pg_advisory_xact_lock_shared(
                    (x'7374'::bigint << 48) | (extract(epoch FROM announced) * 1000)::bigint);
                clock := date_trunc('milliseconds', coalesce(given, clock_timestamp()));
                IF clock >= announced AND (previous IS NULL OR clock > previous)
                    AND (SELECT max(updated_at) FROM client WHERE updated_at > clock) IS NULL
                    AND (SELECT max(updated_at) FROM client_location
                        WHERE updated_at > clock) IS NULL
                THEN
                    RETURN clock;
                END IF;
                SELECT date_trunc('milliseconds', interval '999 microseconds'
                    + greatest(announced, (SELECT max(updated_at) FROM client),
                        (SELECT max(updated_at) FROM client_location)))
                INTO latest;
                clock := date_trunc('milliseconds', coalesce(given, clock_timestamp()));
                IF clock >= latest AND (previous IS NULL OR clock > previous) THEN
                    RETURN clock;
                ELSIF attempt = 2 THEN
                    RETURN date_trunc('milliseconds', greatest(latest, previous))
                        + interval '1 millisecond';
                END IF;
                RAISE SQLSTATE 'CL001';
            EXCEPTION WHEN SQLSTATE 'CL001' THEN
                announced := latest;
                PERFORM pg_sleep(0.001);
            END;
        END LOOP;
    END $$;

    CREATE FUNCTION stamp_horizon(given timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
    DECLARE
        latest timestamptz;
        least_announced bigint;
    BEGIN
        SELECT date_trunc('milliseconds', interval '999 microseconds'
            + greatest('0001-01-01T00:00:00Z', (SELECT max(updated_at) FROM client),
                (SELECT max(updated_at) FROM client_location)))
        INTO latest;
        FOR attempt IN 1 .. 2 LOOP
            EXIT WHEN date_trunc('milliseconds', coalesce(given, clock_timestamp())) > latest;
            PERFORM pg_sleep(0.001);
        END LOOP;
        SELECT min(((classid::bigint & x'ffff'::bigint) << 32) | objid::bigint)
        INTO least_announced
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
            AND classid::bigint >> 16 = x'7374'::bigint
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
        RETURN least(latest, 'epoch'::timestamptz
            + (least_announced - 1) * interval '1 millisecond');
    END $$;
";
