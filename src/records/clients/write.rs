//! Creates and updates clients, and logs the changes.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::{client, client_location};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel,
    QuerySelect,
};

use super::{CreateClientInput, UpdateClientInput, input::fill, single_statement};
use crate::{
    error::{Error, Result},
    records::{
        changes::{self, Author, Log, Previous},
        locations,
        validation::Checks,
    },
    storage::database::Database,
};

/// Creates a client with its primary location, in one transaction, and returns both.
///
/// # Errors
/// `Validation` with every fault, or what the database reports.
pub async fn create(
    database: &Database,
    author: &Author,
    input: CreateClientInput,
    mut checks: Checks,
) -> Result<(client::Model, client_location::Model)> {
    let CreateClientInput {
        name,
        account_code,
        website,
        email_invoice,
        notes,
        has_invoice_reminders,
        show_location_on_invoice,
        salesperson,
        case_manager,
        primary_location,
    } = input;
    let mut client = client::ActiveModel {
        version: Set(1),
        ..Default::default()
    };
    let fields = UpdateClientInput {
        id: MaybeUndefined::Undefined,
        name: MaybeUndefined::Value(name),
        account_code: Some(account_code).into(),
        website: Some(website).into(),
        email_invoice: Some(email_invoice).into(),
        notes: Some(notes).into(),
        has_invoice_reminders: MaybeUndefined::Value(has_invoice_reminders.unwrap_or_default()),
        show_location_on_invoice: MaybeUndefined::Value(
            show_location_on_invoice.unwrap_or_default(),
        ),
        salesperson: Some(salesperson).into(),
        case_manager: Some(case_manager).into(),
        primary_location: MaybeUndefined::Undefined,
    };
    fill(&mut client, fields, &mut checks);
    let mut location = checks.within("primaryLocation", |checks| {
        locations::first_of_client(primary_location, checks)
    });
    checks.finish()?;

    if database.writer().get_database_backend() == DbBackend::Postgres {
        return single_statement::insert(database, author, client, location).await;
    }
    let transaction = database.begin().await?;
    let now = changes::stamp(database, &transaction, &[]).await?;
    (client.created_at, client.updated_at) = (Set(now), Set(now));
    (location.created_at, location.updated_at) = (Set(now), Set(now));
    let client = client.insert(&transaction).await?;
    location.client_id = Set(client.id);
    let location = location.insert(&transaction).await?;
    let mut log = Log::new(author);
    log.created(&client);
    log.created(&location);
    log.write(&transaction).await?;
    transaction.commit().await?;
    Ok((client, location))
}

/// An update of a client.
pub struct ClientUpdate {
    /// The client to change.
    pub id: i64,
    /// The fields that change.
    pub input: UpdateClientInput,
    /// The version that the client must have.
    pub expected_version: Option<i32>,
    /// Whether the caller wants to see the primary location, too.
    pub with_primary: bool,
}

/// Changes the fields of a client that the input gives, and those of its primary location,
/// in one transaction. If nothing changes, the versions stay.
///
/// # Errors
/// `NotFound`, `Conflict` if the client is not at the expected version,
/// `Validation` with every fault, or what the database reports.
pub async fn update(
    database: &Database,
    author: &Author,
    change: ClientUpdate,
    mut checks: Checks,
) -> Result<(client::Model, Option<client_location::Model>)> {
    if database.writer().shares_statements()
        && checks.may_write()
        && let Some(client) = single_statement::update(database, author, &change).await?
    {
        return Ok((client, None));
    }
    let ClientUpdate {
        id,
        mut input,
        expected_version,
        with_primary,
    } = change;
    let transaction = database.begin_alone(id).await?;
    let current = lock(&transaction, id)
        .await?
        .ok_or_else(|| Error::NotFound(format!("client with the id {id}")))?;

    let location_fields = std::mem::take(&mut input.primary_location);
    let mut client = current.clone().into_active_model();
    fill(&mut client, input, &mut checks);
    if location_fields.is_null() {
        checks.fault("primaryLocation", "is required and cannot be null");
    }
    let mut primary = None;
    let mut changed_primary = None;
    if with_primary || location_fields.is_value() {
        let location = locations::find_primary(&transaction, id).await?;
        if let MaybeUndefined::Value(fields) = location_fields {
            changed_primary = checks.within("primaryLocation", |checks| {
                locations::changed(location.clone(), fields, checks)
            });
        }
        primary = Some(location);
    }
    expect_version(expected_version, current.version, || {
        let own = differing(&client);
        let in_primary = changed_primary.iter().flat_map(differing);
        let in_primary = in_primary.map(|name| format!("primary_location.{name}"));
        own.chain(in_primary).collect()
    })?;
    checks.finish()?;

    if !client.is_changed() && changed_primary.is_none() {
        return Ok((current, primary));
    }
    let mut log = Log::new(author);
    let mut previous = vec![Previous::of(&current)];
    if changed_primary.is_some() {
        previous.extend(primary.iter().map(Previous::of));
    }
    let now = changes::stamp(database, &transaction, &previous).await?;
    let client = save(&transaction, now, &current, client).await?;
    log.updated(&current, &client);
    if let Some(mut changed) = changed_primary {
        changed.updated_at = Set(now);
        let changed = changed.update(&transaction).await?;
        if let Some(before) = primary.replace(changed.clone()) {
            log.updated(&before, &changed);
        }
    }
    log.write(&transaction).await?;
    transaction.commit().await?;
    Ok((client, primary))
}

/// The client with this id, locked until the transaction ends. Every transaction that
/// writes a client or one of its locations takes this lock first, so two of them never
/// deadlock over a client.
///
/// # Errors
/// If the database fails.
pub async fn lock(transaction: &impl ConnectionTrait, id: i64) -> Result<Option<client::Model>> {
    let client = client::Entity::find_by_id(id).lock_exclusive();
    Ok(client.one(transaction).await?)
}

/// Counts a change of a client's primary location, made `now`, as a change of the client,
/// whose REST body contains the location.
///
/// # Errors
/// If the database fails.
pub async fn touch(
    transaction: &impl ConnectionTrait,
    now: DateTime<Utc>,
    client: &client::Model,
) -> Result<()> {
    let unchanged = client.clone().into_active_model();
    save(transaction, now, client, unchanged).await?;
    Ok(())
}

/// Refuses a change that was made for another version of the record. `differs` names the
/// fields that the change would have set to other values.
///
/// # Errors
/// `Conflict`.
pub fn expect_version(
    expected: Option<i32>,
    current: i32,
    differs: impl FnOnce() -> Vec<String>,
) -> Result<()> {
    match expected {
        Some(expected) if expected != current => Err(Error::Conflict {
            current_version: current,
            differs: differs(),
        }),
        _ => Ok(()),
    }
}

/// The fields that `record` is about to set.
pub fn differing<A: ActiveModelTrait>(record: &A) -> impl Iterator<Item = String> + '_ {
    changes::set_fields(record).map(|(name, _)| name.to_owned())
}

async fn save(
    transaction: &impl ConnectionTrait,
    now: DateTime<Utc>,
    current: &client::Model,
    mut client: client::ActiveModel,
) -> Result<client::Model> {
    client.version = Set(current.version + 1);
    client.updated_at = Set(now);
    Ok(client.update(transaction).await?)
}
