//! Creates and updates locations, and logs the changes.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::client_location as location;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, IntoActiveModel};

use super::{
    CreateClientLocationInput, CreatePrimaryLocationInput, UpdateClientLocationInput, find,
    find_primary, input::fill,
};
use crate::{
    error::{Error, Result},
    records::{
        changes::{self, Author, Log, Previous},
        clients,
        validation::Checks,
    },
    storage::database::Database,
};

/// The primary location of a client that is about to be created.
pub fn first_of_client(
    input: CreatePrimaryLocationInput,
    checks: &mut Checks,
) -> location::ActiveModel {
    let mut location = location::ActiveModel {
        is_primary: Set(true),
        version: Set(1),
        ..Default::default()
    };
    let CreatePrimaryLocationInput {
        is_primary: sent,
        location: input,
    } = input;
    let mut fields = UpdateClientLocationInput::from(input);
    fields.is_primary = sent.map_or(MaybeUndefined::Undefined, MaybeUndefined::Value);
    fill(&mut location, fields, checks);
    location
}

/// Creates a location of an existing client. A new primary location takes the
/// place of the old one in the same transaction.
///
/// # Errors
/// `Validation` with every fault, or what the database reports.
pub async fn create(
    database: &Database,
    author: &Author,
    input: CreateClientLocationInput,
    mut checks: Checks,
) -> Result<location::Model> {
    let CreateClientLocationInput {
        client_id,
        is_primary,
        location: input,
    } = input;
    let is_primary = is_primary.unwrap_or_default();
    let mut location = location::ActiveModel {
        is_primary: Set(is_primary),
        version: Set(1),
        ..Default::default()
    };
    fill(&mut location, input.into(), &mut checks);

    let Some(client_id) = checks.id("clientId", &client_id) else {
        checks.finish()?;
        // The fault of the id has ended this already.
        return Err(Error::Validation(Vec::new()));
    };
    let transaction = database.begin_alone(client_id).await?;
    let client = clients::lock(&transaction, client_id).await?;
    if client.is_none() {
        let none = format!("names no client: none has the id {client_id}");
        checks.fault("clientId", none);
    }
    checks.finish()?;
    let client = client.ok_or_else(|| Error::Validation(Vec::new()))?;

    let mut log = Log::new(author);
    let now = if is_primary {
        let primary = find_primary(&transaction, client.id).await?;
        let previous = [Previous::of(&primary), Previous::of(&client)];
        let now = changes::stamp(database, &transaction, &previous).await?;
        demote(&transaction, now, primary, &mut log).await?;
        clients::touch(&transaction, now, &client).await?;
        now
    } else {
        changes::stamp(database, &transaction, &[]).await?
    };
    (location.created_at, location.updated_at) = (Set(now), Set(now));
    location.client_id = Set(client.id);
    let location = location.insert(&transaction).await?;
    log.created(&location);
    log.write(&transaction).await?;
    transaction.commit().await?;
    Ok(location)
}

/// Changes the fields of a location that `input` gives. If nothing changes, the version stays.
///
/// # Errors
/// `NotFound`, `Conflict` if the location is not at `expected_version`,
/// `Validation` with every fault, or what the database reports.
pub async fn update(
    database: &Database,
    author: &Author,
    id: i64,
    input: UpdateClientLocationInput,
    expected_version: Option<i32>,
    mut checks: Checks,
) -> Result<location::Model> {
    let not_found = || Error::NotFound(format!("client location with the id {id}"));
    // A location never moves to another client.
    let found = find(&database.reader, id).await?;
    let client_id = found.ok_or_else(not_found)?.client_id;
    let transaction = database.begin_alone(client_id).await?;
    let client = clients::lock(&transaction, client_id)
        .await?
        .ok_or_else(not_found)?;
    // Read again: it may have changed until the client was locked.
    let current = find(&transaction, id).await?.ok_or_else(not_found)?;

    let was_primary = current.is_primary;
    let changed = changed(current.clone(), input, &mut checks);
    clients::expect_version(expected_version, current.version, || {
        changed.iter().flat_map(clients::differing).collect()
    })?;
    checks.finish()?;
    let Some(mut changed) = changed else {
        return Ok(current);
    };

    let mut log = Log::new(author);
    let becomes_primary = !was_primary && changed.is_primary.try_as_ref() == Some(&true);
    let primary = if becomes_primary {
        Some(find_primary(&transaction, client_id).await?)
    } else {
        None
    };
    let touches_client = was_primary || becomes_primary;
    let mut previous = vec![Previous::of(&current)];
    previous.extend(primary.iter().map(Previous::of));
    previous.extend(touches_client.then(|| Previous::of(&client)));
    let now = changes::stamp(database, &transaction, &previous).await?;
    if let Some(primary) = primary {
        // The old one first: the database never allows two, not even for a moment.
        demote(&transaction, now, primary, &mut log).await?;
    }
    changed.updated_at = Set(now);
    let location = changed.update(&transaction).await?;
    log.updated(&current, &location);
    if touches_client {
        clients::touch(&transaction, now, &client).await?;
    }
    log.write(&transaction).await?;
    transaction.commit().await?;
    Ok(location)
}

/// `current` at its next version, with the columns that `fields` gives; none if nothing
/// differs. The caller has to set `updated_at`.
pub fn changed(
    current: location::Model,
    fields: UpdateClientLocationInput,
    checks: &mut Checks,
) -> Option<location::ActiveModel> {
    let version = current.version;
    let mut location = current.into_active_model();
    fill(&mut location, fields, checks);
    if !location.is_changed() {
        return None;
    }
    location.version = Set(version + 1);
    Some(location)
}

/// Makes the primary location of a client an ordinary one. Another one must take its place
/// in the same transaction, or the database refuses the commit.
async fn demote(
    transaction: &impl ConnectionTrait,
    now: DateTime<Utc>,
    primary: location::Model,
    log: &mut Log<'_>,
) -> Result<()> {
    let mut location = primary.clone().into_active_model();
    location.is_primary = Set(false);
    location.version = Set(primary.version + 1);
    location.updated_at = Set(now);
    log.updated(&primary, &location.update(transaction).await?);
    Ok(())
}
