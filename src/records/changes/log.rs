//! Writes the log: a row for each record that a mutation creates or changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{
    change::{self, Face, Kind},
    client, client_location as location,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{self, NotSet, Set},
    ConnectionTrait, EntityTrait, IdenStatic, Iterable, ModelTrait, Value,
};
use serde_json::{Map, Value as Json};

use crate::error::Result;

/// Who makes a change.
#[derive(Clone, Debug)]
pub struct Author {
    /// The user that the token was made for.
    pub user: Arc<str>,
    /// The face by which the change comes.
    pub face: Face,
}

/// A record whose changes are logged.
pub trait LoggedRecord: ModelTrait {
    /// The kind of change that creates it.
    const CREATED: Kind;
    /// The kind of change that updates it.
    const UPDATED: Kind;

    /// The id of its client, and its own if it is a location.
    fn ids(&self) -> (i64, Option<i64>);

    /// When it was last changed.
    fn updated_at(&self) -> DateTime<Utc>;
}

impl LoggedRecord for client::Model {
    const CREATED: Kind = Kind::ClientCreated;
    const UPDATED: Kind = Kind::ClientUpdated;

    fn ids(&self) -> (i64, Option<i64>) {
        (self.id, None)
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

impl LoggedRecord for location::Model {
    const CREATED: Kind = Kind::LocationCreated;
    const UPDATED: Kind = Kind::LocationUpdated;

    fn ids(&self) -> (i64, Option<i64>) {
        (self.client_id, Some(self.id))
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

/// Whether callers set this column. The others are derived from those, or move with every
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

/// The fields as the log stores them: a JSON object by the names of the columns.
pub fn logged(fields: impl Iterator<Item = (&'static str, Value)>) -> String {
    let members = fields.map(|(name, value)| (name.to_owned(), json(value)));
    Json::Object(members.collect::<Map<_, _>>()).to_string()
}

/// A value of a field. The fields of clients and locations have no other types: see the test.
fn json(value: Value) -> Json {
    match value {
        Value::Bool(Some(flag)) => flag.into(),
        Value::Int(Some(number)) => number.into(),
        Value::BigInt(Some(number)) => number.into(),
        Value::String(Some(text)) => text.into(),
        _ => Json::Null,
    }
}

/// The old values of a record that is new.
pub const NOTHING: &str = "{}";

/// The rows of one transaction, in the order of its changes.
pub struct Log<'a> {
    author: &'a Author,
    rows: Vec<change::ActiveModel>,
}

impl<'a> Log<'a> {
    /// An empty log, with this author.
    #[must_use]
    pub fn new(author: &'a Author) -> Self {
        Self {
            author,
            rows: Vec::new(),
        }
    }

    /// Adds the creation of `record`.
    pub fn created<M: LoggedRecord>(&mut self, record: &M) {
        self.add(
            record,
            M::CREATED,
            NOTHING.to_owned(),
            logged(fields(record)),
        );
    }

    /// Adds the fields in which a record differs before and after a change, if there are any.
    pub fn updated<M: LoggedRecord>(&mut self, before: &M, after: &M) {
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

    /// Adds the erasure of a client.
    pub fn erased(&mut self, client: &client::Model) {
        let nothing = || NOTHING.to_owned();
        self.add(client, Kind::ClientErased, nothing(), nothing());
    }

    fn add(&mut self, record: &impl LoggedRecord, kind: Kind, old: String, new: String) {
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

    /// Writes the rows. It must be the last statement before the commit, but for the answer
    /// that is stored with an idempotency key: until then no reader gets beyond the numbers of
    /// these rows.
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

/// The columns of a row that is inserted as a part of a larger statement.
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

#[cfg(test)]
mod tests {
    use sea_orm::{ColumnTrait, ColumnType};

    use super::*;

    /// A field of another type would be null in the log.
    #[test]
    fn the_log_knows_the_types_of_all_fields() {
        fn check<E: EntityTrait>() {
            for column in E::Column::iter().filter(|column| is_field(column.as_str())) {
                let definition = column.def();
                let kind = definition.get_column_type();
                let is_known = matches!(
                    kind,
                    ColumnType::Boolean
                        | ColumnType::Integer
                        | ColumnType::BigInteger
                        | ColumnType::String(_)
                        | ColumnType::Text
                );
                assert!(is_known, "{} is {kind:?}", column.as_str());
            }
        }
        check::<entity::client::Entity>();
        check::<entity::client_location::Entity>();
    }
}
