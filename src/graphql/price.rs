//! What the lists of an operation cost together, known before any of them is read.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::histogram;
use tokio::task::yield_now;

use crate::{
    error::{Error, Result},
    telemetry::figures::PRICE,
};

/// A list alone may cost so many times more. It is what older integrations ask for, and one
/// statement has a time limit anyway.
const ALONE: u64 = 4;

/// The price of an operation, and how much it may be.
pub struct Price {
    max: u64,
    sum: AtomicU64,
}

impl Price {
    /// The price of an operation whose lists are not known yet.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self {
            max,
            sum: AtomicU64::new(0),
        }
    }

    /// Adds the price of a list, before it is read. If the operation `has_others`, waits until
    /// these have added theirs: all fields of a query begin before any of them goes on.
    ///
    /// # Errors
    /// `TooLarge` if the price of the operation is too high.
    pub async fn add(&self, rows: u64, has_others: bool) -> Result<()> {
        self.sum.fetch_add(rows, Ordering::Relaxed);
        let max = if has_others {
            yield_now().await;
            self.max
        } else {
            self.max.saturating_mul(ALONE)
        };
        let price = self.sum.load(Ordering::Relaxed);
        if price > max {
            return Err(Error::TooLarge(format!(
                "The query is too expensive: its lists have a price of {price} rows, which the \
                 database may have to touch, and {max} are allowed. Narrow the filters, leave out \
                 totalCount, or ask for fewer lists at a time."
            )));
        }
        Ok(())
    }
}

impl Drop for Price {
    fn drop(&mut self) {
        let price = *self.sum.get_mut();
        if price > 0 {
            #[expect(clippy::cast_precision_loss, reason = "metrics are such numbers")]
            histogram!(PRICE).record(price as f64);
        }
    }
}
