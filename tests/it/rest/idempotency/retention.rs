//! How long keys are known: 24 hours.

use chrono::TimeDelta;
use clientele::idempotency;
use rstest::rstest;

use super::{
    super::still, assert_created, assert_replays, client, clients_and_keys, execute, post, rows,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn a_key_is_forgotten_after_a_day_though_nothing_was_purged(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let first = post(&app, "a", &client("Birch")).await;
    assert_created(&first);
    clock.advance(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    assert_replays(&first, &post(&app, "a", &client("Birch")).await);

    clock.advance(TimeDelta::milliseconds(1));
    let second = post(&app, "a", &client("Larch")).await;
    assert_created(&second);
    assert_eq!(clients_and_keys(&app).await, [2, 1]);
    clock.advance(TimeDelta::hours(23));
    assert_replays(&second, &post(&app, "a", &client("Larch")).await);
}

#[rstest]
#[tokio::test]
async fn old_keys_are_purged_and_no_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    assert_created(&post(&app, "old", &client("Birch")).await);
    // More than one statement deletes.
    let many = "WITH RECURSIVE numbers (n) AS \
                    (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1200) \
                INSERT INTO idempotency_key \
                SELECT token_id, 'old ' || n, fingerprint, created_at, status, headers, body \
                FROM idempotency_key, numbers";
    execute(&app, many).await;
    clock.advance(TimeDelta::hours(1));
    let young = post(&app, "young", &client("Larch")).await;
    assert_created(&young);
    assert_eq!(rows(&app, "idempotency_key").await, 1_202);
    assert_eq!(idempotency::purge(&app.database).await.unwrap(), 0);

    clock.advance(TimeDelta::hours(23));
    let (one, other) = tokio::join!(
        idempotency::purge(&app.database),
        idempotency::purge(&app.database)
    );
    assert_eq!(one.unwrap() + other.unwrap(), 1_201);
    assert_eq!(rows(&app, "idempotency_key").await, 1);
    assert_replays(&young, &post(&app, "young", &client("Larch")).await);
}
