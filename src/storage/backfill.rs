//! Fills what a step of the schema has left to be filled ([`migration::backfill`]): in batches,
//! each in a transaction of its own, so that it can be broken off at any time, and so that nobody
//! waits for longer than a batch. Several programs may do so at the same time.

use migration::backfill::{self, Backfill};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::database::Database;

/// Rows in a batch. Their writers wait for it, on SQLite all writers.
const BATCH: u32 = 500;

/// What is yet to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What is filled.
    pub name: String,
    /// The first id that is left.
    next: i64,
    /// The last id.
    last: i64,
}

impl Pending {
    /// How many ids are left. Some may have no rows.
    #[must_use]
    pub fn left(&self) -> u64 {
        (self.last.saturating_add(1))
            .saturating_sub(self.next)
            .try_into()
            .unwrap_or_default()
    }
}

/// What is yet to be filled, in the order in which that is done. The schema must be current.
///
/// # Errors
/// If the database fails.
pub async fn pending(db: &impl ConnectionTrait) -> Result<Vec<Pending>, DbErr> {
    let all = backfill::all(db.get_database_backend());
    let mut pending = select(db, "ORDER BY name").await?;
    // A newer program fills the others.
    pending.retain(|pending| all.iter().any(|known| known.name == pending.name));
    Ok(pending)
}

/// Fills a batch. Returns whether there may be more.
///
/// # Errors
/// If the database fails, or is busy.
pub async fn fill(database: &Database, name: &str) -> Result<bool, DbErr> {
    let engine = database.reader.get_database_backend();
    let all = backfill::all(engine);
    let Some(backfill) = all.iter().find(|known| known.name == name) else {
        return Ok(false);
    };
    let transaction = database.begin().await?;
    let lock = match engine {
        DbBackend::Postgres => {
            // While it waits for a row, others wait for those that it has locked.
            let patience = "SET LOCAL lock_timeout = '100ms'";
            transaction.execute_unprepared(patience).await?;
            " FOR UPDATE"
        }
        _ => "",
    };
    let pending = select(&transaction, &format!("WHERE name = '{name}'{lock}")).await?;
    let Some(Pending { next, last, .. }) = pending.into_iter().next() else {
        return Ok(false);
    };
    let Some(end) = end_of_batch(&transaction, backfill, next, last).await? else {
        finish(&transaction, backfill).await?;
        transaction.commit().await?;
        return Ok(false);
    };
    transaction
        .execute_unprepared(&backfill.copy(next, end))
        .await?;
    if end == last {
        finish(&transaction, backfill).await?;
        transaction.commit().await?;
        return Ok(false);
    }
    let next = end.saturating_add(1);
    let done = format!("UPDATE backfill SET next = {next} WHERE name = '{name}'");
    transaction.execute_unprepared(&done).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Does what follows when all is copied.
async fn finish(db: &impl ConnectionTrait, backfill: &Backfill) -> Result<(), DbErr> {
    let done = format!("DELETE FROM backfill WHERE name = '{}'", backfill.name);
    db.execute_unprepared(&done).await?;
    if !backfill.finish.is_empty() {
        db.execute_unprepared(&backfill.finish).await?;
    }
    Ok(())
}

/// The last id of the batch that begins with `next`; none if there are no more rows.
async fn end_of_batch(
    db: &impl ConnectionTrait,
    backfill: &Backfill,
    next: i64,
    last: i64,
) -> Result<Option<i64>, DbErr> {
    let sql = format!(
        "SELECT max(id) AS id FROM (SELECT id FROM {} WHERE id BETWEEN {next} AND {last} \
         ORDER BY id LIMIT {BATCH}) AS batch",
        backfill.source
    );
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?;
    row.map_or(Ok(None), |row| row.try_get("", "id"))
}

async fn select(db: &impl ConnectionTrait, rest: &str) -> Result<Vec<Pending>, DbErr> {
    let sql = format!("SELECT name, next, last FROM backfill {rest}");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await?;
    let pending = rows.iter().map(|row| {
        Ok(Pending {
            name: row.try_get("", "name")?,
            next: row.try_get("", "next")?,
            last: row.try_get("", "last")?,
        })
    });
    pending.collect()
}
