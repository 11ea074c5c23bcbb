//! The filter of the log of changes.

use async_graphql::{Enum, ID, InputObject};
use chrono::{DateTime as Chrono, Utc};
use entity::change;
use sea_orm::{ColumnTrait, Condition};

use crate::records::{
    instant::DateTime,
    validation::{self, Checks},
};

/// Which changes to list. All the conditions given must hold; one that is left out or
/// null does not restrict anything.
#[derive(InputObject, Clone, Default)]
pub struct ChangeFilter {
    /// Changes of this client and of its locations.
    pub client_id: Option<ID>,
    /// Changes by the user of exactly this name.
    pub by: Option<String>,
    /// Changes that came by this way.
    pub face: Option<ChangeFace>,
    /// Changes of this kind.
    pub kind: Option<ChangeKind>,
    /// Made at this instant or later. To follow the log go on from a cursor instead: changes
    /// are numbered in another order than that of their instants.
    pub from: Option<DateTime>,
    /// Made at this instant or earlier.
    pub to: Option<DateTime>,
}

/// What happened to which kind of record.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "change::Kind")]
pub enum ChangeKind {
    /// A client was created.
    ClientCreated,
    /// Fields of a client were changed.
    ClientUpdated,
    /// A location was created, perhaps along with its client.
    LocationCreated,
    /// Fields of a location were changed.
    LocationUpdated,
    /// The texts of a client, of its locations and of their history were erased.
    ClientErased,
}

/// By which way a change came.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(name = "Face", remote = "change::Face")]
pub enum ChangeFace {
    /// By a GraphQL mutation.
    Graphql,
    /// By a REST route.
    Rest,
    /// By a command of the operator's.
    Command,
}

/// Which changes are wanted, for the database.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What an index finds.
    pub(super) indexed: Condition,
    /// What each change is looked at for.
    pub(super) compared: Condition,
    pub(super) from: Option<Chrono<Utc>>,
    pub(super) to: Option<Chrono<Utc>>,
}

impl ChangeFilter {
    /// What this asks for. Adds faults of its values to `checks`.
    pub fn select(&self, checks: &mut Checks) -> Wanted {
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
        let client_id = client_id.map(|id| columns.client_id.eq(id));
        let by = by.map(|user| columns.user_name.eq(user));
        // One index at most finds the changes: that of clients rather than that of users.
        let (indexed, by) = if client_id.is_some() {
            (client_id, by)
        } else {
            (by, None)
        };
        let from = from.map(DateTime::first_millisecond);
        let to = to.map(DateTime::last_millisecond);
        Wanted {
            indexed: Condition::all().add_option(indexed),
            compared: Condition::all()
                .add_option(by)
                .add_option(face.map(|face| columns.face.eq(change::Face::from(face))))
                .add_option(kind.map(|kind| columns.kind.eq(change::Kind::from(kind))))
                .add_option(from.map(|at| columns.at.gte(at)))
                .add_option(to.map(|at| columns.at.lte(at))),
            from,
            to,
        }
    }
}
