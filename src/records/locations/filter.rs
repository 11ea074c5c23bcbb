//! The filter of the list of locations.

use async_graphql::{ID, InputObject};
use entity::{client, client_location as location};
use sea_orm::{
    Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::SelectStatement,
};

use crate::records::{
    fold::fold,
    instant::DateTime,
    list::{self, FilterInput, OrderField},
    validation::{self, Checks},
};

/// Which locations to list. All the conditions given must hold; one that is left
/// out or null does not restrict anything.
#[derive(InputObject, Clone, Default)]
pub struct ClientLocationFilter {
    /// The location with this id.
    pub id: Option<ID>,
    /// Locations of exactly this name, ignoring case.
    pub name: Option<String>,
    /// Locations of this client.
    pub client_id: Option<ID>,
    /// Locations of the clients of this salesperson.
    pub salesperson: Option<ID>,
    /// Locations in this country: an ISO 3166-1 alpha-2 code, ignoring case.
    pub country: Option<String>,
    /// Locations in this state or province, ignoring case.
    pub state: Option<String>,
    /// Created at this instant or later. Who asks again and again with the largest
    /// `createdAt` that was seen misses nothing if all pages are read in turn: in GraphQL
    /// while `hasNextPage` says so, in REST until one is short. The list shows what was
    /// created once nothing earlier can follow: at once when nobody is writing, otherwise
    /// when the longest write under way has ended, after 7 seconds at most (10 if its
    /// gateway died). To follow its changes, too, give `updatedFrom` as well.
    pub created_from: Option<DateTime>,
    /// Created at this instant or earlier.
    pub created_to: Option<DateTime>,
    /// Last changed at this instant or later. Who asks again and again with the largest
    /// `updatedAt` that was seen misses nothing if all pages are read in turn: in GraphQL
    /// while `hasNextPage` says so, in REST until one is short. The list shows a change
    /// once no earlier one can follow: at once when nobody is writing, otherwise when the
    /// longest write under way has ended, after 7 seconds at most (10 if its gateway
    /// died). A record that is asked for by its id shows it always at once.
    pub updated_from: Option<DateTime>,
    /// Last changed at this instant or earlier.
    pub updated_to: Option<DateTime>,
    /// Locations whose name contains this text, ignoring case.
    pub search: Option<String>,
}

impl FilterInput for ClientLocationFilter {
    type Entity = location::Entity;

    fn search(&self) -> Option<&str> {
        self.search.as_deref()
    }

    /// One name may belong to very many locations: "Head office".
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
            // `FilterInput::select` adds it.
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
