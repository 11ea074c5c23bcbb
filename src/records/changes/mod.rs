//! The log of changes: what each mutation did to which record, for whom and by which
//! face, written in the mutation's own transaction (`log.rs`). How its numbers come to
//! be such that one can resume from any of them is told in
//! `migration/src/m20261123_000005_create_changes.rs`. When it happened is in `stamp.rs`.

mod log;
mod stamp;

use std::sync::Arc;

use entity::change::{self, Face, Kind};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, Statement};

use super::{
    list::{
        Filter, Listed, OrderField, Selection,
        per_client::OfClient,
        row_counts::{Tallies, Tally},
    },
    validation::{self, Checks},
};
use crate::{error::Result, graphql::schema::change::ChangeFilter, storage::database::Database};

pub use log::{Author, COLUMNS, Log, Logged, NOTHING, logged, set_fields};
pub use stamp::{Previous, horizon, latest, stamp};

/// What there is of `selection` up to the horizon: no row with a smaller number appears
/// after one that was read. The statement that reads the rows must begin after this.
///
/// # Errors
/// If the database fails.
pub async fn settled(database: &Database, mut selection: Selection) -> Result<Selection> {
    if let Some(horizon) = last_settled(&database.reader).await? {
        selection.condition = selection.condition.add(change::COLUMN.id.lte(horizon));
    }
    Ok(selection)
}

/// The number up to which all changes are settled; none where that holds for all that
/// can be read.
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

    /// It has one order: the one in which it came to be.
    fn sort_column(_field: OrderField) -> Option<change::Column> {
        None
    }

    fn id(row: &change::Model) -> i64 {
        row.id
    }

    fn tally(_tallies: &Tallies) -> Option<&Arc<Tally>> {
        None
    }
}

impl OfClient for change::Entity {
    const CLIENT_ID: change::Column = change::Column::ClientId;

    fn client_id(row: &change::Model) -> i64 {
        row.client_id
    }
}

impl Filter for ChangeFilter {
    type Entity = change::Entity;

    fn search(&self) -> Option<&str> {
        None
    }

    fn condition(&self, checks: &mut Checks) -> Condition {
        let Self {
            client_id,
            by,
            face,
            kind,
            from,
            to,
        } = self;
        let columns = change::COLUMN;
        let client_id = client_id.as_ref().and_then(|id| checks.id("clientId", id));
        let by = by
            .as_ref()
            .and_then(|user| checks.value("by", user, validation::filter_text));
        Condition::all()
            .add_option(client_id.map(|id| columns.client_id.eq(id)))
            .add_option(by.map(|user| columns.user_name.eq(user)))
            .add_option(face.map(|face| columns.face.eq(Face::from(face))))
            .add_option(kind.map(|kind| columns.kind.eq(Kind::from(kind))))
            .add_option(from.map(|at| columns.at.gte(at.first_millisecond())))
            .add_option(to.map(|at| columns.at.lte(at.last_millisecond())))
    }
}
