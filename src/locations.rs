//! Rules and SQL for client locations: find, filter, create, update.

use std::sync::Arc;

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::{client, client_location as location};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    Order as SqlOrder, QueryFilter, QueryResult, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Func, Query, SelectStatement, WindowStatement},
};

use crate::{
    clients,
    clock::Clock,
    database::Database,
    error::{Error, Result},
    fold::{fold, key_contains},
    graphql::location::{
        ClientLocationFilter, CreateClientLocationInput, CreatePrimaryLocationInput,
        UpdateClientLocationInput,
    },
    paging::{Filter, Listed, OrderField},
    statements::any_of,
    tally::{Tallies, Tally},
    validation::{self, Checks},
};

impl Listed for location::Entity {
    const ID: location::Column = location::Column::Id;

    fn sort_column(field: OrderField) -> Option<location::Column> {
        match field {
            OrderField::Id => None,
            OrderField::Name => Some(location::Column::NameKey),
            OrderField::CreatedAt => Some(location::Column::CreatedAt),
            OrderField::UpdatedAt => Some(location::Column::UpdatedAt),
        }
    }

    fn id(row: &location::Model) -> i64 {
        row.id
    }

    fn tally(tallies: &Tallies) -> &Arc<Tally> {
        &tallies.locations
    }
}

/// The location with this id.
///
/// # Errors
/// If the database fails.
pub async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<location::Model>> {
    Ok(location::Entity::find_by_id(id).one(db).await?)
}

/// The primary location of the client.
///
/// # Errors
/// If the database fails.
pub async fn find_primary(db: &impl ConnectionTrait, client_id: i64) -> Result<location::Model> {
    let found = find_primaries(db, &[client_id]).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| DbErr::RecordNotFound(format!("primary location of {client_id}")).into())
}

/// The primary locations of the clients, in no particular order.
///
/// # Errors
/// If the database fails.
pub async fn find_primaries(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
) -> Result<Vec<location::Model>> {
    let rows = location::Entity::find()
        .filter(any_of(db, location::Column::ClientId, client_ids))
        .filter(location::COLUMN.is_primary.eq(true));
    Ok(rows.all(db).await?)
}

