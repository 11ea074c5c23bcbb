//! What the search indexes keep of texts that were deleted.
//!
//! FTS5 only notes that an entry is gone; its runs of characters stay in the file until the parts
//! of the index that have them are merged, which may never happen by itself. PostgreSQL's index
//! keeps them until a vacuum, as its tables do.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use crate::storage::database::Database;

/// The indexes on SQLite.
const INDEXES: [&str; 2] = ["client_search", "client_location_search"];
/// How many pages one statement merges: others want to write meanwhile.
const PAGES: i32 = 200;

/// Merges all parts of the indexes on SQLite, so that nothing is left of what was deleted.
///
/// # Errors
/// If the database fails.
pub async fn forget_deleted(database: &Database) -> Result<(), DbErr> {
    if database.reader.get_database_backend() != DbBackend::Sqlite {
        return Ok(());
    }
    for index in INDEXES {
        // A negative number begins to merge all parts into one, however large they are.
        let mut pages = -PAGES;
        loop {
            let began = Instant::now();
            if !merge(database, index, pages).await? {
                break;
            }
            pages = PAGES;
            // For half of the time others write.
            tokio::time::sleep(began.elapsed()).await;
        }
    }
    Ok(())
}

/// Merges some pages. Returns whether there was something to merge: then more than the request
/// itself counts as a change (FTS5, "The 'merge' Command").
async fn merge(database: &Database, index: &str, pages: i32) -> Result<bool, DbErr> {
    let transaction = database.begin().await?;
    let changes = async || {
        let count = "SELECT total_changes() AS n";
        let count = Statement::from_string(DbBackend::Sqlite, count);
        let row = transaction.query_one_raw(count).await?;
        row.map_or(Ok(0), |row| row.try_get::<i64>("", "n"))
    };
    let before = changes().await?;
    let merge = format!("INSERT INTO {index} ({index}, rank) VALUES ('merge', {pages})");
    transaction.execute_unprepared(&merge).await?;
    let made = changes().await? - before;
    transaction.commit().await?;
    Ok(made >= 2)
}
