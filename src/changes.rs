//! The log of changes: what each mutation did to which record, for whom and by which
//! face, written in the mutation's own transaction. How its numbers come to be such
//! that one can resume from any of them is told in
//! `migration/src/m20261123_000005_create_changes.rs`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{
    change::{self, Face, Kind},
    client, client_location as location,
};
use sea_orm::{
    ActiveEnum, ActiveModelTrait,
    ActiveValue::{self, NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, Iterable,
    ModelTrait, Statement, Value,
    sea_query::Expr,
};
use serde_json::{Map, Value as Json};

use crate::{
    database::Database,
    error::Result,
    graphql::change::ChangeFilter,
    paging::{
        self, Filter, Listed, OrderField, Page, PageRequest, Selection, of_clients::OfClient,
    },
    tally::{Tallies, Tally},
    validation::{self, Checks},
};

/// Who makes a change.
#[derive(Clone, Debug)]
pub struct Author {
    /// The user that the token was made for.
    pub user: Arc<str>,
    /// By which way.
    pub face: Face,
}

/// A record whose changes are logged.
pub trait Logged: ModelTrait {
    /// What its creation is called.
    const CREATED: Kind;
    /// What a change to it is called.
    const UPDATED: Kind;

    /// Its client, and itself if it is a location.
    fn ids(&self) -> (i64, Option<i64>);

    /// When it was last changed.
    fn updated_at(&self) -> DateTime<Utc>;
}

impl Logged for client::Model {
    const CREATED: Kind = Kind::ClientCreated;
    const UPDATED: Kind = Kind::ClientUpdated;

    fn ids(&self) -> (i64, Option<i64>) {
        (self.id, None)
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

impl Logged for location::Model {
    const CREATED: Kind = Kind::LocationCreated;
    const UPDATED: Kind = Kind::LocationUpdated;

    fn ids(&self) -> (i64, Option<i64>) {
        (self.client_id, Some(self.id))
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Whether callers set this column. The others follow from those, or move with every
/// change.
fn is_field(column: &str) -> bool {
    !matches!(
        column,
        "id" | "client_id"
            | "name_key"
            | "account_code_key"
            | "created_at"
            | "updated_at"
            | "version"
    )
}

/// The fields that `record` is about to set, by the names of their columns.
pub fn set_fields<A: ActiveModelTrait>(
    record: &A,
) -> impl Iterator<Item = (&'static str, Value)> + '_ {
    <A::Entity as EntityTrait>::Column::iter().filter_map(|column| match record.get(column) {
        ActiveValue::Set(value) if is_field(column.as_str()) => Some((column.as_str(), value)),
        _ => None,
    })
}

/// The fields of a stored record, by the names of their columns.
fn fields<M: ModelTrait>(record: &M) -> impl Iterator<Item = (&'static str, Value)> + '_ {
    <M::Entity as EntityTrait>::Column::iter()
        .filter(|column| is_field(column.as_str()))
        .map(|column| (column.as_str(), record.get(column)))
}

/// Fields as the log keeps them.
pub fn logged(fields: impl Iterator<Item = (&'static str, Value)>) -> String {
    let json = |value| match value {
        Value::Bool(Some(flag)) => flag.into(),
        Value::BigInt(Some(number)) => number.into(),
        Value::String(Some(text)) => text.into(),
        _ => Json::Null,
    };
    let members = fields.map(|(name, value)| (name.to_owned(), json(value)));
    Json::Object(members.collect::<Map<_, _>>()).to_string()
}

/// What the log keeps as the old values of a record that is new.
pub const NOTHING: &str = "{}";

/// The changes of one transaction, in their order.
pub struct Log<'a> {
    author: &'a Author,
    rows: Vec<change::ActiveModel>,
}

impl<'a> Log<'a> {
    /// Nothing yet, by this author.
    #[must_use]
    pub fn new(author: &'a Author) -> Self {
        Self {
            author,
            rows: Vec::new(),
        }
    }

    /// Adds that `record` was created.
    pub fn created<M: Logged>(&mut self, record: &M) {
        self.add(
            record,
            M::CREATED,
            NOTHING.to_owned(),
            logged(fields(record)),
        );
    }

    /// Adds what differs between a record before and after a change, unless nothing
    /// does.
    pub fn updated<M: Logged>(&mut self, before: &M, after: &M) {
        let differing = || {
            fields(before)
                .zip(fields(after))
                .filter(|(old, new)| old != new)
        };
        if differing().next().is_some() {
            let old = logged(differing().map(|(old, _)| old));
            let new = logged(differing().map(|(_, new)| new));
            self.add(after, M::UPDATED, old, new);
        }
    }

    fn add(&mut self, record: &impl Logged, kind: Kind, old: String, new: String) {
        let (client_id, location_id) = record.ids();
        self.rows.push(change::ActiveModel {
            id: NotSet,
            at: Set(record.updated_at()),
            user_name: Set(self.author.user.to_string()),
            face: Set(self.author.face),
            kind: Set(kind),
            client_id: Set(client_id),
            location_id: Set(location_id),
            old: Set(old),
            new: Set(new),
        });
    }

    /// Writes the changes. It comes last before the commit: readers of the log wait for
    /// whoever has begun to write to it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write(self, transaction: &impl ConnectionTrait) -> Result<()> {
        if !self.rows.is_empty() {
            let rows = change::Entity::insert_many(self.rows);
            rows.exec_without_returning(transaction).await?;
        }
        Ok(())
    }
}

/// The columns of a row that a larger statement adds.
pub const COLUMNS: [change::Column; 8] = [
    change::Column::At,
    change::Column::UserName,
    change::Column::Face,
    change::Column::Kind,
    change::Column::ClientId,
    change::Column::LocationId,
    change::Column::Old,
    change::Column::New,
];

/// The values of a row that a larger statement adds, in the order of [`COLUMNS`].
#[must_use]
pub fn values(
    author: &Author,
    at: DateTime<Utc>,
    kind: Kind,
    ids: [Expr; 2],
    [old, new]: [Expr; 2],
) -> [Expr; 8] {
    let [client_id, location_id] = ids;
    [
        Expr::val(at),
        Expr::val(&*author.user),
        Expr::val(author.face.to_value()),
        Expr::val(kind.to_value()),
        client_id,
        location_id,
        old,
        new,
    ]
}

/// Reads a page of the rows of `selection`, up to the horizon: no row with a smaller
/// number appears after one that was read.
///
/// # Errors
/// If the database fails.
pub async fn page(
    database: &Database,
    mut selection: Selection,
    request: &PageRequest,
) -> Result<Page<change::Model>> {
    // By a statement of its own: the one that reads the rows must begin after it.
    if let Some(horizon) = horizon(&database.reader).await? {
        selection.condition = selection.condition.add(change::COLUMN.id.lte(horizon));
    }
    paging::page_of_models::<change::Entity>(database, &selection, request).await
}

/// The number up to which all changes are settled; none where that holds for all that
/// can be read.
async fn horizon(db: &impl ConnectionTrait) -> Result<Option<i64>> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT change_horizon() AS id");
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the horizon".to_owned()))?;
    Ok(Some(row.try_get("", "id")?))
}

impl Listed for change::Entity {
    const ID: change::Column = change::Column::Id;

    /// It has one order: the one in which it came to be.
    fn sort_column(_field: OrderField) -> Option<change::Column> {
        None
    }

    fn id(row: &change::Model) -> i64 {
        row.id
    }

    fn tally(_tallies: &Tallies) -> Option<&Arc<Tally>> {
        None
    }
}

impl OfClient for change::Entity {
    const CLIENT_ID: change::Column = change::Column::ClientId;

    fn client_id(row: &change::Model) -> i64 {
        row.client_id
    }
}

impl Filter for ChangeFilter {
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
            .add_option(face.map(|face| columns.face.eq(Face::from(face))))
            .add_option(kind.map(|kind| columns.kind.eq(Kind::from(kind))))
            .add_option(from.map(|at| columns.at.gte(at.first_millisecond())))
            .add_option(to.map(|at| columns.at.lte(at.last_millisecond())))
    }
}
