//! `clientele erase`: erases a client for good.

use std::io::{Write, stdout};

use anyhow::{Context, Result, anyhow};
use entity::change::Face;
use sea_orm::{ConnectionTrait, DbBackend};

use super::open_current;
use crate::{
    auth::tokens,
    config::EraseOptions,
    error::Error,
    idempotency,
    records::{changes::Author, list::search::forget_deleted},
};

/// Erases the client, and says what that took.
pub async fn run(options: &EraseOptions) -> Result<()> {
    let user = tokens::user_name(&options.user).map_err(|fault| anyhow!("--user {fault}"))?;
    let database = open_current(&options.database).await?;
    let author = Author {
        user: user.into(),
        face: Face::Command,
    };
    let transaction = database.begin_unhurried().await;
    let transaction = transaction.context("the database cannot be written to")?;
    if transaction.get_database_backend() == DbBackend::Postgres {
        // The log of a client may be long.
        let patience = "SET LOCAL statement_timeout = 0";
        transaction.execute_unprepared(patience).await?;
    }
    let id = options.client;
    let erased = idempotency::erase_client(&database, transaction, &author, id).await;
    let erased = erased.map_err(|error| match error {
        Error::Internal(cause) => anyhow!("the client cannot be erased: {cause}"),
        error => anyhow!(error.sentence()),
    })?;
    forget_deleted(&database)
        .await
        .context("the client is erased, but the search index still has parts of its names")?;
    writeln!(
        stdout(),
        "erased the client {id}: its locations: {}, changes that had texts: {}",
        erased.locations,
        erased.changes
    )?;
    Ok(())
}
