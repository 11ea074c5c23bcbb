//! A request that is sent again before the first one was answered.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode};
use clientele::{app::router, clock::Clock, gateway::Gateway, storage::database::Database};
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use super::{
    super::{CLIENTS, refused},
    KEY, assert_created, assert_replays, client, clients_and_keys, execute, is_replayed, post,
    rows,
};
use crate::support::{Answer, Engine, TestApp};

const TWINS: usize = 50;

/// Another gateway over the database of `app`.
async fn another_gateway(app: &TestApp) -> Router {
    let database = Database::connect(&app.database_url, 2, Clock::system()).await;
    router(Gateway::new(
        database.unwrap(),
        app.gateway.settings.clone(),
    ))
}

/// Sends the request to any of the gateways of `app`'s database.
async fn post_to(app: &TestApp, router: &Router, name: &str) -> Answer {
    let call = app.call(axum::http::Method::POST, CLIENTS);
    call.header(KEY, "a")
        .json(&client(name))
        .send_to(router)
        .await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_done_and_all_get_its_answer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = Arc::new(TestApp::start(engine).await);
    let routers = [app.router.clone(), another_gateway(&app).await];
    let mut twins = JoinSet::new();
    for twin in 0..TWINS {
        let (app, router) = (Arc::clone(&app), routers[twin % 2].clone());
        twins.spawn(async move { post_to(&app, &router, "Birch").await });
    }
    let answers = twins.join_all().await;
    let mut bodies = Vec::new();
    for answer in &answers {
        match answer.status {
            StatusCode::CREATED => bodies.push(&answer.body),
            StatusCode::CONFLICT => assert_eq!(answer.header("retry-after"), Some("1")),
            _ => panic!("{}", answer.text()),
        }
    }
    println!("{engine:?}: {} of {TWINS} got the answer", bodies.len());
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    let first = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED && !is_replayed(answer));
    assert_eq!(first.count(), 1);
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
}

/// Also at another gateway, where the database is what they meet at. More of them than
/// there are connections: those are left to others. SQLite has one writer, whom all
/// others wait for.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_the_first_answer_is_told_to_come_back() {
    let app = Arc::new(TestApp::start(Engine::Postgres).await);
    let other = another_gateway(&app).await;
    let slow = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$; \
                CREATE TRIGGER wait BEFORE INSERT ON client_location \
                FOR EACH ROW EXECUTE FUNCTION wait()";
    execute(&app, slow).await;
    let first = tokio::spawn({
        let app = Arc::clone(&app);
        async move { post(&app, "a", &client("Birch")).await }
    });
    until_under_way(&app).await;
    let twins = (0..30).map(|twin| {
        let router = if twin == 0 { &other } else { &app.router };
        post_to(&app, router, "Birch")
    });
    let (twins, beside) = tokio::join!(join_all(twins), app.get(CLIENTS));
    assert_eq!(beside.status, StatusCode::OK);
    for twin in twins {
        let problem = refused(&twin, StatusCode::CONFLICT);
        assert_eq!(problem["title"], "The first request is still under way.");
        assert_eq!(twin.header("retry-after"), Some("1"));
        assert!(!is_replayed(&twin));
    }
    let first = first.await.unwrap();
    assert_created(&first);
    for router in [&app.router, &other] {
        assert_replays(&first, &post_to(&app, router, "Birch").await);
    }
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
}

/// On one thread, where what was begun before goes on before what comes after.
#[rstest]
#[tokio::test]
async fn who_hung_up_gets_the_first_answer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let lock = app.database.begin().await.unwrap();
    if engine == Engine::Postgres {
        let clients = "LOCK TABLE client IN EXCLUSIVE MODE";
        lock.execute_unprepared(clients).await.unwrap();
    }
    let body = client("Birch").to_string();
    let request = format!(
        "POST {CLIENTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Idempotency-Key: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        app.token,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    // The token was looked up; then there are the connection and the request.
    let mut seen = Vec::new();
    until(|| {
        seen.extend(app.take_statements());
        let is_known = seen.iter().any(|sql| sql.contains("api_token"));
        is_known && app.gateway.lifecycle.tasks.len() >= 2
    })
    .await;
    tokio::task::yield_now().await;
    let reset = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    reset.unwrap();
    drop(stream);

    assert_eq!(rows(&app, "client").await, 0);
    lock.rollback().await.unwrap();
    let retry = post(&app, "a", &client("Birch")).await;
    assert_eq!(retry.status, StatusCode::CREATED, "{}", retry.text());
    assert!(is_replayed(&retry));
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
}

/// Waits until a request of `app` holds a key.
async fn until_under_way(app: &TestApp) {
    let mut seen = Vec::new();
    until(|| {
        seen.extend(app.take_statements());
        seen.iter().any(|sql| sql.contains("idempotency_key"))
    })
    .await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let becomes_so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, becomes_so).await.unwrap();
}
