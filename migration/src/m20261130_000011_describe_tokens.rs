//! What a token is for, when it ends, and when it was last used. Only columns that may be
//! null, so that gateways of before go on beside those of now.

use sea_orm_migration::{
    prelude::*,
    schema::{text_null, timestamp_with_time_zone_null},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            text_null("label"),
            timestamp_with_time_zone_null("expires_at"),
            timestamp_with_time_zone_null("used_at"),
        ] {
            // SQLite adds one column at a time.
            let mut table = Table::alter();
            table.table("api_token").add_column(column);
            manager.alter_table(table).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
