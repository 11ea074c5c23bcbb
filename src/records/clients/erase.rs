//! Erases a client: its texts, those of its locations, and those in the log of its changes. What
//! stays are ids, numbers, flags, instants, and who did what.

use entity::{change, client, client_location};
use migration::erased;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ColumnType, ConnectionTrait, EntityName,
    EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
};
use serde_json::{Map, Value as Json};

use super::write::lock;
use crate::{
    error::{Error, Result},
    records::changes::{self, Author, Log, LoggedRecord, Previous},
    storage::database::Database,
};

/// Changes whose texts are in memory at a time.
const BATCH: u64 = 100;
/// Texts that many records have in common, and that tell of nobody by themselves.
const COMMON: [&str; 4] = ["city", "state", "zip", "country"];

/// What was erased.
#[derive(Debug)]
pub struct Erased {
    /// The client as it is now.
    pub client: client::Model,
    /// How many locations it has.
    pub locations: usize,
    /// How many changes lost texts.
    pub changes: u64,
}

/// An erasure under way, in a transaction.
pub struct Erasure {
    client: client::Model,
    locations: Vec<client_location::Model>,
    /// The texts of the records, until they were told.
    texts: Option<Vec<String>>,
    has_texts: bool,
    /// The number of the last change whose texts were told.
    last: i64,
}

impl Erasure {
    /// Locks the client with this id.
    ///
    /// # Errors
    /// `NotFound`, or what the database reports.
    pub async fn begin(transaction: &impl ConnectionTrait, id: i64) -> Result<Self> {
        let client = lock(transaction, id)
            .await?
            .ok_or_else(|| Error::NotFound(format!("client with the id {id}")))?;
        let locations = client_location::Entity::find()
            .filter(client_location::COLUMN.client_id.eq(id))
            .order_by_asc(client_location::Column::Id)
            .lock_exclusive()
            .all(transaction)
            .await?;
        let mut fields = texts_of(&client);
        fields.extend(locations.iter().flat_map(texts_of));
        let has_texts = !fields.is_empty();
        fields.retain(|(name, _)| !COMMON.contains(name));
        let texts = fields.into_iter().map(|(_, text)| text).collect();
        Ok(Self {
            client,
            locations,
            has_texts,
            texts: Some(texts),
            last: 0,
        })
    }

    /// Some of the texts that will be erased, for whatever else holds them: those that tell of the
    /// client. None after the last ones.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn texts(
        &mut self,
        transaction: &impl ConnectionTrait,
    ) -> Result<Option<Vec<String>>> {
        if let Some(texts) = self.texts.take() {
            return Ok(Some(texts));
        }
        let columns = change::COLUMN;
        let batch: Vec<(i64, String, String)> = change::Entity::find()
            .select_only()
            .columns([change::Column::Id, change::Column::Old, change::Column::New])
            .filter(columns.client_id.eq(self.client.id))
            .filter(columns.id.gt(self.last))
            .order_by_asc(change::Column::Id)
            .limit(BATCH)
            .into_tuple()
            .all(transaction)
            .await?;
        let Some((last, ..)) = batch.last() else {
            return Ok(None);
        };
        self.last = *last;
        let fields = batch.iter().flat_map(|(_, old, new)| [old, new]);
        let texts = fields.flat_map(|fields| {
            let fields: Map<String, Json> = serde_json::from_str(fields).unwrap_or_default();
            fields.into_iter().filter_map(|(name, value)| match value {
                Json::String(text) if !text.is_empty() && !COMMON.contains(&name.as_str()) => {
                    Some(text)
                }
                _ => None,
            })
        });
        Ok(Some(texts.collect()))
    }

    /// Erases, and logs that. If there is nothing to erase, nothing is changed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn finish(
        self,
        database: &Database,
        transaction: &impl ConnectionTrait,
        author: &Author,
    ) -> Result<Erased> {
        let Self {
            client, locations, ..
        } = self;
        let changes = erase_logged(transaction, client.id).await?;
        let count = locations.len();
        if !self.has_texts && changes == 0 {
            return Ok(Erased {
                client,
                locations: count,
                changes,
            });
        }
        let mut previous: Vec<_> = locations.iter().map(Previous::of).collect();
        previous.push(Previous::of(&client));
        let now = changes::stamp(database, transaction, &previous).await?;
        let version = client.version + 1;
        let mut client = blank(client)?;
        (client.updated_at, client.version) = (Set(now), Set(version));
        let client = client.update(transaction).await?;
        for location in locations {
            let version = location.version + 1;
            let mut location = blank(location)?;
            (location.updated_at, location.version) = (Set(now), Set(version));
            location.update(transaction).await?;
        }
        let mut log = Log::new(author);
        log.erased(&client);
        log.write(transaction).await?;
        Ok(Erased {
            client,
            locations: count,
            changes,
        })
    }
}

/// The columns of text, and whether they may be null.
fn text_columns<E: EntityTrait>() -> impl Iterator<Item = (E::Column, bool)> {
    E::Column::iter().filter_map(|column| {
        let definition = column.def();
        let is_text = matches!(
            definition.get_column_type(),
            ColumnType::String(_) | ColumnType::Text
        );
        is_text.then(|| (column, definition.is_null()))
    })
}

/// The texts of a record, by the names of their columns.
fn texts_of<M: ModelTrait>(record: &M) -> Vec<(&'static str, String)> {
    let texts = text_columns::<M::Entity>().filter_map(|(column, _)| match record.get(column) {
        Value::String(Some(text)) if !text.is_empty() => Some((column.as_str(), text)),
        _ => None,
    });
    texts.collect()
}

/// The record without its texts: null, or empty where there must be one.
fn blank<M>(record: M) -> Result<<M::Entity as EntityTrait>::ActiveModel>
where
    M: LoggedRecord + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    let mut record = record.into_active_model();
    for (column, may_be_null) in text_columns::<M::Entity>() {
        let nothing = if may_be_null {
            None
        } else {
            Some(String::new())
        };
        record.try_set(column, Value::String(nothing))?;
    }
    Ok(record)
}

/// Takes the texts out of the log, and returns how many changes had some.
async fn erase_logged(db: &impl ConnectionTrait, client_id: i64) -> Result<u64> {
    let engine = db.get_database_backend();
    let [old, new] = ["old", "new"].map(|column| erased(engine, column));
    let (table, client) = (
        change::Entity.table_name(),
        change::Column::ClientId.as_str(),
    );
    let sql = format!(
        "UPDATE {table} SET old = {old}, new = {new} \
         WHERE {client} = {client_id} AND (old <> {old} OR new <> {new})"
    );
    let done = db.execute_raw(Statement::from_string(engine, sql)).await?;
    Ok(done.rows_affected())
}
