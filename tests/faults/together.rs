//! Several programs on one database.

use std::time::Duration;

use rstest::rstest;

use crate::support::{Client, Engine, Gateway, Ledger, Place, clientele, lasts, turn};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_and_the_command_line_share_a_database(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let one = Gateway::start(&place).await;
    let other = Gateway::start(&place).await;
    let ledger = Ledger::default();
    let storms = [
        ledger.storm(&one, "one", 4),
        ledger.storm(&other, "other", 4),
    ];
    let url = place.url();
    let create = ["token", "create", "--user", "ann", "--database-url", &url];
    let tokens = 5;
    for _ in 0..tokens {
        ledger.grows_by(30).await;
        let token = clientele(place.folder(), &create).output().await;
        for gateway in [&one, &other] {
            let client = Client::new(&gateway.address, token.trim_end());
            client.get("/api/v1/clients/1").await.assert_status(200);
        }
    }
    for storm in storms {
        storm.end().await;
    }
    let count = ledger.verify(&one.client()).await;
    assert!(count.refused.is_empty(), "{count}");
    place.assert_sound().await;
    println!("A9 {engine:?}: two gateways, {tokens} tokens made beside them: {count}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_may_be_killed_and_gateways_may_start_together(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let url = place.url();
    let kills = 10;
    for kill in 0..kills {
        let mut migration = clientele(place.folder(), &["migrate", "--database-url", &url]).spawn();
        lasts(Duration::from_millis(20 * kill)).await;
        migration.kill().await.unwrap();
    }
    let (one, other) = tokio::join!(Gateway::start(&place), Gateway::start(&place));
    one.client().create("one").await.assert_status(201);
    other.client().create("other").await.assert_status(201);
    assert!(one.client().is_ready().await && other.client().is_ready().await);
    println!("A10 {engine:?}: {kills} migrations killed, then two gateways started together");
}
