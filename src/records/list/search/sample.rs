//! Samples of each list, which tell rare texts and values from common ones.
//!
//! The statistics of PostgreSQL are too coarse for that. They know texts that one row in a
//! hundred has; and if one of their hundred keys happens to contain a rare text, it seems
//! common, and all rows are read to find a few. SQLite has no such statistics.
//!
//! No answer depends on a sample, so none waits long for one or fails without one.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use memchr::memmem;
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DbErr, IdenStatic, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Value,
};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    records::{
        Store,
        list::{
            Listed,
            row_counts::{BLOCK_BITS, RowCount},
        },
    },
    storage::{connections::fault::Redacted, id_lists::any_of},
};

/// Rows in a sample. Of a text that a thousandth of all rows have, it has about four.
const SIZE: usize = 4_096;
/// The age at which a sample is replaced.
const FRESH: Duration = Duration::from_mins(1);
/// How long a search waits for the first sample.
const PATIENCE: Duration = Duration::from_millis(500);
/// The part of all rows that a condition is expected to leave of which the sample knows nothing.
pub(in crate::records::list) const UNKNOWN_SHARE: f64 = 0.005;
/// Separates the keys. No text contains it.
const BETWEEN: char = '\0';

/// The samples of one database.
#[derive(Clone, Default)]
pub struct Samples {
    /// Of clients.
    pub clients: Arc<Latest>,
    /// Of locations.
    pub locations: Arc<Latest>,
}

/// The latest sample of one list; none until the first one is taken.
#[derive(Default)]
pub struct Latest {
    sample: RwLock<Option<Arc<Sample>>>,
    /// Locked while a new sample is taken.
    taking: Arc<Mutex<()>>,
}

/// A value of a column that is filtered by, as it is sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A number, or an instant in milliseconds.
    Number(i64),
    /// A text.
    Text(String),
}

impl Key {
    /// From a value; none if it is null or of another type.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::BigInt(Some(number)) => Some(Self::Number(*number)),
            Value::String(Some(text)) => Some(Self::Text(text.clone())),
            Value::ChronoDateTimeUtc(Some(at)) => Some(Self::Number(at.timestamp_millis())),
            _ => None,
        }
    }

    /// From a column of a row.
    fn read<C: ColumnTrait>(row: &QueryResult, column: C) -> Result<Option<Self>, DbErr> {
        let name = column.as_str();
        Ok(match column.def().get_column_type() {
            ColumnType::BigInteger => row.try_get::<Option<i64>>("", name)?.map(Self::Number),
            ColumnType::TimestampWithTimeZone => {
                let at: Option<DateTime<Utc>> = row.try_get("", name)?;
                at.map(|at| Self::Number(at.timestamp_millis()))
            }
            _ => row.try_get::<Option<String>>("", name)?.map(Self::Text),
        })
    }
}

/// A sample: some rows of a list.
pub struct Sample {
    /// The keys, one after the other, in the order of the ids.
    keys: String,
    /// How many rows the sample has.
    rows: usize,
    /// How many rows the list has.
    all: usize,
    /// The values of the columns that are filtered by, sorted, without nulls.
    values: HashMap<&'static str, Vec<Key>>,
    taken: Instant,
}

impl Latest {
    /// The sample of `E`; none if there is none in time. One that is too old is used while
    /// a new one is taken.
    pub async fn sample<E: Listed>(self: &Arc<Self>, store: &Store) -> Option<Arc<Sample>> {
        let is_fresh = |sample: &Arc<Sample>| sample.taken.elapsed() < FRESH;
        let latest = self.get();
        if latest.as_ref().is_some_and(is_fresh) {
            return latest;
        }
        let taking = Arc::clone(&self.taking);
        let taking = if latest.is_some() {
            taking.try_lock_owned().ok()
        } else {
            timeout(PATIENCE, taking.lock_owned()).await.ok()
        };
        let Some(taking) = taking else {
            return latest;
        };
        // Another search may have taken a sample while this one waited.
        let newer = self.get();
        if newer.as_ref().is_some_and(is_fresh) {
            return newer;
        }
        let (this, taken_from) = (Arc::clone(self), store.of_gateway());
        let tasks = &store.lists.tasks;
        let renewed = tasks.spawn(async move {
            match Sample::take::<E>(&taken_from).await {
                Ok(sample) => {
                    let sample = sample.map(Arc::new);
                    *this.sample.write().unwrap_or_else(PoisonError::into_inner) = sample;
                }
                Err(error) => {
                    tracing::warn!(error = %Redacted(&error), "cannot take a sample of the keys");
                }
            }
            drop(taking);
        });
        if latest.is_none() {
            // If it fails, the task has logged that.
            let _ = timeout(PATIENCE, renewed).await;
            return self.get();
        }
        latest
    }

    /// The sample that is known, however old it is.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Sample>> {
        let sample = self.sample.read().unwrap_or_else(PoisonError::into_inner);
        sample.clone()
    }
}

