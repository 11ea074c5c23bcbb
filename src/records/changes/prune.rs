//! Deletes the oldest changes of the log.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{change, change_pruned};
use sea_orm::{
    ActiveValue::Set,
    DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement},
};

use crate::storage::database::Database;

/// Changes in a batch: few, since others want to write meanwhile.
const BATCH: u64 = 500;

/// Deletes the changes that are older than `age`, and returns how many. The log keeps no gaps:
/// a change goes with all before it, but for those that tell of an erasure, and those of the same
/// client that follow. Several gateways may
/// do so at the same time.
///
/// # Errors
/// If the database fails.
pub async fn prune(database: &Database, age: TimeDelta) -> Result<u64, DbErr> {
    let instant = database.clock.now() - age;
    let mut deleted = 0;
    loop {
        let began = Instant::now();
        let Some(count) = prune_batch(database, instant).await? else {
            return Ok(deleted);
        };
        deleted += count;
        // For half of the time others write.
        tokio::time::sleep(began.elapsed()).await;
    }
}

/// Deletes a batch of changes that are earlier than `instant`. None if there are no more.
async fn prune_batch(database: &Database, instant: DateTime<Utc>) -> Result<Option<u64>, DbErr> {
    let transaction = database.begin().await?;
    let beginning = change_pruned::Entity::find().lock_exclusive();
    let beginning = beginning.one(&transaction).await?;
    let missing = || DbErr::RecordNotFound("the beginning of the log".to_owned());
    let change_pruned::Model { up_to, .. } = beginning.ok_or_else(missing)?;
    let columns = change::COLUMN;
    let oldest: Vec<(i64, DateTime<Utc>)> = change::Entity::find()
        .select_only()
        .columns([change::Column::Id, change::Column::At])
        .filter(columns.id.gt(up_to))
        .order_by_asc(change::Column::Id)
        .limit(BATCH)
        .into_tuple()
        .all(&transaction)
        .await?;
    let old = oldest.iter().take_while(|(_, at)| *at < instant);
    let Some(&(last, at)) = old.last() else {
        return Ok(None);
    };
    change_pruned::Entity::update_many()
        .set(change_pruned::ActiveModel {
            up_to: Set(last),
            at: Set(Some(at)),
            ..Default::default()
        })
        .exec(&transaction)
        .await?;
    let pruned = change::Entity::delete_many()
        .filter(columns.id.gt(up_to))
        .filter(columns.id.lte(last))
        .filter(Expr::not_exists(erasure_before()))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(pruned.rows_affected))
}

/// The erasure of the same client that a change tells of or comes after.
fn erasure_before() -> SelectStatement {
    let erasure = Alias::new("erasure");
    let own = |column| Expr::col((change::Entity, column));
    let of_erasure = |column| Expr::col((erasure.clone(), column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(change::Entity, erasure.clone())
        .and_where(
            of_erasure(change::Column::ClientId).equals((change::Entity, change::Column::ClientId)),
        )
        .and_where(of_erasure(change::Column::Id).lte(own(change::Column::Id)))
        .and_where(of_erasure(change::Column::Kind).eq(change::Kind::ClientErased))
        .take()
}
