//! Reads the same page of the records of each of several clients, in one statement for all.
//!
//! However many records a client has, the statement reads those that the page shows and no
//! more: the index on the client and the id leads to the first row, and tells where to
//! stop.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, IdenStatic, QueryFilter, QueryResult, QuerySelect,
    Statement, Value,
};

use super::{Direction, Listed, PageRequest};
use crate::{
    error::Result,
    storage::id_lists::{any_of, list_of},
};

/// An entity whose rows belong to clients.
pub trait OfClient: Listed {
    /// The column with the id of the client.
    const CLIENT_ID: Self::Column;

    /// The id of the client that `row` belongs to.
    fn client_id(row: &Self::Model) -> i64;
}

/// Which page of each client to read. Its rows are sorted by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageOfEach {
    /// Ascending or descending.
    pub direction: Direction,
    /// Only rows after this id.
    pub after: Option<i64>,
    /// The most rows of each client.
    pub limit: u64,
    /// Whether the caller wants to know of rows before the page. This takes another statement.
    pub look_behind: bool,
}

impl PageOfEach {
    /// The page that `request` asks for, of each client.
    #[must_use]
    pub fn of(request: &PageRequest) -> Self {
        Self {
            direction: request.order.direction,
            after: request.after.as_ref().map(|position| position.id),
            limit: request.limit,
            look_behind: request.look_behind,
        }
    }
}

/// The rows on the `page` of each client, with these `columns`, and one row more where
/// there is one. The rows of a client are not mixed with others.
///
/// # Errors
/// If the database fails.
pub async fn first_of_each<E: OfClient>(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    page: PageOfEach,
    columns: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<QueryResult>> {
    let PageOfEach {
        direction,
        after,
        limit,
        look_behind: _,
    } = page;
    let limit = limit + 1;
    let (table, id, client_id) = names::<E>();
    let columns = columns.into_iter();
    let columns: Vec<_> = columns.map(|name| format!(r#""page"."{name}""#)).collect();
    let columns = columns.join(", ");
    let order = direction.keyword();
    let start = after.map_or_else(String::new, |_| {
        format!(r#" AND "{id}" {} $2"#, direction.beyond())
    });
    // The limit as a number: see `limited` in `total.rs`.
    let rows = format!(
        r#"FROM "{table}" WHERE "{client_id}" = "of"."id"{start} ORDER BY "{id}" {order} LIMIT {limit}"#
    );
    // SQLite has no LATERAL. PostgreSQL may run the subquery of the other form for every row.
    let pages = match db.get_database_backend() {
        DbBackend::Postgres => format!(r#"LATERAL (SELECT * {rows}) AS "page""#),
        _ => format!(r#""{table}" AS "page" ON "page"."{id}" IN (SELECT "{id}" {rows})"#),
    };
    let sql = format!(
        r#"SELECT {columns} FROM {} CROSS JOIN {pages} ORDER BY "page"."{client_id}", "page"."{id}" {order}"#,
        clients(db)
    );
    Ok(db
        .query_all_raw(statement(db, sql, client_ids, after))
        .await?)
}

/// The clients, among these, that have a row at the id `last` or before it in this direction.
///
/// # Errors
/// If the database fails.
pub async fn with_rows_up_to<E: OfClient>(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    direction: Direction,
    last: i64,
) -> Result<Vec<i64>> {
    let (table, id, client_id) = names::<E>();
    let sql = format!(
        r#"SELECT "of"."id" FROM {} WHERE EXISTS (SELECT 1 FROM "{table}" WHERE "{client_id}" = "of"."id" AND "{id}" {}= $2)"#,
        clients(db),
        direction.reversed().beyond(),
    );
    let statement = statement(db, sql, client_ids, Some(last));
    let found = db.query_all_raw(statement).await?;
    let ids = found.iter().map(|row| row.try_get("", "id"));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// How many rows each of the clients has. A client with none is left out.
///
/// # Errors
/// If the database fails.
pub async fn count_of_each<E: OfClient>(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
) -> Result<Vec<(i64, i64)>> {
    let counted = E::find()
        .select_only()
        .column(E::CLIENT_ID)
        .column_as(E::ID.count(), "count")
        .filter(any_of(db, E::CLIENT_ID.into_expr(), client_ids))
        .group_by(E::CLIENT_ID);
    Ok(counted.into_tuple().all(db).await?)
}

/// The names of the table, and of the columns of the id and of the client.
fn names<E: OfClient>() -> (&'static str, &'static str, &'static str) {
    (E::default().as_str(), E::ID.as_str(), E::CLIENT_ID.as_str())
}

/// The clients of a statement, as rows to join.
fn clients(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => r#"unnest(CAST($1 AS bigint[])) AS "of"("id")"#,
        _ => r#"(SELECT "value" AS "id" FROM json_each($1)) AS "of""#,
    }
}

/// A statement about these clients, and about rows on one side of the id `place`. Its
/// parameters have numbers, which both engines know.
fn statement(
    db: &impl ConnectionTrait,
    sql: String,
    client_ids: &[i64],
    place: Option<i64>,
) -> Statement {
    let mut values: Vec<Value> = vec![list_of(db, client_ids).into()];
    values.extend(place.map(Value::from));
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}
