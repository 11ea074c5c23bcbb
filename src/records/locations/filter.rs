//! The filter of the list of locations.

use async_graphql::{ID, InputObject};
use entity::{
    client,
    client_location::{self as location, Column},
};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::SelectStatement,
};

use crate::records::{
    fold::fold,
    instant::DateTime,
    list::{self, FilterInput, OrderField, Terms},
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

    fn terms(&self, checks: &mut Checks) -> Terms {
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
        let code = |code: String| code.trim().to_ascii_uppercase();
        let of_salesperson = |id| Column::ClientId.in_subquery(clients_of(id));
        Terms::default()
            .equal(Column::Id, id)
            .equal(Column::NameKey, name.map(|name| fold(name.trim())))
            .equal(Column::ClientId, client_id)
            .other(salesperson.map(of_salesperson))
            .equal(Column::Country, country.map(code))
            .equal(Column::State, state.map(code))
            .from(Column::CreatedAt, created_from.as_ref())
            .to(Column::CreatedAt, created_to.as_ref())
            .from(Column::UpdatedAt, updated_from.as_ref())
            .to(Column::UpdatedAt, updated_to.as_ref())
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
