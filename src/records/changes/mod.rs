//! The log of changes: what each mutation did to which record, for whom and by which face.
//! `log.rs` writes it, in the transaction of the mutation; `feed.rs` reads it, `prune.rs`
//! deletes what is old; `stamp.rs` gives the instants,
//! and the database the numbers (`migration/src/m20261126_000007_number_changes.rs`).
//! That readers can resume from any of its numbers is proved in
//! `migration/src/m20261123_000005_create_changes.rs`.

mod feed;
mod filter;
mod log;
mod prune;
mod stamp;

use std::sync::Arc;

use entity::change;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::list::{
    Listed, OrderField,
    per_client::OfClient,
    row_counts::{RowCount, RowCounts},
};
use crate::error::Result;

pub use feed::{Feed, beginning, check_start_of_history};
pub use filter::{ChangeFace, ChangeFilter, ChangeKind, Wanted};
pub use log::{Author, COLUMNS, Log, LoggedRecord, NOTHING, logged, set_fields};
pub use prune::prune;
pub use stamp::{Previous, horizon, latest, stamp};

/// The number up to which all changes are settled; none on SQLite, where all visible ones are.
async fn last_settled(db: &impl ConnectionTrait) -> Result<Option<i64>> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT change_horizon() AS id");
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the horizon".to_owned()))?;
    Ok(Some(row.try_get("", "id")?))
}

impl Listed for change::Entity {
    const ID: change::Column = change::Column::Id;

    /// The log has one order, that of its numbers.
    fn sort_column(_field: OrderField) -> Option<change::Column> {
        None
    }

    fn id(row: &change::Model) -> i64 {
        row.id
    }

    fn row_count(_counts: &RowCounts) -> Option<&Arc<RowCount>> {
        None
    }
}

impl OfClient for change::Entity {
    const CLIENT_ID: change::Column = change::Column::ClientId;

    fn client_id(row: &change::Model) -> i64 {
        row.client_id
    }
}
