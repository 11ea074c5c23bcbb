//! Totals: how many rows a list has, counted alone or by the statement that reads a page.

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
        && let Some(row_count) = store.lists.row_count::<E>()
    {
        return row_counts::total(store, row_count).await;
    }
    let (condition, generic_plan) = search::condition::<E>(store, filter, Purpose::Total).await;
    let db = reader(store, generic_plan);
    let row = db.query_one(&count_of::<E>(condition)).await?;
    let count = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(count.unwrap_or_default())
}

fn count_of<E: Listed>(condition: Condition) -> SelectStatement {
    from::<E>().expr(E::ID.count()).cond_where(condition).take()
}

/// How the statement of a page finds the number of rows that meet the condition, as
/// [`TOTAL`], and the number of entries of a row count that it took, as [`STORED_ROWS`].
pub enum Total {
    /// By two values that are computed once, beside the rows.
    Beside([Expr; 2]),
    /// By counting the rows that are read anyway, or, if they are many, by this statement.
    OnTheWay(Box<SelectStatement>),
}

impl Total {
    /// The total of the rows that meet the condition, for a page of them.
    pub fn of<E: Listed>(store: &Store, request: &PageRequest, condition: &Condition) -> Self {
        let value = |statement: SelectStatement| Expr::SubQuery(None, Box::new(statement.into()));
        if condition.is_empty()
            && let Some(row_count) = store.lists.row_count::<E>()
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

    /// The total if the page has no row to show it; none if that leaves it unknown.
    pub fn of_none(&self) -> Option<i64> {
        match self {
            Self::Beside(_) => None,
            Self::OnTheWay(_) => Some(0),
        }
    }

    /// The statement for the first `limit` of `rows`, with the total.
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

/// The statement for the first `limit` of `rows`, with the number of all of them. If these
/// are few, they are counted as they are read, which spares reading them twice; if they are
/// many, `count` counts them. Only the condition of `rows` may have parameters, those of
/// `count`.
fn counted<E: Listed>(
    engine: DbBackend,
    mut rows: SelectStatement,
    count: &SelectStatement,
    (field, direction): (OrderField, Direction),
    limit: u64,
) -> Statement {
    /// From this number on there are many.
    const MANY: u64 = 101;
    // Under names of their own, for the rows may already have the columns.
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
    // Materialized, so that PostgreSQL includes its full cost: otherwise a plan for known
    // values can look cheaper, and PostgreSQL would plan each time.
    rows.sql = format!(
        "WITH matches AS MATERIALIZED ({}) SELECT *, \
         CASE WHEN COUNT(*) OVER () < {many} THEN COUNT(*) OVER () ELSE ({}) END AS {TOTAL}, \
         CAST(0 AS bigint) AS {STORED_ROWS} FROM matches ORDER BY {order_by}",
        rows.sql, count.sql
    );
    // PostgreSQL's parameters have numbers, and both statements number them alike.
    if engine == DbBackend::Sqlite
        && let (Some(rows), Some(count)) = (&mut rows.values, count.values)
    {
        rows.0.extend(count.0);
    }
    limited(rows, limit)
}

/// The first `limit` rows. The limit is a number, not a parameter: PostgreSQL expects an
/// unknown limit to be a tenth of the rows, and so would plan anew at every execution.
pub fn limited(mut rows: Statement, limit: u64) -> Statement {
    rows.sql = format!("{} LIMIT {limit}", rows.sql);
    rows
}
