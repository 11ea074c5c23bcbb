//! Pages: the request for one, its rows, and the horizon at which a polled list ends.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, FromQueryResult, QueryResult,
    sea_query::{Expr, SelectStatement},
};

use super::{
    Filter, Listed, Order, Position,
    polling::{Polled, are_settled},
    read::read,
};
use crate::{
    error::Result,
    records::{Store, changes},
};

/// The request for one page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// The order of the whole list.
    pub order: Order,
    /// Only rows after this one.
    pub after: Option<Position>,
    /// Only rows before this one.
    pub before: Option<Position>,
    /// The instant at which all pages of this poll end, if it has begun.
    pub until: Option<DateTime<Utc>>,
    /// Skips so many rows first. Only for a list that is sorted by id.
    pub offset: u64,
    /// The most rows to return.
    pub limit: u64,
    /// Takes the rows from the end of the list. They still come in its order.
    pub from_end: bool,
    /// Whether the caller wants to know of rows on the side that the page comes from. This
    /// may take another statement.
    pub look_behind: bool,
    /// How the caller goes on from the page.
    pub next: Next,
}

/// How a caller goes on from a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// The caller does not: the page has no cursors.
    #[default]
    Nowhere,
    /// With a cursor, if there are more rows.
    IfMore,
    /// After every page that is full.
    IfFull,
}

/// A page: some rows of a list, in its order.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether the list has rows before the first one.
    pub has_previous: bool,
    /// Whether the list has rows after the last one.
    pub has_next: bool,
    /// Where to go on, if that is further than the last row: rows up to there were passed over.
    pub end: Option<Position>,
    /// How many rows the whole list has, if that was read along with the page.
    pub total: Option<i64>,
    /// The horizon at which the page ends, if the list is polled and one was needed.
    pub horizon: Option<DateTime<Utc>>,
    /// The instant at which the next pages of this poll must end. The cursors carry it.
    pub until: Option<DateTime<Utc>>,
}

impl<T> Page<T> {
    /// The same page with other rows.
    fn with<U>(self, rows: Vec<U>) -> Page<U> {
        Page {
            rows,
            has_previous: self.has_previous,
            has_next: self.has_next,
            end: self.end,
            total: self.total,
            horizon: self.horizon,
            until: self.until,
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
            end: None,
            total: None,
            horizon: None,
            until: None,
        }
    }
}

/// What to read of each row: all columns, unless told otherwise.
#[derive(Default)]
pub struct Columns {
    /// Only these columns.
    pub columns: Option<Vec<Expr>>,
    /// A statement around the page, which it knows as [`PAGE`]. It joins the records that
    /// the rows refer to.
    pub around: Option<SelectStatement>,
    /// Whether the number of rows of the whole list is wanted, too.
    pub total: bool,
}

/// The name of the page in a statement around it.
pub const PAGE: &str = "page";

/// Reads one page of the rows of `filter`, with all their columns. An answer may have a row
/// many times, so they are shared.
///
/// # Errors
/// If the database fails.
pub async fn page_of_models<E: Listed>(
    store: &Store,
    filter: &Filter,
    request: &PageRequest,
) -> Result<Page<Arc<E::Model>>> {
    let page = page::<E>(store, filter, request, Columns::default).await?;
    let rows = page.rows.iter();
    let models = rows.map(|row| E::Model::from_query_result(row, "").map(Arc::new));
    let models = models.collect::<Result<_, _>>()?;
    Ok(page.with(models))
}

/// Reads one page of the rows of `filter`. If the list is polled, only settled rows are in it,
/// and some pages are read twice, with `columns` each time.
///
/// # Errors
/// If the database fails.
pub async fn page<E: Listed>(
    store: &Store,
    filter: &Filter,
    request: &PageRequest,
    columns: impl Fn() -> Columns,
) -> Result<Page<QueryResult>> {
    let Some(polled) = Polled::of(filter, request.order) else {
        return read::<E>(store, filter, request, columns(), None).await;
    };
    let until = request.until.filter(|_| polled.ends);
    let horizon = if until.is_some() || store.reader.is_in_transaction() {
        until
    } else if request.limit == 0 {
        horizon_of_total(store, filter).await?
    } else {
        // Read before the page, or it would not hold for the page.
        let known = store.lists.settled.known();
        let seen = Some((polled, None));
        let page = read::<E>(store, filter, request, columns(), seen).await?;
        let must_end = polled.ends && goes_on(&page, request);
        let engine = store.reader.get_database_backend();
        if !must_end
            && (engine != DbBackend::Postgres || are_settled::<E>(&page.rows, polled, known)?)
        {
            return Ok(page);
        }
        Some(read_horizon(store).await?)
    };
    let seen = horizon.map(|horizon| (polled, Some(horizon)));
    let mut page = read::<E>(store, filter, request, columns(), seen).await?;
    page.horizon = horizon;
    page.until = horizon.filter(|_| polled.ends && goes_on(&page, request));
    Ok(page)
}

/// The horizon for the total of `filter`, if no rows are read that could show whether all
/// of them are settled.
///
/// # Errors
/// If the database fails.
pub async fn horizon_of_total(store: &Store, filter: &Filter) -> Result<Option<DateTime<Utc>>> {
    let reader = &store.reader;
    // A transaction sees rows that are not committed, so nobody polls by what it reads.
    if filter.polled_by.is_none()
        || reader.is_in_transaction()
        || reader.get_database_backend() != DbBackend::Postgres
    {
        return Ok(None);
    }
    read_horizon(store).await.map(Some)
}

/// Reads the horizon, and remembers it for later pages.
async fn read_horizon(store: &Store) -> Result<DateTime<Utc>> {
    let horizon = changes::horizon(store).await?;
    store.lists.settled.learn(horizon);
    Ok(horizon)
}

/// Whether the caller will ask for the next page.
fn goes_on<T>(page: &Page<T>, request: &PageRequest) -> bool {
    match request.next {
        Next::Nowhere => false,
        Next::IfMore if request.from_end => page.has_previous,
        Next::IfMore => page.has_next,
        Next::IfFull => request.limit > 0 && page.rows.len() as u64 == request.limit,
    }
}
