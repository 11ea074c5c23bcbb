//! The filter of the list of clients.

use async_graphql::{ID, InputObject};
use entity::client;
use sea_orm::{Condition, sea_query::Expr};

use crate::records::{
    fold::fold,
    instant::DateTime,
    list::{self, FilterInput, OrderField},
    validation::{self, Checks},
};

/// Which clients to list. All the conditions given must hold; one that is left out
/// or null does not restrict anything.
#[derive(InputObject, Clone, Default)]
pub struct ClientFilter {
    /// The client with this id.
    pub id: Option<ID>,
    /// Clients of exactly this name, ignoring case.
    pub name: Option<String>,
    /// Clients with exactly this account code, ignoring case.
    pub account_code: Option<String>,
    /// Clients of this salesperson.
    pub salesperson: Option<ID>,
    /// Clients of this case manager.
    pub case_manager: Option<ID>,
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
    /// Clients whose name or account code contains this text, ignoring case.
    pub search: Option<String>,
}

impl FilterInput for ClientFilter {
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
            // `FilterInput::select` adds it.
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

/// The condition that a client has this account code. Earlier versions stored a code with
/// the white space that was sent around it.
fn has_code(code: &str) -> Expr {
    let key = client::COLUMN.account_code_key;
    let trimmed = code.trim();
    if trimmed == code {
        key.eq(fold(code))
    } else {
        key.is_in([fold(code), fold(trimmed)])
    }
}
