//! How many rows a list has, and where its n-th row is, without counting rows.
//!
//! Triggers keep a row count beside the table of each list: so many rows in each block
//! of ids (`migration/src/m20261123_000003_create_tallies.rs`). Its sum is exact in
//! every snapshot. On PostgreSQL each write appends to it, and whoever reads a row count
//! that has grown long merges it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Statement,
    sea_query::{Asterisk, Expr, ExprTrait, Func, Query, SelectStatement, WindowStatement},
};

use super::Direction;
use crate::{
    error::Result,
    records::Store,
    storage::{connections::fault::Logged, database::Database},
};

/// How many rows a list has, in the statements that read it.
pub const TOTAL: &str = "total_rows";
/// How many rows of the row count were read for it.
pub const STORED_ROWS: &str = "tally_rows";
/// The first id of the block that has the row after so many others: the last one, when the
/// order is descending.
pub const FIRST_ID: &str = "first_id";
/// How many rows to pass from there.
pub const SKIP: &str = "skip";
/// A block holds the ids that are the same without their last so many bits.
pub(crate) const BLOCK_BITS: u32 = 12;
/// A row count is merged when it has so many rows more than merging left last time.
const SPARE_ROWS: i64 = 512;

/// The row counts of one database.
#[derive(Clone, Debug)]
pub struct RowCounts {
    /// Of all clients.
    pub clients: Arc<RowCount>,
    /// Of all locations.
    pub locations: Arc<RowCount>,
}

/// The row count of one list.
#[derive(Debug)]
pub struct RowCount {
    table: &'static str,
    /// Merge when it has more rows than this: never while a merge is under way.
    merge_beyond: AtomicI64,
}

impl RowCounts {
    /// The row counts of a database of this kind.
    #[must_use]
    pub fn new(engine: DbBackend) -> Self {
        let row_count = |table| {
            let merge_beyond = match engine {
                DbBackend::Postgres => SPARE_ROWS,
                // There the triggers count in place.
                _ => i64::MAX,
            };
            Arc::new(RowCount {
                table,
                merge_beyond: merge_beyond.into(),
            })
        };
        Self {
            clients: row_count("client_tally"),
            locations: row_count("client_location_tally"),
        }
    }
}

/// How many rows the list has.
///
/// # Errors
/// If the database fails.
pub async fn total(store: &Store, row_count: &Arc<RowCount>) -> Result<i64> {
    let row = store.reader.query_one(&row_count.sum()).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a sum".to_owned()))?;
    let sum: Option<i64> = row.try_get("", TOTAL)?;
    row_count.observed(store, row.try_get("", STORED_ROWS)?);
    Ok(sum.unwrap_or_default())
}

impl RowCount {
    /// The statement that reads how many rows there are, as [`TOTAL`], and how many rows
    /// of the row count that took, as [`STORED_ROWS`].
    #[must_use]
    pub fn sum(&self) -> SelectStatement {
        Query::select()
            .expr_as(Expr::col("rows").sum(), TOTAL)
            .expr_as(Expr::col(Asterisk).count(), STORED_ROWS)
            .from(self.table)
            .take()
    }

    /// The statement that reads how many rows there are in each block.
    #[must_use]
    pub fn blocks(&self) -> SelectStatement {
        let rows = Expr::col("rows").sum().cast_as("bigint");
        Query::select()
            .expr(Expr::col("block").cast_as("bigint"))
            .expr(rows)
            .from(self.table)
            .group_by_col("block")
            .take()
    }

    /// The same as two values, for a statement that reads rows.
    #[must_use]
    pub fn values(&self) -> [SelectStatement; 2] {
        [Expr::col("rows").sum(), Expr::col(Asterisk).count()]
            .map(|value| Query::select().expr(value).from(self.table).take())
    }

