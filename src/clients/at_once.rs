//! Writes of clients as single statements, changes included, which PostgreSQL can run
//! and SQLite cannot. They save three round trips, during which a client is locked and
//! the connection serves nobody else.
//!
//! They are text: putting such statements together from their parts took the gateway as
//! long as all else that it does for a write.

use chrono::{DateTime, Utc};
use entity::{change::Kind, client, client_location};
use sea_orm::{
    ActiveEnum, ActiveModelTrait,
    ActiveValue::{self, Set, Unchanged},
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable,
    QueryResult, Statement, TryIntoModel, Value,
};

use super::write::{ClientUpdate, fill};
use crate::{
    changes::{self, Author},
    database::Database,
    error::Result,
    statements::together::{self, NUMBER, SETS},
    validation::Checks,
};

/// Inserts a client and its location, which are created at the instant `at`. All of
/// their columns but the ids are known before, so only those are read back.
///
/// # Errors
/// What the database reports.
pub async fn insert(
    database: &Database,
    author: &Author,
    at: DateTime<Utc>,
    mut client: client::ActiveModel,
    mut location: client_location::ActiveModel,
) -> Result<(client::Model, client_location::Model)> {
    const CLIENT: &str = "new_client";
    const LOCATION: &str = "new_location";
    const CLIENT_ID: &str = "(SELECT id FROM new_client)";
    const LOCATION_ID: &str = "(SELECT id FROM new_location)";

    let mut parameters = Parameters::default();
    let (client_columns, client_values) = columns_and_values(&client, &mut parameters);
    let (location_columns, location_values) = columns_and_values(&location, &mut parameters);
    let by = LoggedBy::new(author, at, &mut parameters);
    let nothing = parameters.add(changes::NOTHING);
    let new_client = parameters.add(logged(&client));
    let new_location = parameters.add(logged(&location));
    let of_client = by.row(
        &parameters.add(Kind::ClientCreated.to_value()),
        [CLIENT_ID, "NULL::bigint"],
        [&nothing, &new_client],
    );
    let of_location = by.row(
        &parameters.add(Kind::LocationCreated.to_value()),
        [CLIENT_ID, LOCATION_ID],
        [&nothing, &new_location],
    );
    let log_columns = log_columns();
    let sql = format!(
        "WITH {CLIENT} AS ( \
             INSERT INTO client ({client_columns}) VALUES ({client_values}) RETURNING id \
         ), {LOCATION} AS ( \
             INSERT INTO client_location ({location_columns}, client_id) \
             VALUES ({location_values}, {CLIENT_ID}) RETURNING id \
         ), log AS ( \
             INSERT INTO change ({log_columns}) VALUES ({of_client}), ({of_location}) \
         ) SELECT {CLIENT_ID} AS client_id, {LOCATION_ID} AS location_id"
    );
    let row = parameters.query(database, sql).await?;
    let row = row.ok_or(DbErr::RecordNotInserted)?;
    client.id = Set(row.try_get("", "client_id")?);
    location.client_id = client.id.clone();
    location.id = Set(row.try_get("", "location_id")?);
    Ok((client.try_into_model()?, location.try_into_model()?))
}