/// For each of the clients the first `limit` locations by id, only those after
/// the id `after` if one is given: one statement for them all. The rows have these
/// `columns`, and those of one client come together.
///
/// # Errors
/// If the database fails.
pub async fn first_of_each(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    after: Option<i64>,
    limit: u64,
    columns: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<QueryResult>> {
    const ROW: &str = "row_of_client";
    const PAGE: &str = "page";
    let of_clients = Condition::all()
        .add(any_of(db, location::Column::ClientId, client_ids))
        .add_option(after.map(|id| location::COLUMN.id.gt(id)));
    let numbered = location::Entity::find()
        .filter(of_clients)
        .into_query()
        .expr_window_as(
            Func::cust("ROW_NUMBER"),
            WindowStatement::partition_by(location::Column::ClientId)
                .order_by(location::Column::Id, SqlOrder::Asc)
                .take(),
            ROW,
        )
        .take();
    // As the rows were numbered, so that they are not sorted again.
    let pages = Query::select()
        .columns(columns)
        .from_subquery(numbered, PAGE)
        .and_where(Expr::col(ROW).lte(limit))
        .order_by(location::Column::ClientId, SqlOrder::Asc)
        .order_by(location::Column::Id, SqlOrder::Asc)
        .take();
    Ok(db.query_all(&pages).await?)
}

/// How many locations each of the clients has, only those up to the id `up_to`
/// if one is given. A client with none is left out.
///
/// # Errors
/// If the database fails.
pub async fn count_of_each(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    up_to: Option<i64>,
) -> Result<Vec<(i64, i64)>> {
    let counted = location::Entity::find()
        .select_only()
        .column(location::Column::ClientId)
        .column_as(location::Column::Id.count(), "count")
        .filter(any_of(db, location::Column::ClientId, client_ids))
        .filter(Condition::all().add_option(up_to.map(|id| location::COLUMN.id.lte(id))))
        .group_by(location::Column::ClientId);
    Ok(counted.into_tuple().all(db).await?)
}

impl Filter for ClientLocationFilter {
    type Entity = location::Entity;

    fn search(&self) -> Option<&str> {
        self.search.as_deref()
    }

    fn condition(&self, checks: &mut Checks) -> Condition {
        let Self {
            id,
            name,
            client_id,
            salesperson,
            country,
            state,
            created_from,
            created_to,
            updated_from,
            updated_to,
            search,
        } = self;
        let columns = location::COLUMN;
        let mut id_of = |field, id: &Option<_>| id.as_ref().and_then(|id| checks.id(field, id));
        let id = id_of("id", id);
        let client_id = id_of("clientId", client_id);
        let salesperson = id_of("salesperson", salesperson);
        let mut text_of = |field, text: &Option<String>| {
            let text = text.as_ref()?;
            checks.value(field, text, validation::filter_text)
        };
        let name = text_of("name", name);
        let country = text_of("country", country);
        let state = text_of("state", state);
        let search = text_of("search", search);
        Condition::all()
            .add_option(id.map(|id| columns.id.eq(id)))
            .add_option(name.map(|name| columns.name_key.eq(fold(name.trim()))))
            .add_option(client_id.map(|id| columns.client_id.eq(id)))
            .add_option(salesperson.map(|id| columns.client_id.in_subquery(clients_of(id))))
            .add_option(country.map(|code| columns.country.eq(code.trim().to_ascii_uppercase())))
            .add_option(state.map(|code| columns.state.eq(code.trim().to_ascii_uppercase())))
            .add_option(created_from.map(|at| columns.created_at.gte(at.first_millisecond())))
            .add_option(created_to.map(|at| columns.created_at.lte(at.last_millisecond())))
            .add_option(updated_from.map(|at| columns.updated_at.gte(at.first_millisecond())))
            .add_option(updated_to.map(|at| columns.updated_at.lte(at.last_millisecond())))
            .add_option(search.map(|text| key_contains(location::Column::NameKey, &text)))
    }
}

/// The ids of the clients that this salesperson serves.
fn clients_of(salesperson: i64) -> SelectStatement {
    client::Entity::find()
        .select_only()
        .column(client::Column::Id)
        .filter(client::COLUMN.salesperson.eq(salesperson))
        .into_query()
}

/// The primary location of a client that is about to be created.
pub fn first_of_client(
    input: CreatePrimaryLocationInput,
    now: DateTime<Utc>,
    checks: &mut Checks,
) -> location::ActiveModel {
    let mut location = location::ActiveModel {
        is_primary: Set(true),
        ..created_at(now)
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
    input: CreateClientLocationInput,
    mut checks: Checks,
) -> Result<location::Model> {
    let CreateClientLocationInput {
        client_id,
        is_primary,
        location: input,
    } = input;
    let is_primary = is_primary.unwrap_or_default();
    let now = database.clock.now();
    let mut location = location::ActiveModel {
        is_primary: Set(is_primary),
        ..created_at(now)
    };
    fill(&mut location, input.into(), &mut checks);

    let transaction = database.begin().await?;
    let client = match checks.id("clientId", &client_id) {
        Some(id) => {
            let client = clients::lock(&transaction, id).await?;
            if client.is_none() {
                checks.fault("clientId", format!("names no client: none has the id {id}"));
            }
            client
        }
        None => None,
    };
    checks.finish()?;
    // Without a client there was a fault.
    let client = client.ok_or_else(|| Error::Validation(Vec::new()))?;

    if is_primary {
        demote_primary(&transaction, &database.clock, client.id).await?;
        clients::touch(&transaction, &database.clock, &client).await?;
    }
    location.client_id = Set(client.id);
    let location = location.insert(&transaction).await?;
    transaction.commit().await?;
    Ok(location)
}

/// Changes the fields of a location that `input` gives. What changes nothing
/// moves no version.
///
/// # Errors
/// `NotFound`, `Conflict` if the location is not at `expected_version`,
/// `Validation` with every fault, or what the database reports.
pub async fn update(
    database: &Database,
    id: i64,
    input: UpdateClientLocationInput,
    expected_version: Option<i32>,
    mut checks: Checks,
) -> Result<location::Model> {
    let not_found = || Error::NotFound(format!("client location with the id {id}"));
    let transaction = database.begin().await?;
    let client_id = find(&transaction, id)
        .await?
        .ok_or_else(not_found)?
        .client_id;
    let client = clients::lock(&transaction, client_id)
        .await?
        .ok_or_else(not_found)?;
    // Read again: it may have changed while the lock was awaited.
    let current = find(&transaction, id).await?.ok_or_else(not_found)?;
    clients::expect_version(expected_version, current.version)?;

    let was_primary = current.is_primary;
    let changed = changed(current.clone(), input, &database.clock, &mut checks);
    checks.finish()?;
    let Some(changed) = changed else {
        return Ok(current);
    };

    let becomes_primary = !was_primary && changed.is_primary.try_as_ref() == Some(&true);
    if becomes_primary {
        // First the old one: the database allows no two, not even for a moment.
        demote_primary(&transaction, &database.clock, client_id).await?;
    }
    let location = changed.update(&transaction).await?;
    if was_primary || becomes_primary {
        clients::touch(&transaction, &database.clock, &client).await?;
    }
    transaction.commit().await?;
    Ok(location)
}

/// `current` with the columns that `fields` gives, at its next version; none if
/// nothing differs.
pub fn changed(
    current: location::Model,
    fields: UpdateClientLocationInput,
    clock: &Clock,
    checks: &mut Checks,
) -> Option<location::ActiveModel> {
    let (version, updated_at) = (current.version, current.updated_at);
    let mut location = current.into_active_model();
    fill(&mut location, fields, checks);
    if !location.is_changed() {
        return None;
    }
    location.version = Set(version + 1);
    location.updated_at = Set(clock.after(updated_at));
    Some(location)
}

/// Makes the client's primary location an ordinary one. In the same transaction
/// another one must take its place, or the database refuses the commit.
async fn demote_primary(
    transaction: &impl ConnectionTrait,
    clock: &Clock,
    client_id: i64,
) -> Result<()> {
    let current = find_primary(transaction, client_id).await?;
    let (version, updated_at) = (current.version, current.updated_at);
    let mut location = current.into_active_model();
    location.is_primary = Set(false);
    location.version = Set(version + 1);
    location.updated_at = Set(clock.after(updated_at));
    location.update(transaction).await?;
    Ok(())
}

fn created_at(now: DateTime<Utc>) -> location::ActiveModel {
    location::ActiveModel {
        created_at: Set(now),
        updated_at: Set(now),
        version: Set(1),
        ..Default::default()
    }
}

/// Sets the columns that `fields` gives.
fn fill(
    location: &mut location::ActiveModel,
    fields: UpdateClientLocationInput,
    checks: &mut Checks,
) {
    // Every field is named, so that a new one cannot be forgotten.
    let UpdateClientLocationInput {
        id,
        is_primary,
        name,
        email_invoice,
        address1,
        address2,
        address3,
        city,
        state,
        zip,
        country,
        phone_primary,
        phone_secondary,
        phone_fax,
        notes,
    } = fields;
    checks.own_id(&id, location.id.try_as_ref());
    if is_primary == MaybeUndefined::Value(false) && location.is_primary.try_as_ref() == Some(&true)
    {
        checks.fault(
            "isPrimary",
            "cannot be false: every client has one primary location. Make another location \
             the primary one instead",
        );
    } else {
        checks.set("isPrimary", &mut location.is_primary, is_primary);
    }
    checks.set_text("name", &mut location.name, name, validation::name);
    checks.set_optional_text(
        "emailInvoice",
        &mut location.email_invoice,
        email_invoice,
        validation::email,
    );
    checks.set_text("state", &mut location.state, state, validation::state);
    checks.set_text(
        "country",
        &mut location.country,
        country,
        validation::country,
    );
    let zip = zip.map_value(|code| code.0);
    for (field, column, value) in [
        ("address1", &mut location.address_1, address1),
        ("address2", &mut location.address_2, address2),
        ("address3", &mut location.address_3, address3),
        ("city", &mut location.city, city),
        ("zip", &mut location.zip, zip),
        ("phonePrimary", &mut location.phone_primary, phone_primary),
        (
            "phoneSecondary",
            &mut location.phone_secondary,
            phone_secondary,
        ),
        ("phoneFax", &mut location.phone_fax, phone_fax),
    ] {
        checks.set_optional_text(field, column, value, validation::line);
    }
    checks.set_optional_text("notes", &mut location.notes, notes, validation::notes);

    if let Set(name) = &location.name {
        location.name_key.set_if_not_equals(fold(name));
    }
}
