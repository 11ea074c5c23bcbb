//! Rules and SQL for clients: find, filter, create, update.

use std::sync::Arc;

use async_graphql::MaybeUndefined;
use entity::{client, client_location};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{self, Set, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult,
    IdenStatic, IntoActiveModel, Iterable, QueryFilter, QuerySelect,
    sea_query::{CommonTableExpression, Expr, ExprTrait, InsertStatement, Query},
};

use crate::{
    clock::Clock,
    database::Database,
    error::{Error, Result},
    fold::{fold, key_contains},
    graphql::client::{ClientFilter, CreateClientInput, UpdateClientInput},
    locations,
    paging::{Filter, Listed, OrderField},
    statements::any_of,
    tally::{Tallies, Tally},
    validation::{self, Checks},
};

impl Listed for client::Entity {
    const ID: client::Column = client::Column::Id;

    fn sort_column(field: OrderField) -> Option<client::Column> {
        match field {
            OrderField::Id => None,
            OrderField::Name => Some(client::Column::NameKey),
            OrderField::CreatedAt => Some(client::Column::CreatedAt),
            OrderField::UpdatedAt => Some(client::Column::UpdatedAt),
        }
    }

    fn id(row: &client::Model) -> i64 {
        row.id
    }

    fn tally(tallies: &Tallies) -> &Arc<Tally> {
        &tallies.clients
    }
}

/// The client with this id.
///
/// # Errors
/// If the database fails.
pub async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<client::Model>> {
    Ok(client::Entity::find_by_id(id).one(db).await?)
}

/// The client with this id and its primary location, in one statement: both as they
/// were at one moment.
///
/// # Errors
/// If the database fails.
pub async fn find_with_primary(
    db: &impl ConnectionTrait,
    id: i64,
) -> Result<Option<(client::Model, Option<client_location::Model>)>> {
    let rows = client::Entity::find_by_id(id)
        .find_also_related(client_location::Entity)
        .filter(client_location::COLUMN.is_primary.eq(true));
    Ok(rows.one(db).await?)
}

/// The clients with these ids, in no particular order.
///
/// # Errors
/// If the database fails.
pub async fn find_many(db: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<client::Model>> {
    let rows = client::Entity::find().filter(any_of(db, client::Column::Id, ids));
    Ok(rows.all(db).await?)
}

impl Filter for ClientFilter {
    type Entity = client::Entity;

    fn search(&self) -> Option<&str> {
        self.search.as_deref()
    }

    fn condition(&self, checks: &mut Checks) -> Condition {
        let Self {
            id,
            name,
            account_code,
            salesperson,
            case_manager,
            created_from,
            created_to,
            updated_from,
            updated_to,
            search,
        } = self;
        let columns = client::COLUMN;
        let mut id_of = |field, id: &Option<_>| id.as_ref().and_then(|id| checks.id(field, id));
        let id = id_of("id", id);
        let salesperson = id_of("salesperson", salesperson);
        let case_manager = id_of("caseManager", case_manager);
        let mut text_of = |field, text: &Option<String>| {
            let text = text.as_ref()?;
            checks.value(field, text, validation::filter_text)
        };
        let name = text_of("name", name);
        let account_code = text_of("accountCode", account_code);
        let search = text_of("search", search);
        Condition::all()
            .add_option(id.map(|id| columns.id.eq(id)))
            // Names are stored without surrounding white space.
            .add_option(name.map(|name| columns.name_key.eq(fold(name.trim()))))
            .add_option(account_code.map(|code| columns.account_code_key.eq(fold(&code))))
            .add_option(salesperson.map(|id| columns.salesperson.eq(id)))
            .add_option(case_manager.map(|id| columns.case_manager.eq(id)))
            .add_option(created_from.map(|at| columns.created_at.gte(at.first_millisecond())))
            .add_option(created_to.map(|at| columns.created_at.lte(at.last_millisecond())))
            .add_option(updated_from.map(|at| columns.updated_at.gte(at.first_millisecond())))
            .add_option(updated_to.map(|at| columns.updated_at.lte(at.last_millisecond())))
            .add_option(search.map(|text| {
                Condition::any()
                    .add(key_contains(client::Column::NameKey, &text))
                    .add(key_contains(client::Column::AccountCodeKey, &text))
            }))
    }
}

/// Creates a client with its primary location, in one transaction, and returns both.
///
/// # Errors
/// `Validation` with every fault, or what the database reports.
pub async fn create(
    database: &Database,
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
    let now = database.clock.now();
    let mut client = client::ActiveModel {
        created_at: Set(now),
        updated_at: Set(now),
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
        locations::first_of_client(primary_location, now, checks)
    });
    checks.finish()?;

    if database.writer().get_database_backend() == DbBackend::Postgres {
        return insert_at_once(database, &client, &location).await;
    }
    let transaction = database.begin().await?;
    let client = client.insert(&transaction).await?;
    location.client_id = Set(client.id);
    let location = location.insert(&transaction).await?;
    transaction.commit().await?;
    Ok((client, location))
}

