//! Reads the log, at a cost that does not grow with it.
//!
//! The log has few indexes: each would cost every write. It is read in the order of its
//! numbers, and two things keep that short:
//!
//! - A page looks at [`LOOKED_AT`] changes and no more. If it has not found enough by then, it
//!   ends early, and its last cursor is that of the last change it has looked at: whoever goes
//!   on from there misses nothing.
//! - Numbers and instants grow together, but for the seconds that a transaction may take. So a
//!   binary search over the numbers leads to an instant, with [`SLACK`] on the safe side.

use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use entity::{change, change_pruned};
use sea_orm::{
    Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Statement,
};

use super::{Wanted, last_settled};
use crate::{
    error::{Error, Result},
    records::{
        Store,
        list::{self, Direction, Filter, Page, PageRequest, Position},
    },
};

/// The most changes that a page looks at.
const LOOKED_AT: u64 = 20_000;
/// The most changes that a total looks at.
const COUNTED: u64 = 100_000;
/// A change has an instant that is at most so much apart from those of its neighbours: more than
/// a transaction may take.
const SLACK: TimeDelta = TimeDelta::minutes(1);

/// A part of the log: what a request wants of it, as it is at one moment.
#[derive(Clone, Debug)]
pub struct Feed {
    indexed: Condition,
    compared: Condition,
    /// Only changes after this number.
    after: Option<i64>,
    /// Only changes up to this number.
    up_to: Option<i64>,
}

impl Wanted {
    /// The price of a page of so many changes, if one is asked for, and of the total, in rows as
    /// those of lists.
    #[must_use]
    pub fn price(&self, page: Option<&PageRequest>, with_total: bool) -> u64 {
        /// What it costs to look at many changes, and to count many.
        const LOOKED: u64 = LOOKED_AT / 10;
        const TOTAL: u64 = COUNTED / 5;
        let page = page.map_or(0, |page| {
            let looks = if self.compared.is_empty() { 0 } else { LOOKED };
            page.limit + looks
        });
        page + if with_total { TOTAL } else { 0 }
    }
}

