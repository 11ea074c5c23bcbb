//! Idempotency keys: what was answered to the requests that had one, for retries.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, small_integer, text, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("idempotency_key")
                    .col(big_integer("token_id"))
                    .col(text("key"))
                    .col(binary("fingerprint"))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(small_integer("status"))
                    .col(text("headers"))
                    .col(binary("body"))
                    .primary_key(Index::create().col("token_id").col("key"))
                    .foreign_key(
                        ForeignKey::create()
                            .from("idempotency_key", "token_id")
                            .to("api_token", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("idempotency_key_created_at_idx")
                    .table("idempotency_key")
                    .col("created_at")
                    .to_owned(),
            )
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
