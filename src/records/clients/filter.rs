//! The filter of the list of clients.

use async_graphql::{ID, InputObject};
use entity::client::{self, Column};

use crate::records::{
    fold::fold,
    instant::DateTime,
    list::{self, FilterInput, OrderField, Terms},
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

    fn terms(&self, checks: &mut Checks) -> Terms {
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
        Terms::default()
            .equal(Column::Id, id)
            // Names are stored without surrounding white space.
            .equal(Column::NameKey, name.map(|name| fold(name.trim())))
            .any_of(
                Column::AccountCodeKey,
                account_code.map(|code| keys_of(&code)),
            )
            .equal(Column::Salesperson, salesperson)
            .equal(Column::CaseManager, case_manager)
            .from(Column::CreatedAt, created_from.as_ref())
            .to(Column::CreatedAt, created_to.as_ref())
            .from(Column::UpdatedAt, updated_from.as_ref())
            .to(Column::UpdatedAt, updated_to.as_ref())
    }
}

/// The keys of this account code. Earlier versions stored a code with the white space that was
/// sent around it.
fn keys_of(code: &str) -> Vec<String> {
    let mut keys = vec![fold(code), fold(code.trim())];
    keys.dedup();
    keys
}
