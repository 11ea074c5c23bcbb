//! Clients: reads them by id. `write.rs` and `single_statement.rs` create and update them;
//! `erase.rs` erases them.

mod erase;
mod filter;
mod input;
mod single_statement;
mod write;

use std::sync::Arc;

use entity::{client, client_location};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::ExprTrait};

use super::{
    list::{
        Listed, OrderField,
        row_counts::{RowCount, RowCounts},
        search::sample::{Latest, Samples},
    },
    locations::primary_of,
};
use crate::{error::Result, storage::id_lists::any_of};

pub use erase::{Erased, Erasure};
pub use filter::ClientFilter;
pub use input::{CreateClientInput, UpdateClientInput};
pub use write::{ClientUpdate, create, differing, expect_version, lock, touch, update};

impl Listed for client::Entity {
    const ID: client::Column = client::Column::Id;
    const SEARCHED: &'static [client::Column] =
        &[client::Column::NameKey, client::Column::AccountCodeKey];

    const FILTERED: &'static [client::Column] = &[
        client::Column::Id,
        client::Column::NameKey,
        client::Column::AccountCodeKey,
        client::Column::Salesperson,
        client::Column::CaseManager,
        client::Column::CreatedAt,
        client::Column::UpdatedAt,
    ];

    fn sort_column(field: OrderField) -> Option<client::Column> {
        match field {
            OrderField::Id => None,
            OrderField::Name => Some(client::Column::NameKey),
            OrderField::CreatedAt => Some(client::Column::CreatedAt),
            OrderField::UpdatedAt => Some(client::Column::UpdatedAt),
        }
    }

    fn id(row: &client::Model) -> i64 {
        row.id
    }

    fn row_count(counts: &RowCounts) -> Option<&Arc<RowCount>> {
        Some(&counts.clients)
    }

    fn sample(samples: &Samples) -> Option<&Arc<Latest>> {
        Some(&samples.clients)
    }
}

/// The client with this id.
///
/// # Errors
/// If the database fails.
pub async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<client::Model>> {
    Ok(client::Entity::find_by_id(id).one(db).await?)
}

/// The client with this id and its primary location, read by one statement: both as they
/// were at one moment.
///
/// # Errors
/// If the database fails.
pub async fn find_with_primary(
    db: &impl ConnectionTrait,
    id: i64,
) -> Result<Option<(client::Model, Option<client_location::Model>)>> {
    let rows = client::Entity::find_by_id(id)
        .find_also_related(client_location::Entity)
        .filter(primary_of().eq(id));
    Ok(rows.one(db).await?)
}

/// The clients with these ids, in no particular order.
///
/// # Errors
/// If the database fails.
pub async fn find_many(db: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<client::Model>> {
    let rows = client::Entity::find().filter(any_of(db, client::Column::Id.into_expr(), ids));
    Ok(rows.all(db).await?)
}
