//! Rules and SQL for clients: find and filter; create and update are in `write.rs`.

mod at_once;
mod write;

use std::sync::Arc;

use entity::{client, client_location};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::{
    fold::fold,
    list::{
        self, Filter, Listed, OrderField,
        row_counts::{Tallies, Tally},
        search::sample::{Latest, Samples},
    },
    validation::{self, Checks},
};
use crate::{error::Result, graphql::schema::client::ClientFilter, storage::statements::any_of};

pub use write::{ClientUpdate, create, differing, expect_version, lock, touch, update};

impl Listed for client::Entity {
    const ID: client::Column = client::Column::Id;
    const SEARCHED: &'static [client::Column] =
        &[client::Column::NameKey, client::Column::AccountCodeKey];

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

    fn tally(tallies: &Tallies) -> Option<&Arc<Tally>> {
        Some(&tallies.clients)
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

/// The client with this id and its primary location, in one statement: both as they
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
        .filter(client_location::COLUMN.is_primary.eq(true));
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

impl Filter for ClientFilter {
    type Entity = client::Entity;

    fn search(&self) -> Option<&str> {
        self.search.as_deref()
    }

    fn names_few(&self) -> bool {
        self.id.is_some() || self.name.is_some() || self.account_code.is_some()
    }

    fn polled_by(&self) -> Option<OrderField> {
        list::polled_by(self.updated_from.as_ref(), self.created_from.as_ref())
    }

    fn condition(&self, checks: &mut Checks) -> Condition {
        let Self {
            id,
            name,
            account_code,
            salesperson,
            case_manager,
            created_from,
            created_to,
            updated_from,
            updated_to,
            // `Filter::select` adds it.
            search: _,
        } = self;
        let columns = client::COLUMN;
        let mut id_of = |field, id: &Option<_>| id.as_ref().and_then(|id| checks.id(field, id));
        let id = id_of("id", id);
        let salesperson = id_of("salesperson", salesperson);
        let case_manager = id_of("caseManager", case_manager);
        let mut text_of = |field, text: &Option<String>| {
            let text = text.as_ref()?;
            checks.value(field, text, validation::filter_text)
        };
        let name = text_of("name", name);
        let account_code = text_of("accountCode", account_code);
        Condition::all()
            .add_option(id.map(|id| columns.id.eq(id)))
            // Names are stored without surrounding white space.
            .add_option(name.map(|name| columns.name_key.eq(fold(name.trim()))))
            .add_option(account_code.map(|code| has_code(&code)))
            .add_option(salesperson.map(|id| columns.salesperson.eq(id)))
            .add_option(case_manager.map(|id| columns.case_manager.eq(id)))
            .add_option(created_from.map(|at| columns.created_at.gte(at.first_millisecond())))
            .add_option(created_to.map(|at| columns.created_at.lte(at.last_millisecond())))
            .add_option(updated_from.map(|at| columns.updated_at.gte(at.first_millisecond())))
            .add_option(updated_to.map(|at| columns.updated_at.lte(at.last_millisecond())))
    }
}

/// Whether a client has this account code. Earlier versions kept codes with the white space
/// that was sent around them.
fn has_code(code: &str) -> Expr {
    let key = client::COLUMN.account_code_key;
    let trimmed = code.trim();
    if trimmed == code {
        key.eq(fold(code))
    } else {
        key.is_in([fold(code), fold(trimmed)])
    }
}
