//! Builds and runs the statement that reads a page.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, IdenStatic, QueryResult, QueryTrait,
    Statement,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    Columns, Direction, Filter, Listed, OrderField, PAGE, Page, PageRequest,
    order::{beyond, up_to},
    polling::{Polled, STAMP},
    row_counts::{FIRST_ID, RowCount, SKIP, STORED_ROWS, TOTAL},
    search::{self, Purpose},
    total::{Total, limited},
};
use crate::{error::Result, records::Store, storage::statements::Statements};

/// Reads one page. Of a polled list it reads the rows up to the horizon, if one is given;
/// otherwise it selects the instant of each row, too.
pub(super) async fn read<E: Listed>(
    store: &Store,
    filter: &Filter,
    request: &PageRequest,
    columns: Columns,
    polled: Option<(Polled, Option<DateTime<Utc>>)>,
) -> Result<Page<QueryResult>> {
    let order = request.order;
    let direction = if request.from_end {
        order.direction.reversed()
    } else {
        order.direction
    };
    let purpose = Purpose::Page {
        field: order.field,
        direction,
        limit: request.limit,
    };
    let (condition, generic_plan) = search::condition::<E>(store, filter, purpose).await;
    let db = &reader(store, generic_plan);
    let mut rows = match columns.columns {
        Some(columns) => from::<E>().exprs(columns).take(),
        None => E::find().into_query(),
    };
    let mut around = columns.around;
    let condition = if let Some((polled, horizon)) = polled {
        let around = around.as_mut();
        poll::<E>(db, &mut rows, around, condition, polled, horizon)
    } else {
        rows.cond_where(condition.clone());
        condition
    };
    if let Some(position) = &request.after {
        rows.and_where(beyond::<E>(order.field, order.direction, position));
    }
    if let Some(position) = &request.before {
        let direction = order.direction.reversed();
        rows.and_where(beyond::<E>(order.field, direction, position));
    }
    if let Some(column) = E::sort_column(order.field) {
        rows.order_by(column.as_column_ref(), direction.sql());
    } else if request.offset > 0 {
        let is_whole_list =
            condition.is_empty() && request.after.is_none() && request.before.is_none();
        let row_count = store.lists.row_count::<E>().filter(|_| is_whole_list);
        begin_after::<E>(db, &mut rows, direction, request.offset, row_count);
    }
    // One row more than asked for tells whether there are more.
    rows.order_by(E::ID.as_column_ref(), direction.sql());
    // A search may be done in another way for the total than for the page.
    let with_total = columns.total && filter.search.is_none();
    let total = with_total.then(|| Total::of::<E>(store, request, &condition));
    let total_of_none = total.as_ref().and_then(Total::of_none);
    let order_by = (order.field, direction);
    let limit = request.limit + 1;
    let statement = statement::<E>(db, rows, order_by, limit, around, total);
    let mut found = db.query_batched(statement, limit).await?;
    let total = match found.first() {
        Some(row) if with_total => {
            if let Some(row_count) = store.lists.row_count::<E>() {
                row_count.observed(store, row.try_get("", STORED_ROWS)?);
            }
            row.try_get("", TOTAL)?
        }
        _ => total_of_none,
    };

    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    if request.from_end {
        found.reverse();
    }

    // Looks for rows on the side that the page comes from.
    let start = if request.from_end {
        &request.before
    } else {
        &request.after
    };
    let has_behind = match start {
        _ if request.offset > 0 => true,
        Some(position) if request.look_behind => {
            let behind = up_to::<E>(order.field, direction, position);
            exists::<E>(db, condition.add(behind)).await?
        }
        _ => false,
    };
    let (has_previous, has_next) = if request.from_end {
        (has_more, has_behind)
    } else {
        (has_behind, has_more)
    };
    Ok(Page {
        rows: found,
        has_previous,
        has_next,
        end: None,
        total,
        horizon: None,
        until: None,
    })
}

/// Adds to `rows` the condition, and the horizon if there is one; otherwise adds, on
/// PostgreSQL, the instants by which the rows are polled. Returns the condition for the
/// total.
fn poll<E: Listed>(
    db: &impl ConnectionTrait,
    rows: &mut SelectStatement,
    around: Option<&mut SelectStatement>,
    condition: Condition,
    polled: Polled,
    horizon: Option<DateTime<Utc>>,
) -> Condition {
    let stamp = E::sort_column(polled.by).map(ColumnTrait::into_expr);
    match (stamp, horizon) {
        (Some(stamp), Some(horizon)) if polled.from_bound => {
            let condition = condition.add(stamp.lte(horizon));
            rows.cond_where(condition.clone());
            return condition;
        }
        (Some(stamp), Some(horizon)) => {
            // The total has the rows beyond the horizon, too, so a row count may know it.
            rows.cond_where(condition.clone());
            rows.and_where(stamp.lte(horizon));
        }
        (Some(stamp), None)
            if !polled.is_sorted && db.get_database_backend() == DbBackend::Postgres =>
        {
            rows.cond_where(condition.clone());
            rows.expr_as(stamp, STAMP);
            if let Some(around) = around {
                around.column((PAGE, STAMP));
            }
        }
        _ => {
            rows.cond_where(condition.clone());
        }
    }
    condition
}

