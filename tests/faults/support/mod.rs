//! What the cases share: the program as a process, a PostgreSQL server that may be
//! ill-treated, a network that can be cut, and the ledger of what was acknowledged.

mod client;
mod gateway;
mod ledger;
mod place;
mod postgres;
mod process;
mod proxy;

use std::time::{Duration, Instant};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

pub use client::{Answer, Client, REFUSED, client_body};
pub use gateway::{Gateway, clientele};
pub use ledger::{Ledger, all};
pub use place::{Engine, Place, sqlite_url};
pub use postgres::{Postgres, own, postgres_url};
pub use process::{cpu_time_within, is_root, signal};
pub use proxy::{Proxy, Traffic};

/// Cases at a time: they measure times, and want some of the processor for themselves.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Waits for this case's turn.
pub async fn turn() -> SemaphorePermit<'static> {
    TURNS.acquire().await.unwrap()
}

/// Waits until `holds`, and returns how long that took. Fails when it takes longer than
/// `limit`.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    let polled = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = timeout(limit, polled).await;
    assert!(in_time.is_ok(), "{what}: not within {limit:?}");
    began.elapsed()
}

/// How long a fault lasts.
pub async fn lasts(time: Duration) {
    tokio::time::sleep(time).await;
}

/// How long each storm is to go on, if this is a soak.
pub fn soak() -> Option<Duration> {
    let minutes = std::env::var("FAULT_SOAK_MINUTES").ok()?;
    let minutes: u64 = minutes
        .parse()
        .expect("FAULT_SOAK_MINUTES must be a number");
    Some(Duration::from_mins(minutes))
}

/// The time that all but one in a hundred took at most.
pub fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times[(times.len() * 99 / 100).min(last)]
}
