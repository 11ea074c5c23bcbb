//! Which programs may use the schema. A gateway that meets a schema with steps of a newer
//! program goes on if that says so, and so gateways are upgraded one after the other.

use sea_orm_migration::{prelude::*, schema::text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One row, which `storage/schema.rs` reads and `Database::migrate` writes.
        manager
            .create_table(
                Table::create()
                    .table("schema_support")
                    .col(text("oldest_program"))
                    .to_owned(),
            )
            .await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
