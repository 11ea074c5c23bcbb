//! Polled lists: a caller asks again for what was changed since the last instant that it
//! has seen, or goes on from the last row. So such a list must end before the first instant
//! with which a row may still appear: at the horizon, see `changes::horizon`.
//!
//! Most pages hold nothing new. They are read like all others, and shown if no row is newer
//! than a horizon that this gateway has read before. Only otherwise a horizon is read, and
//! the page once more, up to the horizon.
//!
//! All pages of one poll end at the same instant. Otherwise a row of the first page that
//! changes while the others are read would be lost: it is not read again, and a later page
//! may show a later instant than that of the change. So the cursors carry the instant for
//! as long as there is a next page. A list that is sorted by the polled instant need not do
//! so: there a changed row comes after the pages that were read.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, IdenStatic, QueryResult};

use super::{Filter, Listed, Order, OrderField};

/// The column with the instant by which a list is polled.
pub const STAMP: &str = "stamp";

/// The latest horizon that this gateway has read, in milliseconds.
#[derive(Debug)]
pub struct Settled(AtomicI64);

impl Default for Settled {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Settled {
    /// The instant up to which a statement that begins after this reads only what is settled.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Remembers a horizon that was read.
    pub fn learn(&self, horizon: DateTime<Utc>) {
        let horizon = horizon.timestamp_millis();
        self.0.fetch_max(horizon, Ordering::AcqRel);
    }
}

/// How a list is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The instant by which it is polled.
    pub by: OrderField,
    /// Whether it is sorted by that instant, so that the newest row is the first or the last.
    pub is_sorted: bool,
    /// Whether that instant has a lower bound. If not, the list is just sorted by it.
    pub from_bound: bool,
    /// Whether all pages of a poll must end at the same instant.
    pub ends: bool,
}

impl Polled {
    /// How the rows of `filter` are polled in this order; none if they are not. The bound
    /// precedes the order: a record whose creation is asked for must not be left out
    /// because it has changed meanwhile.
    #[must_use]
    pub fn of(filter: &Filter, order: Order) -> Option<Self> {
        let is_instant =
            |field: &OrderField| matches!(field, OrderField::CreatedAt | OrderField::UpdatedAt);
        let bound = filter.polled_by;
        let by = bound.or(Some(order.field).filter(is_instant))?;
        Some(Self {
            by,
            is_sorted: by == order.field,
            from_bound: bound.is_some(),
            ends: bound.is_some_and(|bound| bound != order.field),
        })
    }
}

/// Whether none of these rows, which are polled in this way, is newer than the instant
/// `known`, in milliseconds.
///
/// # Errors
/// If the rows do not have their instants.
pub fn are_settled<E: Listed>(
    rows: &[QueryResult],
    polled: Polled,
    known: i64,
) -> Result<bool, DbErr> {
    let Some(first) = rows.first() else {
        return Ok(true);
    };
    let is_settled = |stamp: DateTime<Utc>| stamp.timestamp_millis() <= known;
    if let Some(column) = E::sort_column(polled.by).filter(|_| polled.is_sorted) {
        // Of sorted rows the first and the last one tell.
        for row in [Some(first), rows.last()].into_iter().flatten() {
            if !is_settled(row.try_get("", column.as_str())?) {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    // Looking for the name in every row would take longer than everything else.
    let names = first.column_names();
    let index = names.iter().position(|name| name == STAMP);
    let index = index.ok_or_else(|| DbErr::RecordNotFound(STAMP.to_owned()))?;
    for row in rows {
        if !is_settled(row.try_get_by_index(index)?) {
            return Ok(false);
        }
    }
    Ok(true)
}
