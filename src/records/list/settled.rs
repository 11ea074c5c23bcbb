//! Lists that callers poll: they ask again for what was changed since the last instant
//! that they have seen, or go on from the last row. So such a list ends before the first
//! instant with which a row may yet appear: at the horizon, see `changes::horizon`.
//!
//! Most pages hold nothing that is new. They are read as all others are, and shown as they
//! are if no row is newer than a horizon that this gateway had read before. Only if there is
//! one is a horizon read, and the page once more, up to it.
//!
//! The pages of one poll end at the same instant. A row of the first page that changes
//! while the others are read would else be lost: it is not read again, and a later page may
//! show a later instant than the one at which it changed. So cursors of such a page carry
//! the instant for as long as there is a next page. Where the polled instant is what the
//! list is sorted by, a changed row comes after the pages that were read.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult};

use super::{Filter, Order, OrderField};

/// The instant by which a list is polled, among the columns of its rows.
pub const STAMP: &str = "stamp";

/// The last horizon that a gateway has read, in milliseconds.
#[derive(Debug)]
pub struct Settled(AtomicI64);

impl Default for Settled {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Settled {
    /// Up to where all that a statement reads which begins after this is settled.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Keeps a horizon that was read.
    pub fn learn(&self, horizon: DateTime<Utc>) {
        let horizon = horizon.timestamp_millis();
        self.0.fetch_max(horizon, Ordering::AcqRel);
    }
}

/// How a list is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// By this instant.
    pub by: OrderField,
    /// From a lower bound, and not only in the order of the instants.
    pub from_bound: bool,
    /// Whether its pages end at the same instant.
    pub ends: bool,
}

impl Polled {
    /// How the rows of `filter` are polled in this order; none if they are not. The bound
    /// decides: a record whose creation is asked for must not be left out because it has
    /// changed meanwhile.
    #[must_use]
    pub fn of(filter: &Filter, order: Order) -> Option<Self> {
        let is_instant =
            |field: &OrderField| matches!(field, OrderField::CreatedAt | OrderField::UpdatedAt);
        let bound = filter.polled_by;
        let by = bound.or(Some(order.field).filter(is_instant))?;
        Some(Self {
            by,
            from_bound: bound.is_some(),
            ends: bound.is_some_and(|bound| bound != order.field),
        })
    }
}

/// Whether none of these rows is newer than the instant `known`, in milliseconds.
///
/// # Errors
/// If the rows do not have their [`STAMP`].
pub fn are_settled(rows: &[QueryResult], known: i64) -> Result<bool, DbErr> {
    let Some(first) = rows.first() else {
        return Ok(true);
    };
    // To look for the name in every row would take longer than all else.
    let names = first.column_names();
    let index = names.iter().position(|name| name == STAMP);
    let index = index.ok_or_else(|| DbErr::RecordNotFound(STAMP.to_owned()))?;
    for row in rows {
        let stamp: DateTime<Utc> = row.try_get_by_index(index)?;
        if stamp.timestamp_millis() > known {
            return Ok(false);
        }
    }
    Ok(true)
}