/// Inserts a client and its location by one statement, which SQLite cannot. It saves
/// three round trips, during which the connection serves nobody else.
async fn insert_at_once(
    database: &Database,
    client: &client::ActiveModel,
    location: &client_location::ActiveModel,
) -> Result<(client::Model, client_location::Model)> {
    const CLIENT: &str = "new_client";
    const LOCATION: &str = "new_location";
    let client_id = Query::select()
        .column(client::Column::Id)
        .from(CLIENT)
        .take();
    let (columns, values) = set_columns(client);
    let client = insert(client::Entity, columns, values)?;
    let (mut columns, mut values) = set_columns(location);
    columns.push(client_location::Column::ClientId);
    values.push(Expr::SubQuery(None, Box::new(client_id.into())));
    let location = insert(client_location::Entity, columns, values)?;

    let mut rows = Query::select();
    for column in client::Column::iter() {
        let name = format!("{CLIENT}_{}", column.as_str());
        rows.expr_as(Expr::col((CLIENT, column)), name);
    }
    for column in client_location::Column::iter() {
        let name = format!("{LOCATION}_{}", column.as_str());
        rows.expr_as(Expr::col((LOCATION, column)), name);
    }
    rows.from(CLIENT).from(LOCATION);
    let with = |name, statement: InsertStatement| {
        CommonTableExpression::new()
            .table_name(name)
            .query(statement)
            .to_owned()
    };
    let statement = Query::with()
        .cte(with(CLIENT, client))
        .cte(with(LOCATION, location))
        .to_owned()
        .query(rows);
    let row = database.writer().query_one(&statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotInserted)?;
    Ok((
        client::Model::from_query_result(&row, &format!("{CLIENT}_"))?,
        client_location::Model::from_query_result(&row, &format!("{LOCATION}_"))?,
    ))
}

/// The columns of a record that have a value to write.
fn set_columns<A: ActiveModelTrait>(
    record: &A,
) -> (Vec<<A::Entity as EntityTrait>::Column>, Vec<Expr>) {
    <A::Entity as EntityTrait>::Column::iter()
        .filter_map(|column| match record.get(column) {
            ActiveValue::Set(value) => Some((column, Expr::val(value))),
            _ => None,
        })
        .unzip()
}

fn insert<E: EntityTrait>(
    table: E,
    columns: Vec<E::Column>,
    values: Vec<Expr>,
) -> Result<InsertStatement> {
    let mut statement = Query::insert();
    statement.into_table(table).columns(columns).returning_all();
    let values = statement.values(values);
    values.map_err(|error| Error::Internal(Arc::new(error)))?;
    Ok(statement)
}

/// A change of a client.
pub struct Change {
    /// The client to change.
    pub id: i64,
    /// The fields that change.
    pub input: UpdateClientInput,
    /// The version that the client must have.
    pub expected_version: Option<i32>,
    /// Whether the caller wants to see the primary location, too.
    pub with_primary: bool,
}

/// Changes the fields of a client that the input gives, and those of its primary
/// location, in one transaction. What changes nothing moves no version.
///
/// # Errors
/// `NotFound`, `Conflict` if the client is not at the expected version,
/// `Validation` with every fault, or what the database reports.
pub async fn update(
    database: &Database,
    change: Change,
    mut checks: Checks,
) -> Result<(client::Model, Option<client_location::Model>)> {
    if checks.may_write()
        && let Some(client) = update_at_once(database, &change).await?
    {
        return Ok((client, None));
    }
    let Change {
        id,
        mut input,
        expected_version,
        with_primary,
    } = change;
    let transaction = database.begin().await?;
    let current = lock(&transaction, id)
        .await?
        .ok_or_else(|| Error::NotFound(format!("client with the id {id}")))?;
    expect_version(expected_version, current.version)?;

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
                locations::changed(location.clone(), fields, &database.clock, checks)
            });
        }
        primary = Some(location);
    }
    checks.finish()?;

    let touches_client = client.is_changed() || changed_primary.is_some();
    if let Some(location) = changed_primary {
        primary = Some(location.update(&transaction).await?);
    }
    let client = if touches_client {
        save(&transaction, &database.clock, &current, client).await?
    } else {
        current
    };
    transaction.commit().await?;
    Ok((client, primary))
}

