//! Keyset paging: a page begins after a position in the order, not after a
//! number of rows, so page 2,000 costs what page 1 costs, and rows written
//! meanwhile make no page skip or repeat one.

mod filter;
pub mod per_client;
pub mod row_counts;
pub mod search;
mod settled;
mod total;

use std::sync::Arc;

use async_graphql::Enum;
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IdenStatic,
    ModelTrait, Order as SqlOrder, QueryResult, QueryTrait, Statement, Value,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::changes;
use crate::{
    error::Result,
    storage::{database::Database, statements::Statements},
};
pub use filter::{Filter, Selection, polled_by};
use row_counts::{FIRST_ID, PARTS, SKIP, TOTAL, Tallies, Tally};
use search::{
    Purpose,
    sample::{Latest, Samples},
};
pub use settled::Settled;
use settled::{Polled, STAMP, are_settled};
pub use total::count;
use total::{Total, limited};

/// What a list is sorted by. Ties are broken by the id.
#[derive(Enum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderField {
    /// By id: the order in which the records were created.
    #[default]
    Id,
    /// By name, ignoring case.
    Name,
    /// By the instant of creation. Who goes on from `endCursor` misses nothing: the list
    /// lags as one with `createdFrom` does.
    CreatedAt,
    /// By the instant of the last change. Who goes on from `endCursor` misses nothing: the
    /// list lags as one with `updatedFrom` does.
    UpdatedAt,
}

/// Up or down.
#[derive(Enum, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[graphql(name = "OrderDirection")]
pub enum Direction {
    /// From small to large, from old to new.
    #[default]
    Asc,
    /// From large to small, from new to old.
    Desc,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }

    /// Its name in SQL.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }

    /// How an id further on in this direction compares.
    fn beyond(self) -> &'static str {
        match self {
            Self::Asc => ">",
            Self::Desc => "<",
        }
    }

    /// For a statement that is built.
    #[must_use]
    pub fn sql(self) -> SqlOrder {
        match self {
            Self::Asc => SqlOrder::Asc,
            Self::Desc => SqlOrder::Desc,
        }
    }
}

/// How a list is sorted: by id and upwards unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What to sort by.
    pub field: OrderField,
    /// Up or down.
    pub direction: Direction,
}

/// Where a row stands in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// The value of the sort column; none when the order is by id alone.
    pub key: Option<Value>,
    /// Breaks ties.
    pub id: i64,
}

/// One page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// The order of the whole list.
    pub order: Order,
    /// Only rows after this one.
    pub after: Option<Position>,
    /// Only rows before this one.
    pub before: Option<Position>,
    /// Where the pages end that it belongs to, of a list that is polled.
    pub until: Option<DateTime<Utc>>,
    /// Skips so many rows first, of a list that is sorted by id.
    pub offset: u64,
    /// The most rows to return.
    pub limit: u64,
    /// Takes the rows from the end of the list; they still come in its order.
    pub from_end: bool,
    /// Whether the caller wants to know of rows on the side that the page comes
    /// from, which may take a statement of its own.
    pub look_behind: bool,
    /// How the caller goes on from the page.
    pub next: Next,
}

/// How a caller goes on from a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Not from this one: it has no cursors.
    #[default]
    Nowhere,
    /// By a cursor, if there are more rows.
    IfMore,
    /// In any case, unless the page is short.
    IfFull,
}

/// The rows of a page, in the order of the list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether rows come before the first one.
    pub has_previous: bool,
    /// Whether rows come after the last one.
    pub has_next: bool,
    /// How many rows the whole list has, if that was read along with them.
    pub total: Option<i64>,
    /// Up to which instant it shows the rows of a list that is polled, if it had to end.
    pub horizon: Option<DateTime<Utc>>,
    /// Where the pages that follow must end, which its cursors carry.
    pub until: Option<DateTime<Utc>>,
}

impl<T> Page<T> {
    /// The same with other rows.
    fn with<U>(self, rows: Vec<U>) -> Page<U> {
        Page {
            rows,
            has_previous: self.has_previous,
            has_next: self.has_next,
            total: self.total,
            horizon: self.horizon,
            until: self.until,
        }
    }
}

/// An entity that can be listed page by page.
pub trait Listed: EntityTrait {
    /// The column of the id, which breaks ties.
    const ID: Self::Column;

    /// The columns of the keys in which texts are searched for.
    const SEARCHED: &'static [Self::Column] = &[];

    /// The column to sort by, none for the id.
    fn sort_column(field: OrderField) -> Option<Self::Column>;

    /// The id of `row`.
    fn id(row: &Self::Model) -> i64;

