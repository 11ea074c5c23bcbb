//! Writes of clients as single statements, changes included, which PostgreSQL can run
//! and SQLite cannot. They save three round trips, during which a client is locked and
//! the connection serves nobody else.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use entity::{change, change::Kind, client, client_location};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{self, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic,
    Iterable,
    sea_query::{
        CommonTableExpression, Expr, ExprTrait, InsertStatement, LockType, Query,
        SubQueryStatement, extension::postgres::PgFunc,
    },
};

use super::write::{ClientUpdate, fill};
use crate::{
    changes::{self, Author},
    database::Database,
    error::{Error, Result},
    validation::Checks,
};

/// Inserts a client and its location, which are created at the instant `at`.
///
/// # Errors
/// What the database reports.
pub async fn insert(
    database: &Database,
    author: &Author,
    at: DateTime<Utc>,
    client: &client::ActiveModel,
    location: &client_location::ActiveModel,
) -> Result<(client::Model, client_location::Model)> {
    const CLIENT: &str = "new_client";
    const LOCATION: &str = "new_location";
    let id_of = |name| {
        let id = Query::select().column("id").from(name).take();
        Expr::SubQuery(None, Box::new(id.into()))
    };
    let nothing = || Expr::val(changes::NOTHING);
    let of_client = changes::values(
        author,
        at,
        Kind::ClientCreated,
        [id_of(CLIENT), Expr::val(None::<i64>)],
        [nothing(), logged_as_new(client)],
    );
    let of_location = changes::values(
        author,
        at,
        Kind::LocationCreated,
        [id_of(CLIENT), id_of(LOCATION)],
        [nothing(), logged_as_new(location)],
    );
    let mut log = Query::insert();
    log.into_table(change::Entity).columns(changes::COLUMNS);
    for values in [of_client, of_location] {
        log.values(values).map_err(internal)?;
    }

    let (columns, values) = set_columns(client);
    let client = insert_into(client::Entity, columns, values)?;
    let (mut columns, mut values) = set_columns(location);
    columns.push(client_location::Column::ClientId);
    values.push(id_of(CLIENT));
    let location = insert_into(client_location::Entity, columns, values)?;

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
    let statement = Query::with()
        .cte(named(CLIENT, client))
        .cte(named(LOCATION, location))
        .cte(named("log", log))
        .to_owned()
        .query(rows);
    let row = database.writer().query_one(&statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotInserted)?;
    Ok((
        client::Model::from_query_result(&row, &format!("{CLIENT}_"))?,
        client_location::Model::from_query_result(&row, &format!("{LOCATION}_"))?,
    ))
}

/// Changes the columns of a client; none if that cannot be done, for whatever reason,
/// which is then found out by reading the client first.
///
/// The client is locked before anything else happens. So the old values are those that
/// this very change replaces, and the changes of a client are numbered in the order in
/// which they are committed.
///
/// # Errors
/// What the database reports.
pub async fn update(
    database: &Database,
    author: &Author,
    change: &ClientUpdate,
) -> Result<Option<client::Model>> {
    const BEFORE: &str = "before";
    const AFTER: &str = "after";
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

    let columns = client::COLUMN;
    let mut before = Query::select();
    before
        .column(client::Column::Id)
        .from(client::Entity)
        .and_where(columns.id.eq(*id))
        .lock(LockType::NoKeyUpdate);
    let mut update = Query::update();
    let mut differs = Condition::any();
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
        before.column(column);
        update.value(column, Expr::val(value));
    }
    if differs.is_empty() {
        return Ok(None);
    }
    // Time never stands still: see `Clock::after`.
    let now = database.clock.now();
    update
        .table(client::Entity)
        .from(BEFORE)
        .value(client::Column::UpdatedAt, Expr::val(now))
        .value(
            client::Column::Version,
            client::Column::Version.into_expr().add(1),
        )
        .cond_where(
            Condition::all()
                .add(columns.id.eq(*id))
                .add(client::Column::Id.into_expr().equals((BEFORE, "id")))
                .add(columns.updated_at.lt(now))
                .add_option(expected_version.map(|version| columns.version.eq(version)))
                .add(differs),
        )
        .returning(Query::returning().exprs(client::Column::iter().map(ColumnTrait::into_expr)));

    let old = changes::set_fields(&client).map(|(name, _)| {
        // A name of ours, as a constant: PostgreSQL wants to know its type.
        let key = Expr::cust(format!("'{name}'"));
        (key, Expr::col((BEFORE, name)))
    });
    let old = PgFunc::json_build_object(old.collect::<Vec<_>>());
    let values = changes::values(
        author,
        now,
        Kind::ClientUpdated,
        [Expr::col((AFTER, "id")), Expr::val(None::<i64>)],
        [Expr::from(old).cast_as("text"), logged_as_new(&client)],
    );
    let mut row = Query::select();
    row.exprs(values).from(BEFORE).from(AFTER);
    let mut log = Query::insert();
    log.into_table(change::Entity)
        .columns(changes::COLUMNS)
        .select_from(row)
        .map_err(internal)?;

    let statement = Query::with()
        .cte(named(BEFORE, before))
        .cte(named(AFTER, update))
        .cte(named("log", log))
        .to_owned()
        .query(
            Query::select()
                .columns(client::Column::iter())
                .from(AFTER)
                .take(),
        );
    let row = database.writer().query_one(&statement).await?;
    let row = row.map(|row| client::Model::from_query_result(&row, ""));
    Ok(row.transpose()?)
}

/// What a record is about to set, as the log keeps it.
fn logged_as_new(record: &impl ActiveModelTrait) -> Expr {
    Expr::val(changes::logged(changes::set_fields(record)))
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

fn insert_into<E: EntityTrait>(
    table: E,
    columns: Vec<E::Column>,
    values: Vec<Expr>,
) -> Result<InsertStatement> {
    let mut statement = Query::insert();
    statement.into_table(table).columns(columns).returning_all();
    statement.values(values).map_err(internal)?;
    Ok(statement)
}

fn named(name: &'static str, statement: impl Into<SubQueryStatement>) -> CommonTableExpression {
    CommonTableExpression::new()
        .table_name(name)
        .query(statement)
        .to_owned()
}

/// A statement of ours that has more values than columns, or fewer.
fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal(Arc::new(error))
}
