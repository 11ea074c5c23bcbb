//! An API token. The secret itself is never stored, only its SHA-256 hash.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_token")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user that the token was made for: the name that history records.
    pub user_name: String,
    /// The public start of the token, by which it is found.
    #[sea_orm(unique)]
    pub prefix: String,
    /// SHA-256 of the whole token.
    pub hash: Vec<u8>,
    pub scope: Scope,
    /// What it is for, in the words of whoever made it.
    pub label: Option<String>,
    pub created_at: DateTimeUtc,
    /// When it stops working by itself.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was last used, to the minute or so.
    pub used_at: Option<DateTimeUtc>,
    pub revoked_at: Option<DateTimeUtc>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Scope {
    /// Queries only.
    #[sea_orm(string_value = "read")]
    Read,
    /// Queries and mutations.
    #[sea_orm(string_value = "write")]
    Write,
    /// Those, and what concerns the gateway itself.
    #[sea_orm(string_value = "admin")]
    Admin,
}

impl ActiveModelBehavior for ActiveModel {}
