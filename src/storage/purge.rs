//! Deletes the rows of a table that are too old.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};

use super::database::Database;

/// How many rows one statement deletes: few, since others want to write meanwhile.
const BATCH: u64 = 500;

/// Deletes the rows of `E` whose instant `at` is this one or earlier, and returns how many.
/// The columns `key` are the primary key. Several gateways may do so at the same time.
///
/// # Errors
/// If the database fails.
pub async fn delete_up_to<E: EntityTrait, const N: usize>(
    database: &Database,
    key: [E::Column; N],
    at: E::Column,
    instant: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let mut deleted = 0;
    loop {
        let oldest = E::find()
            .select_only()
            .columns(key)
            .filter(ColumnTrait::into_expr(at).lte(instant))
            .order_by_asc(at)
            .limit(BATCH)
            // Rows that another gateway is deleting are skipped.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_query();
        let batch = E::delete_many()
            .filter(Expr::tuple(key.map(ColumnTrait::into_expr)).in_subquery(oldest))
            .exec(database.writer())
            .await?;
        deleted += batch.rows_affected;
        if batch.rows_affected < BATCH {
            return Ok(deleted);
        }
    }
}
