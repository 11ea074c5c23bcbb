//! A database that cannot be reached, or does not answer.

use std::time::{Duration, Instant};

use rstest::rstest;
use sea_orm::sqlx;
use tokio::task::JoinSet;

use crate::support::{
    Client, Engine, Gateway, Ledger, Place, Postgres, Proxy, Traffic, lasts, p99, postgres_url,
    turn, until,
};

/// No answer takes longer. The look-up of a token and the write that follows it have a
/// limit each, and one for both, which leaves a second for a busy machine.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);
/// How long the gateway may take to be ready again.
const BACK: Duration = Duration::from_secs(2);
/// As the program's default.
const CONNECTIONS: i64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_postgresql_is_told_at_once_and_found_again() {
    let _turn = turn().await;
    let mut place = Place::create(Engine::Postgres).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    assert_eq!(breaker(&client).await, "0");
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "stop", 8);
    ledger.grows_by(50).await;

    place.postgres().stop_immediately();
    let onset = until("the gateway notices", BACK, async || {
        !client.is_ready().await
    })
    .await;
    until("the breaker opens", BACK, async || {
        breaker(&client).await == "1"
    })
    .await;
    let mut times = Vec::new();
    for _ in 0..100 {
        let answer = client.get("/api/v1/clients/1").await;
        answer.assert_unavailable();
        times.push(answer.took);
        let answer = client.graphql("{ clients { totalCount } }").await;
        answer.assert_status(503);
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        let code = &answer.json()["errors"][0]["extensions"]["code"];
        assert_eq!(code, "UNAVAILABLE");
        times.push(answer.took);
    }
    let fast = p99(&mut times);
    // The whole storm is on two processors meanwhile, and the program is not optimised.
    assert!(fast < Duration::from_millis(150), "{fast:?}");
    client.get("/healthz").await.assert_status(200);
    client.get("/readyz").await.assert_unavailable();

    place.postgres().launch();
    place.postgres().until_it_answers().await;
    let back = until("the gateway is ready", BACK, async || {
        client.is_ready().await
    })
    .await;
    ledger.grows_by(10).await;
    storm.end().await;
    assert_eq!(breaker(&client).await, "0");
    let count = ledger.verify(&client).await;
    assert!(count.longest < Duration::from_millis(2_500), "{count}");
    println!(
        "C1: noticed after {onset:?}, then refused in {fast:?} (p99), ready {back:?} after \
         PostgreSQL: {count}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_were_ended_fail_no_read() {
    let _turn = turn().await;
    let mut place = Place::create(Engine::Postgres).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.create("first").await.assert_status(201);
    let (mut refused, rounds) = (0, 5);
    for round in 0..rounds {
        open_all(&client).await;
        if round == 0 {
            place.postgres().stop_immediately();
            place.postgres().launch();
            place.postgres().until_it_answers().await;
        } else {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE application_name = 'clientele'";
            place.run(end).await;
        }
        if round % 2 == 0 {
            open_all(&client).await;
        }
        // A write may have happened before its session ended: it is not sent twice.
        let answer = client.create(&format!("after-{round}")).await;
        if answer.status == 503 {
            refused += 1;
            let detail = answer.assert_unavailable();
            assert!(detail.contains("may or may not"), "{detail}");
            assert!(detail.contains("Idempotency-Key"), "{detail}");
        } else {
            answer.assert_status(201);
        }
        let again = client.create(&format!("again-{round}")).await;
        again.assert_status(201);
        let body = serde_json::json!({ "client": { "notes": format!("round {round}") } });
        client
            .put("/api/v1/clients/1", &body)
            .await
            .assert_status(200);
    }
    assert_eq!(breaker(&client).await, "0", "single sessions are no outage");
    println!("C2: {rounds} times all sessions ended, no read failed, {refused} writes refused");
}

/// Reads, so many at a time that every connection is in use; none may fail.
async fn open_all(client: &Client) {
    let mut reads = JoinSet::new();
    for _ in 0..3 * CONNECTIONS {
        let client = client.clone();
        reads.spawn(async move { client.get("/api/v1/clients").await.assert_status(200) });
    }
    reads.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgresql_holds_no_request() {
    let _turn = turn().await;
    let mut place = Place::create(Engine::Postgres).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "freeze", 8);
    ledger.grows_by(50).await;

    place.postgres().freeze();
    lasts(Duration::from_secs(10)).await;
    client.get("/healthz").await.assert_status(200);
    client.get("/api/v1/clients").await.assert_unavailable();
    place.postgres().thaw();
    let back = until("the gateway is ready", BACK, async || {
        client.is_ready().await
    })
    .await;
    ledger.grows_by(10).await;
    storm.end().await;
    let count = ledger.verify(&client).await;
    assert!(count.longest < LONGEST_ANSWER, "{count}");
    until_connections_are_few(place.postgres()).await;
    println!("C3 frozen for 10 s: ready {back:?} after the thaw: {count}");
}

#[rstest]
#[case::late(Traffic::Delayed(Duration::from_secs(5)), 6)]
#[case::half_open(Traffic::Vanishes, 8)]
#[case::reset(Traffic::Reset, 2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_holds_no_request(#[case] fault: Traffic, #[case] seconds: u64) {
    let _turn = turn().await;
    let place = Place::create(Engine::Postgres).await;
    let postgres = place.postgres.as_ref().unwrap();
    let proxy = Proxy::to(postgres.port).await;
    let place = place.at(postgres_url(proxy.port, "postgres"));
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "cut", 4);
    ledger.grows_by(20).await;

    proxy.set(fault);
    lasts(Duration::from_secs(seconds)).await;
    proxy.set(Traffic::Flows);
    let healed = Instant::now();
    until("the gateway is ready", BACK * 2, async || {
        client.is_ready().await
    })
    .await;
    let back = healed.elapsed();
    ledger.grows_by(10).await;
    storm.end().await;
    let count = ledger.verify(&client).await;
    assert!(count.longest < LONGEST_ANSWER, "{count}");
    until_connections_are_few(place.postgres.as_ref().unwrap()).await;
    println!("C3 {fault:?} for {seconds} s: ready after {back:?}: {count}");
}

/// What was given up is closed: the server has no more sessions than the pool.
async fn until_connections_are_few(postgres: &Postgres) {
    let mut session = postgres.session().await;
    until("sessions end", Duration::from_secs(15), async || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'clientele'";
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut session)
            .await
            .unwrap();
        count <= CONNECTIONS
    })
    .await;
}

/// The breaker's state, as Prometheus reads it.
async fn breaker(client: &Client) -> String {
    let metrics = client.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("clientele_database_breaker_open "));
    line.expect(&metrics).split(' ').nth(1).unwrap().to_owned()
}
