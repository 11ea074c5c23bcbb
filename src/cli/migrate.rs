//! `clientele migrate`: brings the schema up to date.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use sea_orm::DatabaseTransaction;

use super::{begin_migration, open};
use crate::{config::DatabaseOptions, storage::database::Database};

/// Applies the steps that are missing and names them.
pub async fn run(options: &DatabaseOptions) -> Result<()> {
    let database = open(options).await?;
    let transaction = begin_migration(&database).await?;
    let applied = up(&transaction).await?;
    transaction.commit().await?;
    for step in &applied {
        writeln!(stdout(), "applied {step}")?;
    }
    if applied.is_empty() {
        writeln!(stdout(), "the schema is up to date")?;
    }
    Ok(())
}

/// Applies the steps that are missing and returns their names.
pub async fn up(transaction: &DatabaseTransaction) -> Result<Vec<String>> {
    Database::migrate(transaction)
        .await
        .context("the database schema cannot be brought up to date")
}
