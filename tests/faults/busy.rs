//! Locks that others hold, statements that take too long, and too few connections.

use std::time::{Duration, Instant};

use rstest::rstest;
use sea_orm::sqlx::{self, Connection, Executor};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, Client, Engine, Gateway, Place, cpu_time_within, p99, turn, until};

/// What waits no longer than two seconds, with a little for a busy machine.
const LOCK_WAIT: std::ops::Range<Duration> = Duration::from_millis(1_900)..Duration::from_secs(3);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_of_another_writer_is_named_and_holds_nobody_else(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    for code in ["locked", "free"] {
        client.create(code).await.assert_status(201);
    }
    let rename = json!({ "client": { "name": "New" } });
    let write = async || client.put("/api/v1/clients/1", &rename).await;
    let mut others = Vec::new();
    let refused = match engine {
        Engine::Postgres => {
            let mut session = place.postgres.as_ref().unwrap().session().await;
            let mut lock = session.begin().await.unwrap();
            lock.execute("SELECT * FROM client WHERE id = 1 FOR UPDATE")
                .await
                .unwrap();
            let mut beside = async || {
                for number in 0..50 {
                    let body = json!({ "client": { "notes": number.to_string() } });
                    let answer = client.put("/api/v1/clients/2", &body).await;
                    answer.assert_status(200);
                    others.push(answer.took);
                }
            };
            let (refused, ()) = tokio::join!(write(), beside());
            lock.rollback().await.unwrap();
            refused
        }
        Engine::Sqlite => {
            let mut session = place.session().await;
            let lock = session.begin_with("BEGIN IMMEDIATE").await.unwrap();
            let mut beside = async || {
                for _ in 0..50 {
                    let answer = client.get("/api/v1/clients/2").await;
                    answer.assert_status(200);
                    others.push(answer.took);
                }
            };
            let (refused, ()) = tokio::join!(write(), beside());
            lock.rollback().await.unwrap();
            refused
        }
    };
    let detail = refused.assert_unavailable();
    assert!(detail.contains("locked by another writer"), "{detail}");
    assert!(LOCK_WAIT.contains(&refused.took), "{refused:?}");
    let others = p99(&mut others);
    assert!(others < Duration::from_millis(500), "{others:?}");
    write().await.assert_status(200);
    println!(
        "C6, C7 {engine:?}: refused after {:?}, others took {others:?} (p99)",
        refused.took
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_ended(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.create("slow").await.assert_status(201);
    slow_down(&place, 60).await;
    let began = Instant::now();
    let (one, other) = tokio::join!(
        client.get("/api/v1/clients/1"),
        client.graphql("{ client(id: 1) { name } }")
    );
    let detail = one.assert_unavailable();
    assert!(detail.contains("did not finish in time"), "{detail}");
    let code = &other.json()["errors"][0]["extensions"]["code"];
    assert_eq!(code, "UNAVAILABLE", "{other:?}");
    assert!(other.headers.contains_key("retry-after"), "{other:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_millis(6_500), "{took:?}");
    client.get("/api/v1/client/locations").await;
    if let Some(postgres) = &place.postgres {
        let mut session = postgres.session().await;
        until("nothing runs on", Duration::from_secs(1), async || {
            let running = "SELECT count(*) FROM pg_stat_activity \
                           WHERE application_name = 'clientele' AND state <> 'idle'";
            let running = sqlx::query_scalar(running).fetch_one(&mut session).await;
            running.is_ok_and(|running: i64| running == 0)
        })
        .await;
    } else {
        let used = cpu_time_within(Duration::from_secs(1), gateway.id()).await;
        assert!(used < Duration::from_millis(500), "it runs on: {used:?}");
    }
    println!("C5 {engine:?}: ended after {took:?}, and nothing runs on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_connections_hold_only_those_that_need_one() {
    let _turn = turn().await;
    let place = Place::create(Engine::Postgres).await;
    let arguments = [
        "--database-max-connections",
        "2",
        "--token-cache-ms",
        "5000",
    ];
    let gateway = Gateway::start_with(&place, &arguments).await;
    let client = gateway.client();
    client.create("slow").await.assert_status(201);
    slow_down(&place, 4).await;
    let mut reads = JoinSet::new();
    for _ in 0..30 {
        let client = client.clone();
        reads.spawn(async move { client.get("/api/v1/clients/1").await });
    }
    // Beside them, what needs no connection.
    let anonymous = Client::new(&gateway.address, "");
    let mut times = Vec::new();
    for _ in 0..50 {
        for (answer, status) in [
            (anonymous.get("/api/v1/clients").await, 401),
            (client.get("/nowhere").await, 404),
            (client.post("/graphql", &json!([])).await, 400),
        ] {
            answer.assert_status(status);
            times.push(answer.took);
        }
    }
    let beside = p99(&mut times);
    assert!(beside < Duration::from_millis(500), "{beside:?}");
    let answers = reads.join_all().await;
    let is_busy = |answer: &&Answer| answer.status == 503;
    let refused: Vec<_> = answers.iter().filter(is_busy).collect();
    assert!(refused.len() > 20, "{answers:?}");
    for answer in &refused {
        let detail = answer.assert_unavailable();
        assert!(detail.contains("busy"), "{detail}");
        assert!(answer.took < Duration::from_secs(4), "{answer:?}");
    }
    client.get("/healthz").await.assert_status(200);
    let longest = refused.iter().map(|answer| answer.took).max();
    println!(
        "C4: {} of {} refused within {longest:?}, others took {beside:?} (p99)",
        refused.len(),
        answers.len()
    );
}

/// Has every read of clients take so many seconds.
async fn slow_down(place: &Place, seconds: u32) {
    let slow = match place.engine {
        Engine::Postgres => format!("pg_sleep({seconds}) IS NOT NULL"),
        Engine::Sqlite => "(WITH RECURSIVE number(n) AS \
                           (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000000000) \
                           SELECT max(n) FROM number) > 0"
            .to_owned(),
    };
    let view = format!(
        "ALTER TABLE client RENAME TO real_client; \
         CREATE VIEW client AS SELECT * FROM real_client WHERE {slow}"
    );
    place.run(&view).await;
}
