//! Client locations: reads them by id or by client. `write.rs` creates and updates them.

mod filter;
mod input;
mod postal_code;
mod write;

use std::sync::Arc;

use entity::client_location as location;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::Expr};

use super::list::{
    Listed, OrderField,
    per_client::OfClient,
    row_counts::{RowCount, RowCounts},
    search::sample::{Latest, Samples},
};
use crate::{error::Result, storage::id_lists::any_of};

pub use filter::ClientLocationFilter;
pub use input::{
    CreateClientLocationInput, CreatePrimaryLocationInput, NewLocation, UpdateClientLocationInput,
};
pub use postal_code::PostalCode;
pub use write::{changed, create, first_of_client, update};

impl Listed for location::Entity {
    const ID: location::Column = location::Column::Id;
    const SEARCHED: &'static [location::Column] = &[location::Column::NameKey];

    const FILTERED: &'static [location::Column] = &[
        location::Column::Id,
        location::Column::NameKey,
        location::Column::ClientId,
        location::Column::Country,
        location::Column::State,
        location::Column::CreatedAt,
        location::Column::UpdatedAt,
    ];

    fn sort_column(field: OrderField) -> Option<location::Column> {
        match field {
            OrderField::Id => None,
            OrderField::Name => Some(location::Column::NameKey),
            OrderField::CreatedAt => Some(location::Column::CreatedAt),
            OrderField::UpdatedAt => Some(location::Column::UpdatedAt),
        }
    }

    fn id(row: &location::Model) -> i64 {
        row.id
    }

    fn row_count(counts: &RowCounts) -> Option<&Arc<RowCount>> {
        Some(&counts.locations)
    }

    fn sample(samples: &Samples) -> Option<&Arc<Latest>> {
        Some(&samples.locations)
    }
}

/// The generated column that has the client of a primary location, and null in others. It
/// is unique: a client has one primary location at most.
pub const PRIMARY_OF: &str = "primary_of";

/// The column [`PRIMARY_OF`] in a statement.
#[must_use]
pub fn primary_of() -> Expr {
    Expr::col((location::Entity, PRIMARY_OF))
}

/// The location with this id.
///
/// # Errors
/// If the database fails.
pub async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<location::Model>> {
    Ok(location::Entity::find_by_id(id).one(db).await?)
}

/// The locations with these ids, in no particular order.
///
/// # Errors
/// If the database fails.
pub async fn find_many(db: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<location::Model>> {
    let rows = location::Entity::find().filter(any_of(db, location::Column::Id.into_expr(), ids));
    Ok(rows.all(db).await?)
}

/// The primary location of the client.
///
/// # Errors
/// If the database fails.
pub async fn find_primary(db: &impl ConnectionTrait, client_id: i64) -> Result<location::Model> {
    let found = find_primaries(db, &[client_id]).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| DbErr::RecordNotFound(format!("primary location of {client_id}")).into())
}

/// The primary locations of the clients, in no particular order.
///
/// # Errors
/// If the database fails.
pub async fn find_primaries(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
) -> Result<Vec<location::Model>> {
    let rows = location::Entity::find().filter(any_of(db, primary_of(), client_ids));
    Ok(rows.all(db).await?)
}

impl OfClient for location::Entity {
    const CLIENT_ID: location::Column = location::Column::ClientId;

    fn client_id(row: &location::Model) -> i64 {
        row.client_id
    }
}