    /// The statement that finds the block of the row that comes after `offset` others: its
    /// [`FIRST_ID`], and how many rows to [`SKIP`] in it. If there is no such row, the id
    /// is null.
    #[must_use]
    pub fn place(&self, direction: Direction, offset: u64) -> SelectStatement {
        let offset = Expr::val(i64::try_from(offset).unwrap_or(i64::MAX));
        let (reached, first_id) = (|| Expr::col("reached"), Expr::col(FIRST_ID));
        let in_order_of_blocks = WindowStatement::new()
            .order_by("block", direction.sql())
            .take();
        let last = match direction {
            Direction::Asc => 0,
            Direction::Desc => (1_i64 << BLOCK_BITS) - 1,
        };
        let sums = Query::select()
            .expr_as(
                Expr::cust(format!(r#""block" << {BLOCK_BITS} | {last}"#)),
                FIRST_ID,
            )
            .expr_window_as(Expr::col("rows").sum(), in_order_of_blocks, "reached")
            .from(self.table)
            .take();
        let when = |holds: Expr, value: Expr| -> Expr { Expr::case(holds, value).into() };
        let further_on = when(reached().gt(offset.clone()), first_id);
        let first_id = match direction {
            Direction::Asc => further_on.min(),
            Direction::Desc => further_on.max(),
        };
        let passed = when(reached().lte(offset.clone()), reached());
        let passed = Func::coalesce([passed.max(), Expr::val(0_i64)]);
        Query::select()
            .expr_as(first_id, FIRST_ID)
            .expr_as(offset.sub(passed), SKIP)
            .from_subquery(sums, "sums")
            .take()
    }

    /// Whoever has read a sum says how many rows of the row count that took: of too many it
    /// starts a merge, one at a time, in a task that nobody waits for.
    pub fn observed(self: &Arc<Self>, store: &Store, rows: i64) {
        let limit = self.merge_beyond.load(Ordering::Relaxed);
        let begin = || {
            let (relaxed, never) = (Ordering::Relaxed, i64::MAX);
            self.merge_beyond
                .compare_exchange(limit, never, relaxed, relaxed)
                .is_ok()
        };
        if rows > limit && begin() {
            let (database, row_count) = (Database::clone(store), Arc::clone(self));
            store.lists.tasks.spawn(async move {
                let left = merge(&database, &row_count).await.unwrap_or_else(|error| {
                    let error = Logged(&error);
                    tracing::warn!(%error, table = row_count.table, "cannot merge the row count");
                    rows
                });
                let limit = left.saturating_add(SPARE_ROWS);
                row_count.merge_beyond.store(limit, Ordering::Relaxed);
            });
        }
    }
}

/// Makes one row for each block of the row count, where it appends, and returns how many
/// rows it wrote.
///
/// Two merges at once take different rows: the second waits for the first to commit,
/// and passes the rows that are gone by then. Rows that nobody has committed yet stay
/// for the next merge.
///
/// # Errors
/// If the database fails.
pub async fn merge(database: &Database, row_count: &RowCount) -> std::result::Result<i64, DbErr> {
    if database.reader.get_database_backend() != DbBackend::Postgres {
        return Ok(0);
    }
    let RowCount { table, .. } = row_count;
    let merge = format!(
        r#"WITH taken AS (DELETE FROM "{table}" RETURNING block, "rows")
           INSERT INTO "{table}" SELECT block, SUM("rows") FROM taken
           GROUP BY block HAVING SUM("rows") <> 0"#
    );
    let transaction = database.begin_unhurried().await?;
    // Somebody may have added millions of rows.
    let patience = "SET LOCAL statement_timeout = 0";
    transaction.execute_unprepared(patience).await?;
    let merge = Statement::from_string(DbBackend::Postgres, merge);
    let written = transaction.execute_raw(merge).await?.rows_affected();
    transaction.commit().await?;
    // Or each sum would pass by the rows that are gone, until somebody else tidies up.
    let tidy = format!(r#"VACUUM "{table}""#);
    let writer = database.writer().unhurried();
    writer.execute_unprepared(&tidy).await?;
    Ok(i64::try_from(written).unwrap_or(i64::MAX))
}
