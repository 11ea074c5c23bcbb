//! Where a page of a poll begins that is asked for by its number.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "poll")]
pub struct Model {
    /// SHA-256 of the token's id, the query and the number of the page, in base64.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The token that polls: it has so many of these and no more.
    pub token_id: i64,
    /// The cursor of the last row of the page before.
    pub cursor: String,
    /// How many rows the list had when the first page was read.
    pub total: i64,
    /// When the page before was read.
    pub at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
