//! A circuit breaker, so that requests fail fast while the database is away.
//!
//! Without it each request would wait as long as a connection may take to open. The breaker
//! opens when no connection can be made, or the SQLite file is gone; never because all
//! connections are busy, a lock is held, or a single connection breaks. It closes by
//! itself.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::gauge;

/// How often the breaker tests whether the database is back.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// The metric that is 1 while the breaker is open, and 0 otherwise.
pub const BREAKER_OPEN: &str = "clientele_database_breaker_open";

/// Open while the database is away: no statement is sent to it then.
#[derive(Debug)]
pub struct Breaker {
    is_open: AtomicBool,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new() -> Arc<Self> {
        gauge!(BREAKER_OPEN).set(0.0);
        Arc::new(Self {
            is_open: AtomicBool::new(false),
        })
    }

    /// Whether the database is away.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Opens the breaker, until `is_back` finds that the database answers. One background
    /// task calls it again and again.
    pub fn open<F>(self: &Arc<Self>, cause: &dyn Error, is_back: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        if self.is_open.swap(true, Ordering::Relaxed) {
            return;
        }
        gauge!(BREAKER_OPEN).set(1.0);
        tracing::error!(%cause, "the database is away: requests are refused until it is back");
        let since = Instant::now();
        // The task ends when no pool holds the breaker any more.
        let breaker = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PROBE_EVERY).await;
                if breaker.strong_count() == 0 {
                    return;
                }
                if is_back().await {
                    break;
                }
            }
            if let Some(breaker) = breaker.upgrade() {
                breaker.is_open.store(false, Ordering::Relaxed);
                gauge!(BREAKER_OPEN).set(0.0);
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(seconds, "the database is back");
            }
        });
    }
}