/// Changes the columns of a client; none if that cannot be done, for whatever reason,
/// which is then found out by reading the client first.
///
/// The client is locked before anything else happens. So the old values are those that
/// this very change replaces, and the changes of a client are numbered in the order in
/// which they are committed. One statement may do this for several requests; none of
/// them waits for the lock of another one's client: who does not get it is left out. So
/// is the second one who changes the same client.
///
/// # Errors
/// What the database reports.
pub async fn update(
    database: &Database,
    author: &Author,
    change: &ClientUpdate,
) -> Result<Option<client::Model>> {
    let ClientUpdate {
        id,
        input,
        expected_version,
        with_primary,
    } = change;
    if *with_primary || !input.primary_location.is_undefined() {
        return Ok(None);
    }
    let mut client = client::ActiveModel {
        id: Unchanged(*id),
        ..Default::default()
    };
    let mut checks = Checks::new("");
    fill(&mut client, input.clone(), &mut checks);
    if !checks.may_write() {
        return Ok(None);
    }

    let mut asked = AskedValues::default();
    let id = asked.add(*id);
    let mut columns = Vec::new();
    let mut changes = Vec::new();
    let mut differs = Vec::new();
    for (name, value) in set_columns(&client) {
        let value = asked.add(value);
        columns.push(format!("client.\"{name}\", "));
        changes.push(format!("\"{name}\" = before.{value}"));
        differs.push(format!("client.\"{name}\" IS DISTINCT FROM before.{value}"));
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let (columns, changes) = (columns.concat(), changes.join(", "));
    let differs = differs.join(" OR ");
    let mut is_as_expected = String::new();
    if let Some(version) = expected_version {
        is_as_expected = format!("AND client.version = before.{}", asked.add(*version));
    }
    let now = asked.add(database.clock.now());
    let user = asked.add(&*author.user);
    let face = asked.add(author.face.to_value());
    let kind = Kind::ClientUpdated.to_value();
    let logged_of = |row: &str| {
        let fields = changes::set_fields(&client);
        let fields = fields.map(|(name, _)| format!("'{name}', {row}.\"{name}\""));
        format!(
            "json_build_object({})::text",
            fields.collect::<Vec<_>>().join(", ")
        )
    };
    let (old, new) = (logged_of("before"), logged_of("after"));
    let log_columns = log_columns();
    let Some(sets) = together::table(asked.0.iter()) else {
        return Ok(None);
    };
    // Time never stands still: see `Clock::after`.
    let sql = format!(
        "WITH before AS ( \
             SELECT client.id, {columns} {SETS}.* FROM {sets} JOIN client ON client.id = {SETS}.{id} \
             FOR NO KEY UPDATE OF client SKIP LOCKED \
         ), after AS ( \
             UPDATE client SET {changes}, updated_at = before.{now}, version = client.version + 1 \
             FROM before WHERE client.id = before.id \
             AND client.updated_at < before.{now} {is_as_expected} AND ({differs}) \
             RETURNING client.*, before.{NUMBER} \
         ), log AS ( \
             INSERT INTO change ({log_columns}) \
             SELECT before.{now}, before.{user}, before.{face}, '{kind}', after.id, \
             NULL::bigint, {old}, {new} FROM before JOIN after USING ({NUMBER}) \
         ) SELECT * FROM after"
    );
    let rows = database.writer().write_together(sql, asked.0).await?;
    let client = rows
        .first()
        .map(|row| client::Model::from_query_result(row, ""));
    Ok(client.transpose()?)
}

/// The values that a request asks for, of several by one statement, which knows them by
/// their columns.
#[derive(Default)]
struct AskedValues(Vec<Value>);

impl AskedValues {
    /// Adds a value, and returns its column.
    fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("\"{}\"", self.0.len())
    }
}

/// The values of a statement, which knows them by their numbers.
#[derive(Default)]
struct Parameters(Vec<Value>);

impl Parameters {
    /// Adds a value, and returns what stands for it.
    fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// Runs the statement and returns its row, if there is one.
    async fn query(self, database: &Database, sql: String) -> Result<Option<QueryResult>> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, self.0);
        Ok(database.writer().query_one_raw(statement).await?)
    }
}

/// What the rows that a statement adds to the log have in common.
struct LoggedBy {
    at: String,
    user: String,
    face: String,
}

impl LoggedBy {
    fn new(author: &Author, at: DateTime<Utc>, parameters: &mut Parameters) -> Self {
        Self {
            at: parameters.add(at),
            user: parameters.add(&*author.user),
            face: parameters.add(author.face.to_value()),
        }
    }

    /// The values of a row, in the order of [`changes::COLUMNS`].
    fn row(
        &self,
        kind: &str,
        [client_id, location_id]: [&str; 2],
        [old, new]: [&str; 2],
    ) -> String {
        let Self { at, user, face } = self;
        [at, user, face, kind, client_id, location_id, old, new].join(", ")
    }
}

fn log_columns() -> String {
    changes::COLUMNS
        .map(|column| format!("\"{}\"", column.as_str()))
        .join(", ")
}

/// What a record is about to set, as the log keeps it.
fn logged(record: &impl ActiveModelTrait) -> String {
    changes::logged(changes::set_fields(record))
}

/// The columns of a record that have a value to write.
fn set_columns<A: ActiveModelTrait>(record: &A) -> impl Iterator<Item = (&'static str, Value)> {
    <A::Entity as EntityTrait>::Column::iter().filter_map(|column| match record.get(column) {
        ActiveValue::Set(value) => Some((column.as_str(), value)),
        _ => None,
    })
}

/// The same as two lists.
fn columns_and_values(
    record: &impl ActiveModelTrait,
    parameters: &mut Parameters,
) -> (String, String) {
    let (columns, values): (Vec<_>, Vec<_>) = set_columns(record)
        .map(|(name, value)| (format!("\"{name}\""), parameters.add(value)))
        .unzip();
    (columns.join(", "), values.join(", "))
}