impl Feed {
    /// What is wanted, up to the horizon: no change with a smaller number appears after one that
    /// was read. The statements that read the changes must begin after this.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open(store: &Store, wanted: Wanted) -> Result<Self> {
        let db = &store.reader;
        let horizon = last_settled(db).await?;
        let beginning = beginning(db).await?.up_to;
        let Wanted {
            indexed,
            compared,
            from,
            to,
        } = wanted;
        let after = match from {
            Some(from) => place_of(db, from - SLACK).await?.map(|(low, _)| low),
            None => None,
        };
        // Later years do not sort as texts, and no change is made in them.
        let beyond = to.map(|to| to + SLACK).filter(|to| to.year() <= 9999);
        let last = match beyond {
            Some(beyond) => place_of(db, beyond).await?.map(|(_, high)| high),
            None => None,
        };
        Ok(Self {
            indexed,
            compared,
            // Further back there are only those of clients that were erased.
            after: after.max(Some(beginning)),
            up_to: last.into_iter().chain(horizon).min(),
        })
    }

    fn within(&self, after: Option<i64>, up_to: Option<i64>) -> Condition {
        self.indexed
            .clone()
            .add_option(after.map(|id| change::COLUMN.id.gt(id)))
            .add_option(up_to.map(|id| change::COLUMN.id.lte(id)))
    }

    /// Reads a page. It may end before it is full, at the position `end`.
    ///
    /// # Errors
    /// `PositionLost` if changes after the one where the page begins were deleted, or what the
    /// database reports.
    pub async fn page(
        &self,
        store: &Store,
        request: &PageRequest,
    ) -> Result<Page<Arc<change::Model>>> {
        let direction = request.order.direction;
        let start = request.after.as_ref().map(|position| position.id);
        let (mut after, mut up_to) = (self.after, self.up_to);
        let mut end = None;
        if !self.compared.is_empty() {
            end = match direction {
                Direction::Asc => {
                    let looked_at = self.within(after.max(start), up_to);
                    nth(store, looked_at, direction, LOOKED_AT).await?
                }
                Direction::Desc => {
                    let before = start.map(|id| id.saturating_sub(1));
                    let first = up_to.into_iter().chain(before).min();
                    let looked_at = self.within(after, first);
                    nth(store, looked_at, direction, LOOKED_AT).await?
                }
            };
            match (end, direction) {
                (None, _) => {}
                (Some(end), Direction::Asc) => up_to = Some(end),
                (Some(end), Direction::Desc) => after = Some(end.saturating_sub(1)),
            }
        }
        let filter = Filter {
            condition: self.within(after, up_to).add(self.compared.clone()),
            bounds: Vec::new(),
            search: None,
            generic_plan: false,
            polled_by: None,
        };
        let request = PageRequest {
            look_behind: false,
            ..request.clone()
        };
        let mut page = list::page_of_models::<change::Entity>(store, &filter, &request).await?;
        // The change of the cursor is one.
        page.has_previous = start.is_some();
        if let Some(id) = end
            && !page.has_next
        {
            page.has_next = true;
            page.end = Some(Position { key: None, id });
        }
        if let Some(start) = start
            && direction == Direction::Asc
        {
            // They may have been deleted meanwhile.
            let beginning = self::beginning(&store.reader).await?;
            if start < beginning.up_to {
                return Err(lost(&beginning));
            }
        }
        Ok(page)
    }

    /// Counts the changes.
    ///
    /// # Errors
    /// `TooLarge` if too many would have to be looked at, or what the database reports.
    pub async fn count(&self, store: &Store) -> Result<i64> {
        let within = self.within(self.after, self.up_to);
        let beyond = nth(store, within.clone(), Direction::Asc, COUNTED + 1).await?;
        if beyond.is_some() {
            return Err(Error::TooLarge(format!(
                "The log has too many changes to count them: more than {COUNTED} would have to be \
                 looked at. Leave out totalCount, or narrow the filter by clientId, by, from or to."
            )));
        }
        let counted = change::Entity::find().filter(within.add(self.compared.clone()));
        let count = counted.count(&store.reader).await?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// Where the log begins.
///
/// # Errors
/// If the database fails.
pub async fn beginning(db: &impl ConnectionTrait) -> Result<change_pruned::Model> {
    let found = change_pruned::Entity::find().one(db).await?;
    let missing = || DbErr::RecordNotFound("the beginning of the log".to_owned());
    Ok(found.ok_or_else(missing)?)
}

/// Refuses to go on in the history of a client from a change that was deleted. What follows one
/// that is still there is there, too. To be asked after the page was read, as it may be deleted
/// meanwhile.
///
/// # Errors
/// `PositionLost`, or what the database reports.
pub async fn check_start_of_history(store: &Store, start: i64) -> Result<()> {
    let db = &store.reader;
    let beginning = beginning(db).await?;
    let is_lost =
        start < beginning.up_to && change::Entity::find_by_id(start).one(db).await?.is_none();
    if is_lost {
        return Err(lost(&beginning));
    }
    Ok(())
}

fn lost(beginning: &change_pruned::Model) -> Error {
    Error::PositionLost {
        begins_after: beginning.up_to,
    }
}

/// The number of the change that comes as the `n`th; none if there are fewer.
async fn nth(
    store: &Store,
    condition: Condition,
    direction: Direction,
    n: u64,
) -> Result<Option<i64>> {
    let numbers = change::Entity::find()
        .select_only()
        .column(change::Column::Id)
        .filter(condition)
        .order_by(change::Column::Id, direction.sql())
        .offset(n.saturating_sub(1))
        .limit(1);
    let db = store.reader.custom_plans();
    let row = db.query_one(numbers.as_query()).await?;
    let number = row.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(number)
}

/// Two numbers next to each other: changes up to the first one are earlier than `instant`, or
/// near it, and those after the second one are not. None if the log is empty.
async fn place_of(db: &impl ConnectionTrait, instant: DateTime<Utc>) -> Result<Option<(i64, i64)>> {
    let engine = db.get_database_backend();
    let parameter = match engine {
        DbBackend::Postgres => "$1",
        _ => "?1",
    };
    let is_earlier = format!(
        "coalesce((SELECT at FROM change WHERE id > (low + (high - low) / 2) ORDER BY id LIMIT 1) \
         < {parameter}, FALSE)"
    );
    let sql = format!(
        "WITH RECURSIVE search (low, high) AS ( \
           SELECT (SELECT min(id) FROM change) - 1, (SELECT max(id) FROM change) \
           UNION ALL \
           SELECT CASE WHEN {is_earlier} THEN (low + (high - low) / 2) ELSE low END, \
             CASE WHEN {is_earlier} THEN high ELSE (low + (high - low) / 2) END \
           FROM search WHERE high - low > 1 \
         ) SELECT low, high FROM search WHERE high - low <= 1"
    );
    let statement = Statement::from_sql_and_values(engine, sql, [instant.into()]);
    let Some(row) = db.query_one_raw(statement).await? else {
        return Ok(None);
    };
    Ok(Some((row.try_get("", "low")?, row.try_get("", "high")?)))
}
