//! The extension of a location's telephone.

use sea_orm_migration::{prelude::*, schema::text_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut add = Table::alter();
        add.table("client_location")
            .add_column(text_null("extension"));
        manager.alter_table(add).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
