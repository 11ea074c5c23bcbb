//! API tokens, found by their public prefix.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_pk_auto, binary, text, text_uniq, timestamp_with_time_zone,
        timestamp_with_time_zone_null,
    },
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("api_token")
                    .col(big_pk_auto("id"))
                    .col(text("user_name"))
                    .col(text_uniq("prefix"))
                    .col(binary("hash"))
                    .col(text("scope"))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(timestamp_with_time_zone_null("revoked_at"))
                    .to_owned(),
            )
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
