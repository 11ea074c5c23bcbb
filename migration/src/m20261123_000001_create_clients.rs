//! Clients and their locations.
//!
//! "Exactly one primary location" is enforced by the database, on both engines,
//! with plain constraints. `client_location.primary_of` is a generated column:
//! the client's id on a primary location, null on any other. It is unique, so a
//! client has at most one; and `client.id` is a deferred foreign key to it, so
//! at commit a client has at least one.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, big_pk_auto, boolean, integer, text, text_null,
        timestamp_with_time_zone,
    },
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_client_table(manager).await?;
        create_location_table(manager).await?;
        require_primary_location(manager).await?;

        // One index for each filter and each sort; the id breaks ties.
        for column in [
            "name_key",
            "account_code_key",
            "salesperson",
            "case_manager",
            "created_at",
            "updated_at",
        ] {
            create_index(manager, "client", column).await?;
        }
        for column in [
            "client_id",
            "name_key",
            "country",
            "state",
            "created_at",
            "updated_at",
        ] {
            create_index(manager, "client_location", column).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn create_client_table(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let engine = manager.get_database_backend();
    let mut client_id = big_pk_auto("id");
    if engine == DbBackend::Sqlite {
        // SQLite takes the constraint only when the table is created, and
        // lets it name a table that is yet to come.
        client_id.extra("REFERENCES client_location (primary_of) DEFERRABLE INITIALLY DEFERRED");
    }
    manager
        .create_table(
            Table::create()
                .table("client")
                .col(client_id)
                .col(text("name"))
                .col(sort_key(engine, text("name_key")))
                .col(text_null("account_code"))
                .col(sort_key(engine, text_null("account_code_key")))
                .col(text_null("website"))
                .col(text_null("email_invoice"))
                .col(text_null("notes"))
                .col(boolean("has_invoice_reminders"))
                .col(boolean("show_location_on_invoice"))
                .col(big_integer_null("salesperson"))
                .col(big_integer_null("case_manager"))
                .col(timestamp_with_time_zone("created_at"))
                .col(timestamp_with_time_zone("updated_at"))
                .col(integer("version"))
                .to_owned(),
        )
        .await
}

async fn create_location_table(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let engine = manager.get_database_backend();
    let mut primary_of = big_integer_null("primary_of");
    primary_of
        .generated(Expr::cust("CASE WHEN is_primary THEN client_id END"), true)
        .unique_key();
    manager
        .create_table(
            Table::create()
                .table("client_location")
                .col(big_pk_auto("id"))
                .col(big_integer("client_id"))
                .col(boolean("is_primary"))
                .col(primary_of)
                .col(text("name"))
                .col(sort_key(engine, text("name_key")))
                .col(text_null("email_invoice"))
                .col(text_null("address_1"))
                .col(text_null("address_2"))
                .col(text_null("address_3"))
                .col(text_null("city"))
                .col(text("state"))
                .col(text_null("zip"))
                .col(text("country"))
                .col(text_null("phone_primary"))
                .col(text_null("phone_secondary"))
                .col(text_null("phone_fax"))
                .col(text_null("notes"))
                .col(timestamp_with_time_zone("created_at"))
                .col(timestamp_with_time_zone("updated_at"))
                .col(integer("version"))
                .foreign_key(
                    ForeignKey::create()
                        .name("client_location_client_fk")
                        .from("client_location", "client_id")
                        .to("client", "id"),
                )
                .to_owned(),
        )
        .await
}

/// The rest of "exactly one": on SQLite it came with the table.
async fn require_primary_location(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        manager
            .get_connection()
            .execute_unprepared(
                "ALTER TABLE client ADD CONSTRAINT client_primary_location_fk \
                 FOREIGN KEY (id) REFERENCES client_location (primary_of) \
                 DEFERRABLE INITIALLY DEFERRED",
            )
            .await?;
    }
    Ok(())
}

/// Compares and sorts byte by byte, as SQLite does without being told.
fn sort_key(engine: DbBackend, mut column: ColumnDef) -> ColumnDef {
    if engine == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// Creates an index for a filter or a sort; the id breaks ties.
pub(crate) async fn create_index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<(), DbErr> {
    manager
        .create_index(
            Index::create()
                .name(format!("{table}_{column}_idx"))
                .table(table)
                .col(column)
                .col("id")
                .to_owned(),
        )
        .await
}
