//! Bookmarks: where the numbered pages of a poll go on.
//!
//! All pages of a poll end at the same instant (`records/list/polling.rs`), so a row that
//! changes after the first page was read is on none of the following pages. If these were found
//! by counting rows, as numbered pages usually are, each such row would make the next page skip
//! another row. So each page leaves its last cursor for the next one, where every gateway finds
//! it. With the cursor it leaves the total of the first page: a caller that counts the rows
//! still missing would otherwise stop too early.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use entity::poll::{self, Column};
use sea_orm::{
    ActiveValue::Set,
    DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use sha2::{Digest, Sha256};

use crate::storage::{connections::fault::Redacted, database::Database, purge::delete_up_to};

/// How long after a page the next one can be asked for. An older cursor belongs to a poll that
/// was given up.
const YOUNG: TimeDelta = TimeDelta::minutes(15);
/// How long a cursor is kept.
const RETENTION: TimeDelta = TimeDelta::hours(1);
/// The most cursors that are kept for one token.
const MOST_OF_A_TOKEN: u64 = 1000;

/// A page of a poll.
pub struct PollPage {
    token_id: i64,
    key: String,
}

/// What a page leaves for the next one.
pub struct Bookmark {
    /// The cursor of the page's last row.
    pub cursor: String,
    /// How many rows the list had when the first page was read. The following pages answer the
    /// same total.
    pub total: u64,
}

impl PollPage {
    /// The page with this number of what the token asks for at `path` by these parameters.
    #[must_use]
    pub fn new(token_id: i64, path: &str, parameters: &[(String, String)], number: u64) -> Self {
        let mut parameters: Vec<_> = parameters.iter().collect();
        parameters.sort_unstable();
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // Each part follows its length, so that no two queries make the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(&token_id.to_be_bytes());
        add(&number.to_be_bytes());
        add(path.as_bytes());
        for (name, value) in parameters {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self {
            token_id,
            key: BASE64_URL_SAFE_NO_PAD.encode(digest),
        }
    }

    /// The bookmark that the page before left, if it is young enough.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn bookmark(&self, database: &Database) -> Result<Option<Bookmark>, DbErr> {
        let row = poll::Entity::find_by_id(self.key.clone())
            .filter(poll::COLUMN.at.gt(database.clock.now() - YOUNG))
            .one(&database.reader)
            .await?;
        Ok(row.map(|row| Bookmark {
            cursor: row.cursor,
            total: u64::try_from(row.total).unwrap_or_default(),
        }))
    }

    /// Leaves this bookmark for the page, unless a request that began after `began` has left
    /// one: a caller that repeats the page before goes on from the second answer.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn leave_bookmark(
        self,
        database: &Database,
        began: DateTime<Utc>,
        bookmark: Bookmark,
    ) -> Result<(), DbErr> {
        let row = poll::ActiveModel {
            key: Set(self.key),
            token_id: Set(self.token_id),
            cursor: Set(bookmark.cursor),
            total: Set(i64::try_from(bookmark.total).unwrap_or(i64::MAX)),
            at: Set(began),
        };
        let in_place_of_an_old_one = OnConflict::column(Column::Key)
            .update_columns([Column::Cursor, Column::Total, Column::At])
            .action_and_where(
                Expr::col(("excluded", Column::At)).gte(Expr::col(("poll", Column::At))),
            )
            .to_owned();
        poll::Entity::insert(row)
            .on_conflict(in_place_of_an_old_one)
            .exec_without_returning(database.writer())
            .await?;
        // Mostly no bookmarks are in excess; then this reads only a few entries of an index.
        let of_token = || poll::COLUMN.token_id.eq(self.token_id);
        let latest_in_excess = poll::Entity::find()
            .select_only()
            .column(Column::At)
            .filter(of_token())
            .order_by_desc(Column::At)
            .offset(MOST_OF_A_TOKEN)
            .limit(1)
            .into_query();
        let latest_in_excess = Expr::SubQuery(None, Box::new(latest_in_excess.into()));
        let tidied = poll::Entity::delete_many()
            .filter(of_token())
            .filter(Expr::col(Column::At).lte(latest_in_excess))
            .exec(database.writer());
        if let Err(error) = tidied.await {
            // The bookmark of this page is written. The next page tries again to delete old
            // ones.
            tracing::debug!(error = %Redacted(&error), "old bookmarks are left");
        }
        Ok(())
    }
}

/// Deletes the cursors that are too old, and returns how many.
///
/// # Errors
/// If the database fails.
pub async fn purge(database: &Database) -> Result<u64, DbErr> {
    let instant = database.clock.now() - RETENTION;
    delete_up_to::<poll::Entity, 1>(database, [Column::Key], Column::At, instant).await
}