/// Where to read rows: with a generic plan (one for all values), or with a custom plan (one for
/// these values).
///
/// Few rows are best found by an index of the filter, many in the order of the list. For a
/// custom plan PostgreSQL knows the values, so it can tell which. But from its sixth execution
/// on, a prepared statement may have a generic plan, and then few rows are searched for among
/// all others.
pub(super) fn reader(store: &Store, generic_plan: bool) -> Statements {
    if generic_plan {
        store.reader.clone()
    } else {
        store.reader.custom_plans()
    }
}

/// A statement over the rows of `E`, without columns.
pub(super) fn from<E: Listed>() -> SelectStatement {
    Query::select().from(E::default().table_ref()).take()
}

/// The statement for the first `limit` of the sorted `rows`, with the statement around them
/// and the total.
fn statement<E: Listed>(
    db: &impl ConnectionTrait,
    rows: SelectStatement,
    (field, direction): (OrderField, Direction),
    limit: u64,
    mut around: Option<SelectStatement>,
    total: Option<Total>,
) -> Statement {
    let engine = db.get_database_backend();
    let mut statement = match total {
        Some(total) => {
            if let Some(around) = &mut around {
                around.columns([(PAGE, TOTAL), (PAGE, STORED_ROWS)]);
            }
            total.with::<E>(engine, rows, (field, direction), limit)
        }
        None => limited(engine.build(&rows), limit),
    };
    if let Some(around) = &mut around {
        // Joined to the page. If this were joined to the table, PostgreSQL would at times
        // merge the two from their first rows on.
        around.from(PAGE);
        if let Some(column) = E::sort_column(field) {
            around.order_by((PAGE, column), direction.sql());
        }
        around.order_by((PAGE, E::ID), direction.sql());
        let around = engine.build(around).sql;
        statement.sql = format!("WITH \"{PAGE}\" AS ({}) {around}", statement.sql);
    }
    statement
}

/// Skips the first `offset` of `rows`, in the order of their ids. If the list is whole and
/// has a row count, only rows of the block where the page begins are passed over. That
/// reads an index alone; the rows themselves are read from the first one that is wanted.
fn begin_after<E: Listed>(
    db: &impl ConnectionTrait,
    rows: &mut SelectStatement,
    direction: Direction,
    offset: u64,
    row_count: Option<&Arc<RowCount>>,
) {
    let id = E::ID.into_expr();
    let first = if let Some(row_count) = row_count {
        let parameter = match db.get_database_backend() {
            DbBackend::Postgres => "$1",
            _ => "?",
        };
        let place = row_count.place(direction, offset);
        // The number to skip is a value that PostgreSQL does not know when it plans: with a
        // known offset it would plan anew at every execution.
        let sql = format!(
            r#"(WITH "place" AS {parameter} SELECT "{id}" FROM "{table}"
                WHERE "{id}" {beyond}= (SELECT {FIRST_ID} FROM "place") ORDER BY "{id}" {order}
                LIMIT 1 OFFSET (SELECT {SKIP} FROM "place"))"#,
            id = E::ID.as_str(),
            table = E::default().as_str(),
            beyond = direction.beyond(),
            order = direction.keyword(),
        );
        Expr::cust_with_expr(sql, Expr::SubQuery(None, Box::new(place.into())))
    } else {
        let first = rows
            .clone()
            .clear_selects()
            .expr(id.clone())
            .order_by(E::ID.as_column_ref(), direction.sql())
            .offset(offset)
            .limit(1)
            .take();
        Expr::SubQuery(None, Box::new(first.into()))
    };
    rows.and_where(match direction {
        Direction::Asc => id.gte(first),
        Direction::Desc => id.lte(first),
    });
}

async fn exists<E: Listed>(db: &impl ConnectionTrait, condition: Condition) -> Result<bool> {
    let row = from::<E>()
        .expr(E::ID.into_expr())
        .cond_where(condition)
        .limit(1)
        .take();
    Ok(db.query_one(&row).await?.is_some())
}
