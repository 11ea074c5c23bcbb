//! Many writers, while the gateway or its database is killed again and again.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::{Engine, Gateway, Ledger, Place, lasts, soak, turn, until};

const WRITERS: u32 = 12;
/// Unless it is a soak.
const ROUNDS: u32 = 4;
/// How long the gateway may take to be ready again.
const BACK: Duration = Duration::from_secs(2);

/// Whether there is to be another round.
fn goes_on(round: u32, began: Instant) -> bool {
    match soak() {
        Some(time) => began.elapsed() < time,
        None => round < ROUNDS,
    }
}

/// How long a round lasts: each time a fault comes at another moment.
fn round_time(round: u32) -> Duration {
    Duration::from_millis(400 + u64::from(round * 377 % 1_100))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_loses_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let mut gateway = Gateway::start(&place).await;
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "kill", WRITERS);
    let (began, mut slowest, mut rounds) = (Instant::now(), Duration::ZERO, 0);
    while goes_on(rounds, began) {
        lasts(round_time(rounds)).await;
        ledger.grows_by(10).await;
        gateway.kill().await;
        let killed = Instant::now();
        gateway.restart(&place).await;
        storm.goes_to(&gateway);
        let client = gateway.client();
        until("the gateway is ready", BACK * 2, async || {
            client.is_ready().await
        })
        .await;
        slowest = slowest.max(killed.elapsed());
        rounds += 1;
    }
    ledger.grows_by(10).await;
    storm.end().await;
    let count = ledger.verify(&gateway.client()).await;
    place.assert_sound().await;
    println!("A1 {engine:?}: {rounds} kills of the gateway, ready in {slowest:?}: {count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgresql_loses_nothing_and_needs_no_restart() {
    let _turn = turn().await;
    let mut place = Place::create(Engine::Postgres).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "crash", WRITERS);
    let (began, mut slowest, mut rounds) = (Instant::now(), Duration::ZERO, 0);
    while goes_on(rounds, began) {
        lasts(round_time(rounds)).await;
        ledger.grows_by(10).await;
        place.postgres().stop_immediately();
        place.postgres().launch();
        place.postgres().until_it_answers().await;
        let back = until("the gateway is ready", BACK, async || {
            client.is_ready().await
        });
        slowest = slowest.max(back.await);
        rounds += 1;
    }
    ledger.grows_by(10).await;
    storm.end().await;
    let count = ledger.verify(&client).await;
    place.assert_sound().await;
    println!("A2: {rounds} crashes of PostgreSQL, ready {slowest:?} after it: {count}");
}