/// Changes the columns of a client by one statement; none if that cannot be done, for
/// whatever reason, which is then found out by reading the client first. It saves three
/// round trips, during which the client would be locked.
async fn update_at_once(database: &Database, change: &Change) -> Result<Option<client::Model>> {
    let Change {
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
    let mut differs = Condition::any();
    let mut update = client::Entity::update_many();
    for column in client::Column::iter() {
        let ActiveValue::Set(value) = client.get(column) else {
            continue;
        };
        differs = if value == value.as_null() {
            differs.add(column.is_not_null())
        } else {
            let other = column.ne(value.clone());
            differs.add(other).add(column.is_null())
        };
        update = update.col_expr(column, Expr::val(value));
    }
    if differs.is_empty() {
        return Ok(None);
    }
    // Time never stands still: see `Clock::after`.
    let now = database.clock.now();
    let columns = client::COLUMN;
    let mut updated = update
        .col_expr(client::Column::UpdatedAt, Expr::val(now))
        .col_expr(
            client::Column::Version,
            client::Column::Version.into_expr().add(1),
        )
        .filter(columns.id.eq(*id))
        .filter(columns.updated_at.lt(now))
        .filter(
            Condition::all()
                .add_option(expected_version.map(|version| columns.version.eq(version))),
        )
        .filter(differs)
        .exec_with_returning(database.writer())
        .await?;
    Ok(updated.pop())
}

/// The client with this id, locked until the transaction ends. Whoever writes a
/// client or any of its locations takes this lock first, so two writers of one
/// client never wait for each other in a circle.
///
/// # Errors
/// If the database fails.
pub async fn lock(transaction: &impl ConnectionTrait, id: i64) -> Result<Option<client::Model>> {
    let client = client::Entity::find_by_id(id).lock_exclusive();
    Ok(client.one(transaction).await?)
}

/// Counts a change of a client's primary location as one of the client itself,
/// whose REST body contains it.
///
/// # Errors
/// If the database fails.
pub async fn touch(
    transaction: &impl ConnectionTrait,
    clock: &Clock,
    client: &client::Model,
) -> Result<()> {
    let unchanged = client.clone().into_active_model();
    save(transaction, clock, client, unchanged).await?;
    Ok(())
}

/// Refuses a change that was made for another version of the record.
///
/// # Errors
/// `Conflict`.
pub fn expect_version(expected: Option<i32>, current: i32) -> Result<()> {
    match expected {
        Some(expected) if expected != current => Err(Error::Conflict {
            current_version: current,
        }),
        _ => Ok(()),
    }
}

async fn save(
    transaction: &impl ConnectionTrait,
    clock: &Clock,
    current: &client::Model,
    mut client: client::ActiveModel,
) -> Result<client::Model> {
    client.version = Set(current.version + 1);
    client.updated_at = Set(clock.after(current.updated_at));
    Ok(client.update(transaction).await?)
}

/// Sets the columns that `fields` gives.
fn fill(client: &mut client::ActiveModel, fields: UpdateClientInput, checks: &mut Checks) {
    // Every field is named, so that a new one cannot be forgotten.
    let UpdateClientInput {
        id,
        name,
        account_code,
        website,
        email_invoice,
        notes,
        has_invoice_reminders,
        show_location_on_invoice,
        salesperson,
        case_manager,
        primary_location: _,
    } = fields;
    checks.own_id(&id, client.id.try_as_ref());
    checks.set_text("name", &mut client.name, name, validation::name);
    checks.set_optional_text(
        "accountCode",
        &mut client.account_code,
        account_code,
        validation::line,
    );
    checks.set_optional_text("website", &mut client.website, website, validation::website);
    checks.set_optional_text(
        "emailInvoice",
        &mut client.email_invoice,
        email_invoice,
        validation::email,
    );
    checks.set_optional_text("notes", &mut client.notes, notes, validation::notes);
    checks.set(
        "hasInvoiceReminders",
        &mut client.has_invoice_reminders,
        has_invoice_reminders,
    );
    checks.set(
        "showLocationOnInvoice",
        &mut client.show_location_on_invoice,
        show_location_on_invoice,
    );
    checks.set_optional_id("salesperson", &mut client.salesperson, salesperson);
    checks.set_optional_id("caseManager", &mut client.case_manager, case_manager);

    if let Set(name) = &client.name {
        client.name_key.set_if_not_equals(fold(name));
    }
    if let Set(code) = &client.account_code {
        let key = code.as_deref().map(fold);
        client.account_code_key.set_if_not_equals(key);
    }
}
