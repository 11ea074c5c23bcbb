//! What a gateway does beside serving: it deletes what is old, notes which tokens were used, and
//! fills what the latest steps of the schema have left to be filled.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::TimeDelta;

use crate::{
    auth::Authenticator,
    gateway::Gateway,
    idempotency,
    records::{Store, changes},
    rest::poll_bookmarks,
    storage::{
        backfill::{self, Pending},
        connections::fault::Redacted,
        database::Database,
    },
    telemetry::figures,
};

/// How often it is noted which tokens were used.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);
/// How often old rows are deleted.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How often the lists are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_mins(1);
/// How often the log tells how far a backfill is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest pause between two batches of a backfill.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a backfill waits after a failure: longer each time, up to the longest pause.
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Begins the chores of a gateway, whose schema is current. They end with the program.
///
/// # Errors
/// If the database fails.
pub async fn begin(gateway: &Gateway, keep_changes: Option<TimeDelta>) -> Result<()> {
    let store = gateway.store.of_gateway();
    let pending = backfill::pending(&store.reader).await;
    let pending = pending.context("it cannot be read what is yet to be filled")?;
    note_pending(&store, &pending);
    tokio::spawn(fill(store, pending));
    tokio::spawn(keep_samples(gateway.store.of_gateway()));
    tokio::spawn(keep_tidy(Database::clone(&gateway.store), keep_changes));
    let authenticator = gateway.authenticator.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(NOTE_INTERVAL).await;
            note_use(&authenticator).await;
        }
    });
    Ok(())
}

/// Deletes old idempotency keys, old cursors of polls, and old changes, now and every hour.
/// Several gateways may do so at the same time.
async fn keep_tidy(database: Database, keep_changes: Option<TimeDelta>) {
    loop {
        let pruned = match keep_changes {
            Some(age) => changes::prune(&database, age).await,
            None => Ok(0),
        };
        for (rows, purged) in [
            ("idempotency keys", idempotency::purge(&database).await),
            ("cursors of polls", poll_bookmarks::purge(&database).await),
            ("changes", pruned),
        ] {
            match purged {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "deleted old {rows}"),
                Err(error) => {
                    tracing::warn!(error = %Redacted(&error), "cannot delete old {rows}");
                }
            }
        }
        tokio::time::sleep(PURGE_INTERVAL).await;
    }
}

/// Notes now which tokens were used.
pub async fn note_use(authenticator: &Authenticator) {
    if let Err(error) = authenticator.note_use().await {
        tracing::debug!(error = %Redacted(&error), "cannot note which tokens were used");
    }
}

/// Fills what is pending, batch by batch, for half of the time. Other gateways may do so, too.
async fn fill(store: Store, mut pending: Vec<Pending>) {
    let (mut told, mut again) = (Instant::now(), AGAIN);
    for Pending { name, .. } in &pending {
        tracing::info!(table = name, "filling it from the rows of before");
    }
    while let Some(first) = pending.first() {
        let began = Instant::now();
        let mut filled = backfill::fill(&store, &first.name).await.map(|_| ());
        if filled.is_ok() {
            match backfill::pending(&store.reader).await {
                Ok(left) => pending = left,
                Err(error) => filled = Err(error),
            }
        }
        let pause = match filled {
            Ok(()) => {
                again = AGAIN;
                Ord::max(began.elapsed(), PAUSE)
            }
            Err(error) => {
                tracing::warn!(error = %Redacted(&error), "a backfill failed, and goes on");
                let pause = again;
                again = Ord::min(again * 2, LONGEST_PAUSE);
                pause
            }
        };
        if told.elapsed() > PROGRESS_INTERVAL {
            told = Instant::now();
            for pending in &pending {
                tracing::info!(table = pending.name, left = pending.left(), "filling it");
            }
        }
        note_pending(&store, &pending);
        if pending.is_empty() {
            tracing::info!("everything is filled");
        }
        tokio::time::sleep(pause).await;
    }
}

/// Keeps a sample of each list, by which prices are foreseen.
async fn keep_samples(store: Store) {
    loop {
        store.sample_lists().await;
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
}

/// Tells the lists and the metrics what is pending.
fn note_pending(store: &Store, pending: &[Pending]) {
    let names = pending.iter().map(|pending| pending.name.clone());
    store.lists.note_unfilled(names.collect());
    figures::backfill(pending.iter().map(Pending::left).sum());
}
