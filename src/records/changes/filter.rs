//! The filter of the log of changes.

use async_graphql::{Enum, ID, InputObject};
use entity::change;
use sea_orm::{ColumnTrait, Condition};

use crate::records::{
    instant::DateTime,
    list::FilterInput,
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
    /// Made at this instant or later. To follow the log go on from a cursor instead: no
    /// index leads to an instant, and changes are numbered in another order than that of
    /// their instants.
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
}

/// By which way a change came.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(name = "Face", remote = "change::Face")]
pub enum ChangeFace {
    /// By a GraphQL mutation.
    Graphql,
    /// By a REST route.
    Rest,
}

impl FilterInput for ChangeFilter {
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
            .add_option(face.map(|face| columns.face.eq(change::Face::from(face))))
            .add_option(kind.map(|kind| columns.kind.eq(change::Kind::from(kind))))
            .add_option(from.map(|at| columns.at.gte(at.first_millisecond())))
            .add_option(to.map(|at| columns.at.lte(at.last_millisecond())))
    }
}
