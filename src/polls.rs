//! Where the pages of a poll go on that are asked for by their numbers.
//!
//! All pages of a poll end at the same instant (`paging/settled.rs`), so a row that changes
//! after the first page was read is in none that follow. Were those found by counting rows,
//! as pages are by their numbers, each such row would push another one out of sight. So
//! each page leaves its last cursor for the next one, for any gateway to find.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use entity::poll::{self, Column};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, QueryFilter, sea_query::OnConflict,
};
use sha2::{Digest, Sha256};

use crate::database::Database;

/// How long a cursor is kept.
const RETENTION: TimeDelta = TimeDelta::hours(24);

/// A page of a poll.
pub struct PollPage(String);

impl PollPage {
    /// The page with this number of what `token` asks for at `path` by these parameters.
    #[must_use]
    pub fn new(token: i64, path: &str, parameters: &[(String, String)], number: u64) -> Self {
        let mut parameters: Vec<_> = parameters.iter().collect();
        parameters.sort_unstable();
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // With their lengths, so that no two queries make the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(&token.to_be_bytes());
        add(&number.to_be_bytes());
        add(path.as_bytes());
        for (name, value) in parameters {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(BASE64_URL_SAFE_NO_PAD.encode(digest))
    }

    /// The cursor after which it begins, if the page before left one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cursor(&self, database: &Database) -> Result<Option<String>, DbErr> {
        let row = poll::Entity::find_by_id(self.0.clone());
        Ok(row.one(&database.reader).await?.map(|row| row.cursor))
    }

    /// Leaves the cursor after which it begins.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep(self, database: &Database, cursor: String) -> Result<(), DbErr> {
        let row = poll::ActiveModel {
            key: Set(self.0),
            cursor: Set(cursor),
            at: Set(database.clock.now()),
        };
        let in_place_of_an_old_one = OnConflict::column(Column::Key)
            .update_columns([Column::Cursor, Column::At])
            .to_owned();
        poll::Entity::insert(row)
            .on_conflict(in_place_of_an_old_one)
            .exec_without_returning(database.writer())
            .await?;
        Ok(())
    }
}

/// Deletes the cursors that are too old, and returns how many.
///
/// # Errors
/// If the database fails.
pub async fn purge(database: &Database) -> Result<u64, DbErr> {
    let deleted = poll::Entity::delete_many()
        .filter(Column::At.lte(database.clock.now() - RETENTION))
        .exec(database.writer())
        .await?;
    Ok(deleted.rows_affected)
}