    /// How many rows there are; none if nobody keeps count.
    fn tally(tallies: &Tallies) -> Option<&Arc<Tally>>;

    /// What its searched keys look like; none if there are none.
    #[must_use]
    fn sample(_samples: &Samples) -> Option<&Arc<Latest>> {
        None
    }

    /// Where `row` stands when sorted by `field`.
    fn position(row: &Self::Model, field: OrderField) -> Position {
        Position {
            key: Self::sort_column(field).map(|column| row.get(column)),
            id: Self::id(row),
        }
    }
}

impl<T> Default for Page<T> {
    /// A page of which only the total is asked for.
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
            total: None,
            horizon: None,
            until: None,
        }
    }
}

/// What is read of each row: all of it, unless told otherwise.
#[derive(Clone, Default)]
pub struct Reading {
    /// These columns.
    pub columns: Option<Vec<Expr>>,
    /// A statement around the rows, which it knows as [`PAGE`]: it joins what each of
    /// them refers to.
    pub around: Option<SelectStatement>,
    /// Whether the length of the whole list is wanted, too.
    pub total: bool,
}

/// The name of the rows of a page in a statement around them.
pub const PAGE: &str = "page";

/// Reads one page of the rows of `selection`, with all their columns.
///
/// # Errors
/// If the database fails.
pub async fn page_of_models<E: Listed>(
    database: &Database,
    selection: &Selection,
    request: &PageRequest,
) -> Result<Page<E::Model>> {
    let page = page::<E>(database, selection, request, Reading::default()).await?;
    let rows = page.rows.iter();
    let models = rows.map(|row| E::Model::from_query_result(row, ""));
    let models = models.collect::<Result<_, _>>()?;
    Ok(page.with(models))
}

/// Reads one page of the rows of `selection`: of one that is polled up to where it is
/// settled.
///
/// # Errors
/// If the database fails.
pub async fn page<E: Listed>(
    database: &Database,
    selection: &Selection,
    request: &PageRequest,
    reading: Reading,
) -> Result<Page<QueryResult>> {
    let Some(polled) = Polled::of(selection, request.order) else {
        return read::<E>(database, selection, request, reading, None).await;
    };
    let until = request.until.filter(|_| polled.ends);
    let horizon = if until.is_some() || database.reader.is_in_transaction() {
        until
    } else if request.limit == 0 {
        horizon_of_total(database, selection).await?
    } else {
        // Before the page is read.
        let known = database.settled.known();
        let seen = Some((polled, None));
        let page = read::<E>(database, selection, request, reading.clone(), seen).await?;
        let must_end = polled.ends && goes_on(&page, request);
        let engine = database.reader.get_database_backend();
        if !must_end && (engine != DbBackend::Postgres || are_settled(&page.rows, known)?) {
            return Ok(page);
        }
        Some(settle(database).await?)
    };
    let seen = horizon.map(|horizon| (polled, Some(horizon)));
    let mut page = read::<E>(database, selection, request, reading, seen).await?;
    page.horizon = horizon;
    page.until = horizon.filter(|_| polled.ends && goes_on(&page, request));
    Ok(page)
}

/// Up to where to count the rows of `selection` if none of them is read that would tell
/// whether the total is settled.
///
/// # Errors
/// If the database fails.
pub async fn horizon_of_total(
    database: &Database,
    selection: &Selection,
) -> Result<Option<DateTime<Utc>>> {
    let reader = &database.reader;
    // What a transaction reads is for no poll: it has what nobody else can see yet.
    if selection.polled_by.is_none()
        || reader.is_in_transaction()
        || reader.get_database_backend() != DbBackend::Postgres
    {
        return Ok(None);
    }
    settle(database).await.map(Some)
}

/// Reads the horizon, and keeps it for the pages that follow.
async fn settle(database: &Database) -> Result<DateTime<Utc>> {
    let horizon = changes::horizon(database).await?;
    database.settled.learn(horizon);
    Ok(horizon)
}

/// Whether the caller asks for the page that follows.
fn goes_on<T>(page: &Page<T>, request: &PageRequest) -> bool {
    match request.next {
        Next::Nowhere => false,
        Next::IfMore if request.from_end => page.has_previous,
        Next::IfMore => page.has_next,
        Next::IfFull => request.limit > 0 && page.rows.len() as u64 == request.limit,
    }
}

