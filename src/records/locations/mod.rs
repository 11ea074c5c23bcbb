//! Rules and SQL for client locations: find and filter; create and update are in
//! `write.rs`.

mod write;

use std::sync::Arc;

use entity::{client, client_location as location};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
    QueryTrait, sea_query::SelectStatement,
};

use super::{
    fold::fold,
    list::{
        self, Filter, Listed, OrderField,
        per_client::OfClient,
        row_counts::{Tallies, Tally},
        search::sample::{Latest, Samples},
    },
    validation::{self, Checks},
};
use crate::{
    error::Result, graphql::schema::location::ClientLocationFilter, storage::statements::any_of,
};

pub use write::{changed, create, first_of_client, update};

impl Listed for location::Entity {
    const ID: location::Column = location::Column::Id;
    const SEARCHED: &'static [location::Column] = &[location::Column::NameKey];

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

    fn tally(tallies: &Tallies) -> Option<&Arc<Tally>> {
        Some(&tallies.locations)
    }

    fn sample(samples: &Samples) -> Option<&Arc<Latest>> {
        Some(&samples.locations)
    }
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
    let rows = location::Entity::find()
        .filter(any_of(
            db,
            location::Column::ClientId.into_expr(),
            client_ids,
        ))
        .filter(location::COLUMN.is_primary.eq(true));
    Ok(rows.all(db).await?)
}

impl OfClient for location::Entity {
    const CLIENT_ID: location::Column = location::Column::ClientId;

    fn client_id(row: &location::Model) -> i64 {
        row.client_id
    }
}

impl Filter for ClientLocationFilter {
    type Entity = location::Entity;

    fn search(&self) -> Option<&str> {
        self.search.as_deref()
    }

    /// Names may well be those of very many: "Head office".
    fn names_few(&self) -> bool {
        self.id.is_some() || self.client_id.is_some()
    }

    fn polled_by(&self) -> Option<OrderField> {
        list::polled_by(self.updated_from.as_ref(), self.created_from.as_ref())
    }

    fn condition(&self, checks: &mut Checks) -> Condition {
        let Self {
            id,
            name,
            client_id,
            salesperson,
            country,
            state,
            created_from,
            created_to,
            updated_from,
            updated_to,
            // `Filter::select` adds it.
            search: _,
        } = self;
        let columns = location::COLUMN;
        let mut id_of = |field, id: &Option<_>| id.as_ref().and_then(|id| checks.id(field, id));
        let id = id_of("id", id);
        let client_id = id_of("clientId", client_id);
        let salesperson = id_of("salesperson", salesperson);
        let mut text_of = |field, text: &Option<String>| {
            let text = text.as_ref()?;
            checks.value(field, text, validation::filter_text)
        };
        let name = text_of("name", name);
        let country = text_of("country", country);
        let state = text_of("state", state);
        Condition::all()
            .add_option(id.map(|id| columns.id.eq(id)))
            .add_option(name.map(|name| columns.name_key.eq(fold(name.trim()))))
            .add_option(client_id.map(|id| columns.client_id.eq(id)))
            .add_option(salesperson.map(|id| columns.client_id.in_subquery(clients_of(id))))
            .add_option(country.map(|code| columns.country.eq(code.trim().to_ascii_uppercase())))
            .add_option(state.map(|code| columns.state.eq(code.trim().to_ascii_uppercase())))
            .add_option(created_from.map(|at| columns.created_at.gte(at.first_millisecond())))
            .add_option(created_to.map(|at| columns.created_at.lte(at.last_millisecond())))
            .add_option(updated_from.map(|at| columns.updated_at.gte(at.first_millisecond())))
            .add_option(updated_to.map(|at| columns.updated_at.lte(at.last_millisecond())))
    }
}

/// The ids of the clients that this salesperson serves.
fn clients_of(salesperson: i64) -> SelectStatement {
    client::Entity::find()
        .select_only()
        .column(client::Column::Id)
        .filter(client::COLUMN.salesperson.eq(salesperson))
        .into_query()
}
