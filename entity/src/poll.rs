//! Where a page of a poll begins that is asked for by its number.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "poll")]
pub struct Model {
    /// SHA-256 of the token, the query and the number of the page, in base64.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// The cursor of the last row of the page before.
    pub cursor: String,
    /// When that page was read.
    pub at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