/// Reads one page; of a list that is polled, with the instant of each row or, if there is
/// a horizon, up to that.
async fn read<E: Listed>(
    database: &Database,
    selection: &Selection,
    request: &PageRequest,
    reading: Reading,
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
    let (condition, has_one_plan) = search::condition::<E>(database, selection, purpose).await;
    let db = &reader(database, has_one_plan);
    let mut rows = match reading.columns {
        Some(columns) => from::<E>().exprs(columns).take(),
        None => E::find().into_query(),
    };
    let mut around = reading.around;
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
        let tally = E::tally(&database.tallies).filter(|_| is_whole_list);
        begin_after::<E>(db, &mut rows, direction, request.offset, tally);
    }
    // One row more than asked for tells whether there are more.
    rows.order_by(E::ID.as_column_ref(), direction.sql());
    // What is searched for may be counted in a way of its own.
    let with_total = reading.total && selection.search.is_none();
    let total = with_total.then(|| Total::of::<E>(database, request, &condition));
    let total_of_none = total.as_ref().and_then(Total::of_none);
    let order_by = (order.field, direction);
    let limit = request.limit + 1;
    let statement = statement::<E>(db, rows, order_by, limit, around, total);
    let mut found = db.query_together(statement, limit).await?;
    let total = match found.first() {
        Some(row) if with_total => {
            if let Some(tally) = E::tally(&database.tallies) {
                tally.saw(database, row.try_get("", PARTS)?);
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

    // Rows on the side that the page comes from.
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
        total,
        horizon: None,
        until: None,
    })
}

/// Leaves out of `rows` what does not hold the condition or comes after the horizon; if
/// there is none, adds the instants by which the rows are polled, where they matter.
/// Returns what must hold for the rows that are counted.
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
            // The list has all rows, and a tally may know how many those are.
            rows.cond_where(condition.clone());
            rows.and_where(stamp.lte(horizon));
        }
        (Some(stamp), None) if db.get_database_backend() == DbBackend::Postgres => {
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

/// Where to read rows.
///
/// Few rows are found by an index of the filter, many in the order of the list. For values
/// that it knows PostgreSQL tells which; but from its sixth time on, a prepared statement
/// may have one plan for all, in which few rows are looked for among all others.
fn reader(database: &Database, has_one_plan: bool) -> Statements {
    if has_one_plan {
        database.reader.clone()
    } else {
        database.reader.planned_each_time()
    }
}

/// A statement over the rows of `E` that reads no column yet.
fn from<E: Listed>() -> SelectStatement {
    Query::select().from(E::default().table_ref()).take()
}

/// The statement for the first `limit` of `rows`, which are sorted already.
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
                around.columns([(PAGE, TOTAL), (PAGE, PARTS)]);
            }
            total.with::<E>(engine, rows, (field, direction), limit)
        }
        None => limited(engine.build(&rows), limit),
    };
    if let Some(around) = &mut around {
        // Joined to the page: joined to the table, PostgreSQL would at times merge the
        // two from their first rows on.
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

/// Leaves out the first `offset` of `rows`, in the order of their ids; of all rows of a
/// list with a tally it passes only those in the block where the page begins. To pass by
/// rows takes an index alone; the rows themselves are read from the first that is wanted.
fn begin_after<E: Listed>(
    db: &impl ConnectionTrait,
    rows: &mut SelectStatement,
    direction: Direction,
    offset: u64,
    tally: Option<&Arc<Tally>>,
) {
    let id = E::ID.into_expr();
    let first = if let Some(tally) = tally {
        let parameter = match db.get_database_backend() {
            DbBackend::Postgres => "$1",
            _ => "?",
        };
        let place = tally.place(direction, offset);
        // What to skip as a value that PostgreSQL does not know before: for an offset
        // that it knows it would plan anew at every execution.
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

/// The condition "stands after `position`". A comparison of row values, which
/// both engines answer from an index; the same spelled out with OR is not.
fn beyond<E: Listed>(field: OrderField, direction: Direction, position: &Position) -> Expr {
    let (columns, values) = comparison::<E>(field, position);
    match direction {
        Direction::Asc => columns.gt(values),
        Direction::Desc => columns.lt(values),
    }
}

/// The condition "stands at `position` or before it".
fn up_to<E: Listed>(field: OrderField, direction: Direction, position: &Position) -> Expr {
    let (columns, values) = comparison::<E>(field, position);
    match direction {
        Direction::Asc => columns.lte(values),
        Direction::Desc => columns.gte(values),
    }
}

fn comparison<E: Listed>(field: OrderField, position: &Position) -> (Expr, Expr) {
    let id = E::ID.into_expr();
    match (E::sort_column(field), &position.key) {
        (Some(column), Some(key)) => (
            Expr::tuple([column.into_expr(), id]),
            Expr::tuple([Expr::val(key.clone()), Expr::val(position.id)]),
        ),
        _ => (id, Expr::val(position.id)),
    }
}
