//! An idempotency key: which request a token sent with it, and what was answered.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_key")]
pub struct Model {
    /// The token that sent the request: each has keys of its own.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// SHA-256 of the request.
    pub fingerprint: Vec<u8>,
    pub created_at: DateTimeUtc,
    /// The status of the answer. Until there is one nobody else sees the row.
    pub status: i16,
    /// The headers of the answer: names and values in JSON.
    pub headers: String,
    pub body: Vec<u8>,
    #[sea_orm(belongs_to, from = "token_id", to = "id")]
    pub token: BelongsTo<super::api_token::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
