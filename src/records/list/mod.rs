//! Keyset paging: a page begins after a position in the order, not after a
//! number of rows, so page 2,000 costs what page 1 costs, and rows written
//! meanwhile make no page skip or repeat one.

mod filter;
mod order;
mod page;
pub mod per_client;
mod polling;
mod price;
mod read;
pub mod row_counts;
pub mod search;
mod total;

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, EntityTrait, ModelTrait};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::storage::batcher::Batcher;
pub use filter::{Bound, Filter, FilterInput, Terms, polled_by};
pub use order::{Direction, Order, OrderField, Position};
pub use page::{Columns, Next, PAGE, Page, PageRequest, horizon_of_total, page, page_of_models};
pub use polling::Settled;
pub use price::price;
use row_counts::{RowCount, RowCounts};
use search::sample::{Latest, Samples};
pub use total::count;

/// What a gateway keeps in memory of the lists of one database.
pub struct Lists {
    /// How many rows they have.
    pub row_counts: RowCounts,
    /// Samples of their keys.
    pub samples: Samples,
    /// The latest horizon.
    pub settled: Settled,
    /// Batches of requests that need a new horizon.
    pub(super) horizons: Batcher<(), DateTime<Utc>>,
    /// The tables that a backfill is yet to fill.
    unfilled: RwLock<Vec<String>>,
    /// One merge of the search indexes at a time.
    pub(super) merges: Mutex<()>,
    /// Runs merges of row counts and of indexes, and takes samples.
    pub(super) tasks: TaskTracker,
}

impl Lists {
    /// For a database on this engine. Merges and samples run in `tasks`.
    #[must_use]
    pub fn new(engine: DbBackend, tasks: TaskTracker) -> Self {
        Self {
            row_counts: RowCounts::new(engine),
            samples: Samples::default(),
            settled: Settled::default(),
            horizons: Batcher::default(),
            unfilled: RwLock::default(),
            merges: Mutex::default(),
            tasks,
        }
    }

    /// Notes which tables a [backfill](crate::storage::backfill) is yet to fill. Nobody reads
    /// them until they are not among these.
    pub fn note_unfilled(&self, tables: Vec<String>) {
        *self
            .unfilled
            .write()
            .unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// Whether a table has all that it is to have.
    fn is_filled(&self, table: &str) -> bool {
        let unfilled = self.unfilled.read().unwrap_or_else(PoisonError::into_inner);
        !unfilled.iter().any(|unfilled| unfilled == table)
    }

    /// The row count of a list; none if it has none, or not yet.
    fn row_count<E: Listed>(&self) -> Option<&Arc<RowCount>> {
        E::row_count(&self.row_counts).filter(|row_count| self.is_filled(row_count.table))
    }

    /// Whether the index for searches has all rows of a list.
    fn is_search_indexed<E: Listed>(&self) -> bool {
        self.is_filled(&search::index_of::<E>())
    }
}

/// An entity that can be listed page by page.
pub trait Listed: EntityTrait {
    /// The column of the id, which breaks ties.
    const ID: Self::Column;

    /// The columns with the keys that a search looks into.
    const SEARCHED: &'static [Self::Column] = &[];

    /// The columns that are filtered by.
    const FILTERED: &'static [Self::Column] = &[];

    /// The column to sort by; none for the id.
    fn sort_column(field: OrderField) -> Option<Self::Column>;

    /// The id of `row`.
    fn id(row: &Self::Model) -> i64;

    /// The row count of the list; none if it has none.
    fn row_count(counts: &RowCounts) -> Option<&Arc<RowCount>>;

    /// The sample of its rows; none if it is not sampled.
    #[must_use]
    fn sample(_samples: &Samples) -> Option<&Arc<Latest>> {
        None
    }

    /// The position of `row` when the list is sorted by `field`.
    fn position(row: &Self::Model, field: OrderField) -> Position {
        Position {
            key: Self::sort_column(field).map(|column| row.get(column)),
            id: Self::id(row),
        }
    }
}
