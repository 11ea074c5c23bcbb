//! Creates and updates clients, log included, by single statements, which PostgreSQL can
//! run and SQLite cannot. They save three round trips, during which a client is locked and
//! the connection serves no other request.
//!
//! The statements are formatted as text: building them from parts took the gateway as long
//! as everything else in a write.

use async_graphql::MaybeUndefined;
use entity::{change::Kind, client, client_location};
use sea_orm::{
    ActiveEnum, ActiveModelTrait,
    ActiveValue::{self, Set, Unchanged},
    DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable, TryIntoModel, Value,
};

use super::{UpdateClientInput, input::fill, write::ClientUpdate};
use crate::{
    error::Result,
    records::{
        changes::{self, Author},
        validation::Checks,
    },
    storage::{
        database::Database,
        statements::value_sets::{self, NUMBER, SETS},
    },
};

/// Inserts a client and its location. All their columns are known before, except the ids
/// and the instant of creation, so only those are read back. One statement may do this for
/// several requests, all at one instant.
///
/// # Errors
/// What the database reports.
pub async fn insert(
    database: &Database,
    author: &Author,
    mut client: client::ActiveModel,
    mut location: client_location::ActiveModel,
) -> Result<(client::Model, client_location::Model)> {
    let mut asked = AskedValues::default();
    let given = asked.add(database.clock.given());
    let (client_columns, client_values) = columns_and_values(&client, &mut asked);
    let (location_columns, location_values) = columns_and_values(&location, &mut asked);
    let user = asked.add(&*author.user);
    let face = asked.add(author.face.to_value());
    let new_client = asked.add(logged(&client));
    let new_location = asked.add(logged(&location));
    let client_created = Kind::ClientCreated.to_value();
    let location_created = Kind::LocationCreated.to_value();
    let nothing = changes::NOTHING;
    let log_columns = log_columns();
    let sets = value_sets::table(asked.0.iter());
    let sets = sets.ok_or_else(|| DbErr::Type("a column of an unknown type".to_owned()))?;
    // Ids are taken first, so that each request finds its own.
    let sql = format!(
        "WITH record AS ( \
             SELECT nextval('client_id_seq') AS client_id, \
             nextval('client_location_id_seq') AS location_id, {SETS}.* FROM {sets} \
         ), stamp AS MATERIALIZED ( \
             SELECT change_stamp(max({given}), NULL) AS at FROM record \
         ), new_client AS ( \
             INSERT INTO client (id, {client_columns}, created_at, updated_at) \
             SELECT client_id, {client_values}, stamp.at, stamp.at FROM record CROSS JOIN stamp \
         ), new_location AS ( \
             INSERT INTO client_location \
             (id, client_id, {location_columns}, created_at, updated_at) \
             SELECT location_id, client_id, {location_values}, stamp.at, stamp.at \
             FROM record CROSS JOIN stamp \
         ), log AS ( \
             INSERT INTO change ({log_columns}) \
             SELECT stamp.at, {user}, {face}, kind, client_id, change.location_id, '{nothing}', new \
             FROM record CROSS JOIN stamp CROSS JOIN LATERAL (VALUES \
                 ('{client_created}', NULL::bigint, {new_client}), \
                 ('{location_created}', record.location_id, {new_location}) \
             ) AS change (kind, location_id, new) \
         ) SELECT client_id, location_id, stamp.at, {NUMBER} FROM record CROSS JOIN stamp"
    );
    let rows = database.writer().write_batched(sql, asked.0).await?;
    let row = rows.first().ok_or(DbErr::RecordNotInserted)?;
    client.id = Set(row.try_get("", "client_id")?);
    location.client_id = client.id.clone();
    location.id = Set(row.try_get("", "location_id")?);
    let now = row.try_get("", "at")?;
    (client.created_at, client.updated_at) = (Set(now), Set(now));
    (location.created_at, location.updated_at) = (Set(now), Set(now));
    Ok((client.try_into_model()?, location.try_into_model()?))
}

