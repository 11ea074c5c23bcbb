//! How many rows a list has: counted by itself, or by the statement that reads a page.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, Statement,
    sea_query::{Expr, SelectStatement},
};

use super::{
    Direction, Filter, Listed, OrderField, PageRequest,
    read::{from, reader},
    row_counts::{self, STORED_ROWS, TOTAL},
    search::{self, Purpose},
};
use crate::{error::Result, records::Store};

/// Counts the rows of `filter`.
///
/// # Errors
/// If the database fails.
pub async fn count<E: Listed>(store: &Store, filter: &Filter) -> Result<i64> {
    if filter.condition.is_empty()
        && filter.search.is_none()
        && let Some(row_count) = E::row_count(&store.lists.row_counts)
    {
        return row_counts::total(store, row_count).await;
    }
    let (condition, has_one_plan) = search::condition::<E>(store, filter, Purpose::Total).await;
    let db = reader(store, has_one_plan);
    let row = db.query_one(&count_of::<E>(condition)).await?;
    let count = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(count.unwrap_or_default())
}

fn count_of<E: Listed>(condition: Condition) -> SelectStatement {
    from::<E>().expr(E::ID.count()).cond_where(condition).take()
}

/// How a page's statement finds out how many rows hold the condition, as [`TOTAL`], and
/// how many rows of the row count that takes, as [`STORED_ROWS`].
pub enum Total {
    /// By values of their own, evaluated once.
    Beside([Expr; 2]),
    /// By counting the rows themselves, or, if they are many, by this statement.
    OnTheWay(Box<SelectStatement>),
}

impl Total {
    /// For a page of the rows that hold the condition.
    pub fn of<E: Listed>(store: &Store, request: &PageRequest, condition: &Condition) -> Self {
        let value = |statement: SelectStatement| Expr::SubQuery(None, Box::new(statement.into()));
        if condition.is_empty()
            && let Some(row_count) = E::row_count(&store.lists.row_counts)
        {
            return Self::Beside(row_count.values().map(value));
        }
        let count = count_of::<E>(condition.clone());
        if request.after.is_none() && request.before.is_none() && request.offset == 0 {
            Self::OnTheWay(Box::new(count))
        } else {
            Self::Beside([value(count), Expr::cust("CAST(0 AS bigint)")])
        }
    }

    /// What it is if the page has no row to tell it.
    pub fn of_none(&self) -> Option<i64> {
        match self {
            Self::Beside(_) => None,
            Self::OnTheWay(_) => Some(0),
        }
    }

    /// The first `limit` of `rows`, with the total.
    pub fn with<E: Listed>(
        self,
        engine: DbBackend,
        mut rows: SelectStatement,
        order_by: (OrderField, Direction),
        limit: u64,
    ) -> Statement {
        match self {
            Self::OnTheWay(count) => counted::<E>(engine, rows, &count, order_by, limit),
            Self::Beside(values) => {
                for (value, name) in values.into_iter().zip([TOTAL, STORED_ROWS]) {
                    rows.expr_as(value, name);
                }
                limited(engine.build(&rows), limit)
            }
        }
    }
}

/// The first `limit` of `rows`, and the number of all of them. It is found on the way if
/// there are few, which spares reading them twice; if there are many, `count` finds it,
/// for whose condition alone `rows` have parameters.
fn counted<E: Listed>(
    engine: DbBackend,
    mut rows: SelectStatement,
    count: &SelectStatement,
    (field, direction): (OrderField, Direction),
    limit: u64,
) -> Statement {
    /// So many are many.
    const MANY: u64 = 101;
    // Under names of their own, for the rows may have a column twice.
    let keys = E::sort_column(field).into_iter().chain([E::ID]);
    let mut order_by = Vec::new();
    for (column, name) in keys.zip(["first_key", "second_key"]) {
        rows.expr_as(column.into_expr(), name);
        order_by.push(format!("{name} {}", direction.keyword()));
    }
    let order_by = order_by.join(", ");
    let many = Ord::max(limit, MANY);
    let mut rows = limited(engine.build(&rows), many);
    let count = engine.build(count);
    // Materialized, so that PostgreSQL reckons with all of its cost: else a plan for known
    // values can look cheaper, and it would plan each time.
    rows.sql = format!(
        "WITH matches AS MATERIALIZED ({}) SELECT *, \
         CASE WHEN COUNT(*) OVER () < {many} THEN COUNT(*) OVER () ELSE ({}) END AS {TOTAL}, \
         CAST(0 AS bigint) AS {STORED_ROWS} FROM matches ORDER BY {order_by}",
        rows.sql, count.sql
    );
    // On PostgreSQL parameters have numbers, and both statements give them the same.
    if engine == DbBackend::Sqlite
        && let (Some(rows), Some(count)) = (&mut rows.values, count.values)
    {
        rows.0.extend(count.0);
    }
    limited(rows, limit)
}

/// The first `limit` rows. As a number, not as a parameter: not knowing it, PostgreSQL
/// would plan for a tenth of the table, and so plan anew at every execution.
pub fn limited(mut rows: Statement, limit: u64) -> Statement {
    rows.sql = format!("{} LIMIT {limit}", rows.sql);
    rows
}
