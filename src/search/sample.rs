//! Some keys of each list, by which rare texts are told from common ones.
//!
//! The statistics of PostgreSQL are too coarse for that. They tell of one text in a
//! hundred, and one of their hundred keys that happens to contain a rare text makes it
//! seem common: then all rows are read to find a few. SQLite has none.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use memchr::memmem;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use tokio::sync::Mutex;

use crate::{database::Database, error::Result, paging::Listed, statements::any_of};

/// Rows in a sample. A text that a thousandth of all have is in four of them.
const SIZE: i64 = 4_096;
/// How long a sample is used. Who finds it older takes another one; the others go on
/// with it meanwhile.
const FRESH: Duration = Duration::from_mins(1);
/// Stands between keys, for no text contains it.
const BETWEEN: char = '\0';

/// The samples of one database.
#[derive(Clone, Default)]
pub struct Samples {
    /// Of the keys of clients.
    pub clients: Arc<Kept>,
    /// Of the keys of locations.
    pub locations: Arc<Kept>,
}

/// The sample of one list, once it was needed.
#[derive(Default)]
pub struct Kept {
    sample: RwLock<Option<Arc<Sample>>>,
    /// Held by whoever takes another one.
    taking: Mutex<()>,
}

/// Keys of some rows of a list.
pub struct Sample {
    /// All keys of these rows, one after the other, in the order of the ids.
    keys: String,
    /// How many rows they are of.
    rows: usize,
    /// About so many rows there are in all.
    all: usize,
    taken: Instant,
}

impl Kept {
    /// The sample of `E`: a new one if there is none that is fresh.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sample<E: Listed>(&self, database: &Database) -> Result<Arc<Sample>> {
        let kept = self.get();
        let _taking = match kept {
            Some(sample) if sample.taken.elapsed() < FRESH => return Ok(sample),
            Some(sample) => match self.taking.try_lock() {
                Ok(taking) => taking,
                Err(_) => return Ok(sample),
            },
            None => self.taking.lock().await,
        };
        // Another one may have been taken while this one waited.
        if let Some(sample) = self.get().filter(|sample| sample.taken.elapsed() < FRESH) {
            return Ok(sample);
        }
        let sample = Arc::new(Sample::take::<E>(&database.reader).await?);
        let mut kept = self.sample.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::clone(&sample));
        Ok(sample)
    }

    fn get(&self) -> Option<Arc<Sample>> {
        let sample = self.sample.read().unwrap_or_else(PoisonError::into_inner);
        sample.clone()
    }
}

impl Sample {
    /// Reads the keys of some rows, by random ids.
    async fn take<E: Listed>(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let taken = Instant::now();
        let newest = E::find().select_only().column_as(E::ID.max(), "id");
        let newest: Option<Option<i64>> = newest.into_tuple().one(db).await?;
        let newest = newest.flatten().unwrap_or_default();
        let ids: Vec<_> = if newest <= SIZE {
            (1..=newest).collect()
        } else {
            (0..SIZE).map(|_| rand::random_range(1..=newest)).collect()
        };
        let rows = E::find()
            .select_only()
            .columns(E::SEARCHED.iter().copied())
            .filter(any_of(db, E::ID.into_expr(), &ids))
            .order_by_asc(E::ID);
        let rows = db.query_all(rows.as_query()).await?;
        let mut keys = String::new();
        for row in &rows {
            for column in 0..E::SEARCHED.len() {
                let key: Option<String> = row.try_get_by_index(column)?;
                keys.push_str(key.as_deref().unwrap_or_default());
                keys.push(BETWEEN);
            }
        }
        // Of the ids that were given, as many are there as of all.
        let all = newest.unsigned_abs() * rows.len() as u64 / (ids.len() as u64).max(1);
        Ok(Self {
            keys,
            rows: rows.len(),
            all: usize::try_from(all).unwrap_or(usize::MAX),
            taken,
        })
    }

    /// What can be expected of a text, which is folded.
    #[must_use]
    pub fn look_for(&self, text: &str) -> Seen {
        let length = self.keys.len();
        let (mut found, mut first, mut last) = (0, length, 0);
        for place in memmem::find_iter(self.keys.as_bytes(), text) {
            found += 1;
            first = first.min(place);
            last = place;
        }
        let part = |part: usize, whole: usize| self.all.saturating_mul(part) / whole.max(1);
        // Of rows with the text in every place, so few are here that the first is some way
        // off, but once in fifty times further than this.
        let by_chance = part(4, found + 1);
        let if_not_by_chance = |distance| if distance > by_chance { distance } else { 0 };
        Seen {
            all: self.all,
            rows: part(found, self.rows).min(self.all),
            before_first: if_not_by_chance(part(first, length)),
            behind_last: if_not_by_chance(part(length - last, length)),
        }
    }
}

/// What a sample tells of a text: numbers of rows in the list, all estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// All.
    pub all: usize,
    /// Those with the text.
    pub rows: usize,
    /// Those before the first one with it, in the order of the ids, if they are many.
    pub before_first: usize,
    /// Those behind the last one with it, likewise.
    pub behind_last: usize,
}