/// Changes the columns of a client; none if this statement could not, for whatever reason.
/// The caller finds the reason by reading the client first. Not for a transaction: readers
/// of the log would wait for its end even if nothing was logged.
///
/// The client is locked before anything else happens. So the old values are those that this
/// change replaces, and the changes of a client are numbered in the order in which they are
/// committed. One statement may do this for several requests. It does not wait for locks: a
/// request whose client is locked is left out, and so is the second request for one client.
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
    if !checks.may_write() || is_rewritten(input, &client) {
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
    let given = asked.add(database.clock.given());
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
    // By their names: a gateway may run while a column is added.
    let all = client::Column::iter().map(|column| format!("client.\"{}\"", column.as_str()));
    let all = all.collect::<Vec<_>>().join(", ");
    let log_columns = log_columns();
    let Some(sets) = value_sets::table(asked.0.iter()) else {
        return Ok(None);
    };
    // The stamp depends on the rows of the locked clients, so it is taken after all of them
    // are locked, and not at all if none is.
    let sql = format!(
        "WITH before AS ( \
             SELECT client.id, client.updated_at AS previous, {columns} {SETS}.* \
             FROM {sets} JOIN client ON client.id = {SETS}.{id} \
             FOR NO KEY UPDATE OF client SKIP LOCKED \
         ), stamp AS MATERIALIZED ( \
             SELECT change_stamp(max({given}), max(previous)) AS at FROM before \
             HAVING count(*) > 0 \
         ), after AS ( \
             UPDATE client SET {changes}, updated_at = stamp.at, version = client.version + 1 \
             FROM before CROSS JOIN stamp WHERE client.id = before.id \
             {is_as_expected} AND ({differs}) \
             RETURNING {all}, before.{NUMBER} \
         ), log AS ( \
             INSERT INTO change ({log_columns}) \
             SELECT after.updated_at, before.{user}, before.{face}, '{kind}', after.id, \
             NULL::bigint, {old}, {new} FROM before JOIN after USING ({NUMBER}) \
         ) SELECT * FROM after"
    );
    let rows = database.writer().write_batched(sql, asked.0).await?;
    let client = rows
        .first()
        .map(|row| client::Model::from_query_result(row, ""));
    Ok(client.transpose()?)
}

/// Whether a text of the input would be stored in another form. If the client has it as it
/// was sent, by a rule of an earlier version, then it stays: only reading the client can
/// tell.
fn is_rewritten(input: &UpdateClientInput, client: &client::ActiveModel) -> bool {
    let differs = |sent: &MaybeUndefined<String>, stored: Option<&str>| {
        let sent = sent.value();
        sent.is_some_and(|sent| Some(sent.as_str()) != stored)
    };
    // Every field is named, so that a new text cannot be forgotten.
    let UpdateClientInput {
        id: _,
        name,
        account_code,
        website,
        email_invoice,
        notes,
        has_invoice_reminders: _,
        show_location_on_invoice: _,
        salesperson: _,
        case_manager: _,
        primary_location: _,
    } = input;
    differs(name, client.name.try_as_ref().map(String::as_str))
        || [
            (account_code, &client.account_code),
            (website, &client.website),
            (email_invoice, &client.email_invoice),
            (notes, &client.notes),
        ]
        .into_iter()
        .any(|(sent, column)| differs(sent, column.try_as_ref().and_then(Option::as_deref)))
}

/// The values of one request in a statement that may serve several. The statement refers to
/// them by their columns.
#[derive(Default)]
struct AskedValues(Vec<Value>);

impl AskedValues {
    /// Adds a value, and returns its column.
    fn add(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("\"{}\"", self.0.len())
    }
}

fn log_columns() -> String {
    changes::COLUMNS
        .map(|column| format!("\"{}\"", column.as_str()))
        .join(", ")
}

/// What a record is about to set, as the log stores it.
fn logged(record: &impl ActiveModelTrait) -> String {
    changes::logged(changes::set_fields(record))
}

/// The columns that a record is about to set, with their values.
fn set_columns<A: ActiveModelTrait>(record: &A) -> impl Iterator<Item = (&'static str, Value)> {
    <A::Entity as EntityTrait>::Column::iter().filter_map(|column| match record.get(column) {
        ActiveValue::Set(value) => Some((column.as_str(), value)),
        _ => None,
    })
}

/// The names and the values of these columns, as two lists.
fn columns_and_values(record: &impl ActiveModelTrait, asked: &mut AskedValues) -> (String, String) {
    let (columns, values): (Vec<_>, Vec<_>) = set_columns(record)
        .map(|(name, value)| (format!("\"{name}\""), asked.add(value)))
        .unzip();
    (columns.join(", "), values.join(", "))
}
