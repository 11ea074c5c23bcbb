//! Stamps, the instants of changes, such that callers can poll by them: no stamp is earlier
//! than one that was committed when it was taken, whatever the clocks do and whoever
//! writes.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityName, Statement, TryGetable};

use super::LoggedRecord;
use crate::{
    error::Result,
    records::Store,
    storage::{batcher::Role, database::Database},
};

/// The smallest step from one stamp to the next.
const STEP: TimeDelta = TimeDelta::milliseconds(1);
/// How far SQLite's stamps may run ahead of the clock before writers wait. They run ahead
/// when records change many times in a millisecond, or after the clock was set back.
const MOST_AHEAD: TimeDelta = TimeDelta::milliseconds(100);

/// A record before its change.
pub struct Previous {
    table: &'static str,
    id: i64,
    updated_at: DateTime<Utc>,
}

impl Previous {
    /// From the stored record.
    pub fn of<M: LoggedRecord>(record: &M) -> Self {
        let (client_id, location_id) = record.ids();
        Self {
            table: M::Entity::default().table_name(),
            id: location_id.unwrap_or(client_id),
            updated_at: record.updated_at(),
        }
    }
}

/// The stamp for what `transaction` is about to do: to create records, and to change those
/// in `previous`. It is taken once the client is locked, so that a writer that waits for
/// the lock does not hold up readers.
///
/// How PostgreSQL finds it, and what readers do, is in
/// `migration/src/m20261130_000009_stamp_changes.rs`. SQLite has one writer at a time, and
/// all gateways over a file share a clock. There the records of a table, sorted by instant
/// and then by id, are in the order in which they were committed. So a stamp may equal that
/// of records which were committed before, if the ids of the records that get it are
/// greater; those of new records always are.
///
/// # Errors
/// If the database fails.
pub async fn stamp(
    database: &Database,
    transaction: &impl ConnectionTrait,
    previous: &[Previous],
) -> Result<DateTime<Utc>> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let changed_last = previous.iter().map(|record| record.updated_at).max();
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT change_stamp($1, $2) AS at",
            [database.clock.given().into(), changed_last.into()],
        );
        return Ok(instant(transaction, statement).await?);
    }
    let latest = latest(transaction).await?;
    let now = database.clock.now();
    let Some(latest) = latest else {
        return Ok(now);
    };
    if now > latest || (now == latest && are_last(transaction, previous, now).await?) {
        return Ok(now);
    }
    if latest - now > MOST_AHEAD {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Cut, because somebody's own SQL may have left a fraction of a millisecond.
    Ok((latest + STEP).trunc_subsecs(3))
}

/// Whether these records come after all others of their tables that were changed `now`.
async fn are_last(
    db: &impl ConnectionTrait,
    records: &[Previous],
    now: DateTime<Utc>,
) -> Result<bool> {
    for Previous { table, id, .. } in records {
        let statement = Statement::from_sql_and_values(
            DbBackend::Sqlite,
            format!("SELECT 1 FROM {table} WHERE updated_at = ? AND id >= ? LIMIT 1"),
            [now.into(), (*id).into()],
        );
        if db.query_one_raw(statement).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The horizon: the instant up to which a statement that begins now reads only what is
/// settled. No record appears later that was changed before it. On PostgreSQL none appears
/// with this very instant, either; on SQLite only one that comes after all others of it.
///
/// # Errors
/// If the database fails.
pub async fn horizon(store: &Store) -> Result<DateTime<Utc>> {
    let db = &store.reader;
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(latest(db).await?.unwrap_or(DateTime::UNIX_EPOCH));
    }
    // One horizon serves all requests that arrive before it is read.
    let mut leader = match store.lists.horizons.join("horizon", 1, || ()).await {
        Role::Done(horizon) => return Ok(horizon),
        Role::Alone | Role::Lost => return Ok(read_horizon(store).await?),
        Role::Leader(leader) => leader,
    };
    let followers = leader.take_followers();
    let horizon = read_horizon(store).await;
    drop(leader);
    for follower in followers {
        match &horizon {
            Ok(horizon) => follower.tell(*horizon),
            Err(_) => follower.leave(),
        }
    }
    Ok(horizon?)
}

/// Reads the horizon on PostgreSQL.
async fn read_horizon(store: &Store) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT stamp_horizon($1) AS at",
        [store.clock.given().into()],
    );
    instant(&store.reader, statement).await
}

/// The greatest instant at which a record was changed.
///
/// # Errors
/// If the database fails.
pub async fn latest(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    // Each of the two maxima is the last entry of an index.
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT max(at) AS at FROM (SELECT max(updated_at) AS at FROM client \
         UNION ALL SELECT max(updated_at) FROM client_location) AS latest",
    );
    instant(db, statement).await
}

/// The only value that a statement selects, as `at`.
async fn instant<T: TryGetable>(
    db: &impl ConnectionTrait,
    statement: Statement,
) -> Result<T, DbErr> {
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("an instant".to_owned()))?;
    row.try_get("", "at")
}
