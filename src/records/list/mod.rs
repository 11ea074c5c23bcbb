//! Keyset paging: a page begins after a position in the order, not after a
//! number of rows, so page 2,000 costs what page 1 costs, and rows written
//! meanwhile make no page skip or repeat one.

mod filter;
mod order;
mod page;
pub mod per_client;
mod read;
pub mod row_counts;
pub mod search;
mod settled;
mod total;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, EntityTrait, ModelTrait};
use tokio_util::task::TaskTracker;

use crate::storage::batcher::Batcher;
pub use filter::{Filter, FilterInput, polled_by};
pub use order::{Direction, Order, OrderField, Position};
pub use page::{Columns, Next, PAGE, Page, PageRequest, horizon_of_total, page, page_of_models};
use row_counts::{RowCount, RowCounts};
use search::sample::{Latest, Samples};
pub use settled::Settled;
pub use total::count;

/// What a gateway knows of the lists of one database.
pub struct Lists {
    /// How long they are.
    pub row_counts: RowCounts,
    /// What is in them.
    pub samples: Samples,
    /// Up to which instant of change they are settled.
    pub settled: Settled,
    /// Those who are about to find out.
    pub(super) horizons: Batcher<(), DateTime<Utc>>,
    /// What goes on meanwhile.
    tasks: TaskTracker,
}

impl Lists {
    /// Those of a database of this kind; what goes on meanwhile is among `tasks`.
    #[must_use]
    pub fn new(engine: DbBackend, tasks: TaskTracker) -> Self {
        Self {
            row_counts: RowCounts::new(engine),
            samples: Samples::default(),
            settled: Settled::default(),
            horizons: Batcher::default(),
            tasks,
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
    fn row_count(counts: &RowCounts) -> Option<&Arc<RowCount>>;

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