impl Sample {
    /// Reads the keys of some rows; none if the list has no row count to find rows by.
    async fn take<E: Listed>(store: &Store) -> Result<Option<Self>, DbErr> {
        let Some(row_count) = store.lists.row_count::<E>() else {
            return Ok(None);
        };
        let (taken, db) = (Instant::now(), &store.reader);
        let blocks = blocks(db, row_count).await?;
        let all = blocks.last().map_or(0, |(_, end)| *end);
        // Each once; those that are searched come first.
        let columns = E::SEARCHED.iter().chain(E::FILTERED);
        let mut seen = IndexSet::new();
        let columns = columns.filter(|column| seen.insert(column.as_str()));
        let columns: Vec<_> = columns.copied().collect();
        let mut rows = E::find().select_only().columns(columns).order_by_asc(E::ID);
        if all > SIZE {
            rows = rows.filter(any_of(db, E::ID.into_expr(), &random_ids(&blocks, all)));
        }
        let rows = db.query_all(rows.as_query()).await?;
        let (mut keys, mut values) = (String::new(), HashMap::new());
        for column in E::FILTERED {
            let found = rows.iter().map(|row| Key::read(row, *column));
            let found = found.filter_map(Result::transpose);
            let mut found = found.collect::<Result<Vec<_>, _>>()?;
            found.sort_unstable();
            values.insert(column.as_str(), found);
        }
        for row in &rows {
            for column in 0..E::SEARCHED.len() {
                let key: Option<String> = row.try_get_by_index(column)?;
                keys.push_str(key.as_deref().unwrap_or_default());
                keys.push(BETWEEN);
            }
        }
        Ok(Some(Self {
            keys,
            rows: rows.len(),
            all,
            values,
            taken,
        }))
    }

    /// How many rows the list has.
    #[must_use]
    pub fn all(&self) -> usize {
        self.all
    }

    /// About which part of all rows has a value in these bounds. None is never expected: a sample
    /// does not have every value.
    #[must_use]
    pub fn share(&self, column: &str, least: Option<&Key>, greatest: Option<&Key>) -> f64 {
        let rows = part_of(self.rows.max(1));
        let Some(values) = self.values.get(column) else {
            return UNKNOWN_SHARE;
        };
        let from = least.map_or(0, |least| values.partition_point(|value| value < least));
        let to = greatest.map_or(values.len(), |greatest| {
            values.partition_point(|value| value <= greatest)
        });
        // A value that the sample does not have is in less than one of its rows.
        let found = if to > from { part_of(to - from) } else { 0.3 };
        (found / rows).min(1.0)
    }

    /// What to expect of a folded text.
    #[must_use]
    pub fn look_for(&self, text: &str) -> Outlook {
        let length = self.keys.len();
        let (mut found, mut first, mut last) = (0, length, 0);
        for place in memmem::find_iter(self.keys.as_bytes(), text) {
            found += 1;
            first = first.min(place);
            last = place;
        }
        let part = |part: usize, whole: usize| self.all.saturating_mul(part) / whole.max(1);
        // Of an evenly spread text the first place is further away than this only once in
        // fifty times.
        let by_chance = part(4, found + 1);
        let if_not_by_chance = |distance| if distance > by_chance { distance } else { 0 };
        Outlook {
            all: self.all,
            rows: part(found, self.rows).min(self.all),
            before_first: if_not_by_chance(part(first, length)),
            behind_last: if_not_by_chance(part(length - last, length)),
        }
    }
}

/// A number of rows, to divide by.
fn part_of(rows: usize) -> f64 {
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// What a sample tells of a text, in rows of the list. All numbers but the first are estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// All rows.
    pub all: usize,
    /// Rows with the text.
    pub rows: usize,
    /// Rows before the first one with the text, in the order of the ids; 0 unless they are
    /// more than chance explains.
    pub before_first: usize,
    /// Rows behind the last one with the text, likewise.
    pub behind_last: usize,
}

/// The blocks of ids that have rows, each with the number of rows up to its end.
async fn blocks(
    db: &impl ConnectionTrait,
    row_count: &RowCount,
) -> Result<Vec<(i64, usize)>, DbErr> {
    let (mut blocks, mut end) = (Vec::new(), 0_usize);
    for row in db.query_all(&row_count.blocks()).await? {
        let (block, rows): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if let Ok(rows @ 1..) = usize::try_from(rows) {
            end = end.saturating_add(rows);
            blocks.push((block, end));
        }
    }
    Ok(blocks)
}

/// Random ids, which have rows if their blocks have no gaps. Each is drawn by itself:
/// neighbours have much in common, such as the beginning of a number.
fn random_ids(blocks: &[(i64, usize)], all: usize) -> Vec<i64> {
    let random_id = |_| {
        let place = rand::random_range(0..all);
        let index = blocks.partition_point(|(_, end)| *end <= place);
        let (block, _) = blocks.get(index)?;
        Some((block << BLOCK_BITS) | rand::random_range(0..1 << BLOCK_BITS))
    };
    (0..SIZE).filter_map(random_id).collect()
}
