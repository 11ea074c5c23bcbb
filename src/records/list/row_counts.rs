//! Row counts: how many rows a list has, and where its n-th row is, without counting rows.
//!
//! Beside the table of each list, triggers keep a table of entries, each with a number of
//! rows in a block of ids (`migration/src/m20261123_000003_create_tallies.rs`). The sum of
//! the entries is exact in every snapshot. On PostgreSQL each write appends an entry, and a
//! request that reads too many of them starts a merge.

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
    storage::{connections::fault::Redacted, database::Database},
};

/// The column with the number of rows of a list.
pub const TOTAL: &str = "total_rows";
/// The column with the number of entries that were read for it.
pub const STORED_ROWS: &str = "tally_rows";
/// The column with the first id of a block, or the last one when the order is descending.
pub const FIRST_ID: &str = "first_id";
/// The column with the number of rows to skip from there.
pub const SKIP: &str = "skip";
/// A block holds the ids that differ only in so many of their last bits.
pub(crate) const BLOCK_BITS: u32 = 12;
/// A row count is merged once it has so many more entries than the last merge left.
const SPARE_ROWS: i64 = 512;

/// The row counts of one database.
#[derive(Clone, Debug)]
pub struct RowCounts {
    /// Of all clients.
    pub clients: Arc<RowCount>,
    /// Of all locations.
    pub locations: Arc<RowCount>,
}

/// The row count of one list, in a table of entries.
#[derive(Debug)]
pub struct RowCount {
    pub(super) table: &'static str,
    /// Merge if there are more entries than this. The maximum while a merge runs, and on SQLite.
    merge_beyond: AtomicI64,
}

impl RowCounts {
    /// The row counts of a database on this engine.
    #[must_use]
    pub fn new(engine: DbBackend) -> Self {
        let row_count = |table| {
            let merge_beyond = match engine {
                DbBackend::Postgres => SPARE_ROWS,
                // SQLite's triggers update the one entry of a block.
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
    /// The statement that reads the number of rows, as [`TOTAL`], and the number of entries
    /// that it took, as [`STORED_ROWS`].
    #[must_use]
    pub fn sum(&self) -> SelectStatement {
        Query::select()
            .expr_as(Expr::col("rows").sum(), TOTAL)
            .expr_as(Expr::col(Asterisk).count(), STORED_ROWS)
            .from(self.table)
            .take()
    }

    /// The statement that reads the number of rows in each block.
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

    /// The values of [`Self::sum`], for a statement that reads rows.
    #[must_use]
    pub fn values(&self) -> [SelectStatement; 2] {
        [Expr::col("rows").sum(), Expr::col(Asterisk).count()]
            .map(|value| Query::select().expr(value).from(self.table).take())
    }

    /// The statement that finds the block of the row that has `offset` others before it:
    /// its [`FIRST_ID`], and how many rows to [`SKIP`] in it. If there is no such row, the
    /// id is null.
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

    /// Notes how many entries were read for a sum. If there are too many, starts a merge in
    /// a background task, one at a time.
    pub fn observed(self: &Arc<Self>, store: &Store, rows: i64) {
        let limit = self.merge_beyond.load(Ordering::Relaxed);
        let begin = || {
            let (relaxed, never) = (Ordering::Relaxed, i64::MAX);
            self.merge_beyond
                .compare_exchange(limit, never, relaxed, relaxed)
                .is_ok()
        };
        if rows > limit && begin() {
            let (database, row_count) = (store.of_gateway(), Arc::clone(self));
            store.lists.tasks.spawn(async move {
                let left = merge(&database, &row_count).await.unwrap_or_else(|error| {
                    let error = Redacted(&error);
                    tracing::warn!(%error, table = row_count.table, "cannot merge the row count");
                    rows
                });
                let limit = left.saturating_add(SPARE_ROWS);
                row_count.merge_beyond.store(limit, Ordering::Relaxed);
            });
        }
    }
}

/// On PostgreSQL, merges the entries of each block into one, and returns how many entries
/// it wrote.
///
/// Two merges at once take different entries: the second waits for the first to commit, and
/// skips the entries that are gone by then. Entries that are not yet committed stay for the
/// next merge.
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
    // There may be millions of entries.
    let patience = "SET LOCAL statement_timeout = 0";
    transaction.execute_unprepared(patience).await?;
    let merge = Statement::from_string(DbBackend::Postgres, merge);
    let written = transaction.execute_raw(merge).await?.rows_affected();
    transaction.commit().await?;
    // Otherwise each sum would still pass over the deleted entries, until autovacuum runs.
    let tidy = format!(r#"VACUUM "{table}""#);
    let writer = database.writer().unhurried();
    writer.execute_unprepared(&tidy).await?;
    Ok(i64::try_from(written).unwrap_or(i64::MAX))
}
