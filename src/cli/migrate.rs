//! `clientele migrate`: brings the schema up to date.

use std::{
    io::{Write, stdout},
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use sea_orm::{DatabaseTransaction, DbErr};

use super::{begin_migration, open};
use crate::{
    config::MigrateOptions,
    error::{Error, Outage},
    storage::{
        backfill::{self, Pending},
        database::Database,
    },
};

/// When to ask again for a lock that others kept.
const AGAIN: Duration = Duration::from_millis(250);
/// How many attempts are made before it is said once more that others keep the lock.
const ATTEMPTS: u32 = 40;

/// Applies the steps that are missing and names them.
pub async fn run(options: &MigrateOptions) -> Result<()> {
    let database = open(&options.database).await?;
    let (transaction, applied) = up(&database, |message| eprintln!("{message}")).await?;
    transaction.commit().await?;
    for step in &applied {
        writeln!(stdout(), "applied {step}")?;
    }
    if applied.is_empty() {
        writeln!(stdout(), "the schema is up to date")?;
    }
    if options.wait {
        return fill(&database).await;
    }
    if !backfill::pending(&database.reader).await?.is_empty() {
        let rest = "what was added is yet to be filled from the rows of before: gateways do so \
                    while they serve, or 'clientele migrate --wait'";
        writeln!(stdout(), "{rest}")?;
    }
    Ok(())
}

/// Begins a transaction, and applies the steps that are missing in it; returns their names. If
/// others keep the locks, it waits for as long as it takes. Each attempt keeps others waiting
/// for a moment only.
pub async fn up(
    database: &Database,
    tell: impl Fn(&str),
) -> Result<(DatabaseTransaction, Vec<String>)> {
    let mut attempts = 0;
    loop {
        match try_up(database).await {
            Err(error) if is_locked(&error) => {
                if attempts % ATTEMPTS == 0 {
                    tell("others keep the database locked: waiting for them");
                }
                attempts += 1;
                tokio::time::sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn try_up(database: &Database) -> Result<(DatabaseTransaction, Vec<String>)> {
    let transaction = begin_migration(database).await?;
    let applied = Database::migrate(&transaction).await;
    let applied = applied.context("the database schema cannot be brought up to date")?;
    Ok((transaction, applied))
}

fn is_locked(error: &anyhow::Error) -> bool {
    let cause = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<DbErr>());
    let cause = cause.cloned().map(Error::from);
    matches!(cause, Some(Error::Unavailable(Outage::Locked, _)))
}

/// Whether the database may do the same later.
fn is_outage(error: &DbErr) -> bool {
    matches!(Error::from(error.clone()), Error::Unavailable(..))
}

/// Fills what the steps have left to be filled.
async fn fill(database: &Database) -> Result<()> {
    let left = |pending: &[Pending]| pending.iter().map(Pending::left).sum::<u64>();
    let mut pending = backfill::pending(&database.reader).await?;
    let all = left(&pending);
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} rows")?;
    let progress = ProgressBar::new(all).with_style(style);
    while let Some(first) = pending.first() {
        match backfill::fill(database, &first.name).await {
            Ok(_) => {}
            Err(error) if is_outage(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => return Err(error).context(format!("{} cannot be filled", first.name)),
        }
        pending = backfill::pending(&database.reader).await?;
        progress.set_position(all.saturating_sub(left(&pending)));
    }
    progress.finish_and_clear();
    writeln!(stdout(), "everything is filled")?;
    Ok(())
}
