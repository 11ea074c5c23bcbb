//! Where the pages of polls begin: see `src/rest/poll_bookmarks.rs`.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("poll")
                    .col(text("key").primary_key())
                    .col(big_integer("token_id"))
                    .col(text("cursor"))
                    .col(big_integer("total"))
                    .col(timestamp_with_time_zone("at"))
                    .to_owned(),
            )
            .await?;
        // To delete those that are too old, and those of a token that has too many.
        for (name, columns) in [
            ("poll_at_idx", &["at"][..]),
            ("poll_token_id_idx", &["token_id", "at"][..]),
        ] {
            let mut index = Index::create();
            index.name(name).table("poll");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
