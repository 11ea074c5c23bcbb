//! A client that hangs up must not take anything with it: neither its own half
//! written record nor, by way of a connection that goes back into the pool with its
//! transaction open, the acknowledged writes of others.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use clientele::auth::tokens;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use crate::support::{Engine, TestApp};

/// Clients that hang up, and how often each does.
const HANGING_UP: u32 = 4;
const TIMES: u32 = 500;
/// A client waits for its answer not at all, or up to so long, in steps: it leaves
/// at every moment of a write.
const LONGEST_PATIENCE: Duration = Duration::from_millis(8);
const STEPS: u32 = 80;
/// How often one hangs up who has no token.
const UNKNOWN: u32 = 200;
/// Writes that are acknowledged beside them, at the least.
const ACKNOWLEDGED: usize = 200;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_is_there(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = Arc::new(TestApp::start(engine).await);
    let address = app.serve().await;
    let (finished, mut watched) = watch::channel(false);

    let steady = tokio::spawn({
        let app = Arc::clone(&app);
        async move {
            let mut acknowledged = Vec::new();
            while !*watched.borrow_and_update() || acknowledged.len() < ACKNOWLEDGED {
                let body = body("steady");
                let answer = app
                    .call(Method::POST, "/api/v1/clients")
                    .json(&body)
                    .send()
                    .await;
                match answer.status {
                    StatusCode::CREATED => acknowledged.push(answer.json()["id"].as_i64().unwrap()),
                    // Too busy: not acknowledged, so nothing is owed.
                    StatusCode::SERVICE_UNAVAILABLE => {}
                    _ => panic!("{}", answer.text()),
                }
            }
            acknowledged
        }
    });
    let mut hanging_up = JoinSet::new();
    for _ in 0..HANGING_UP {
        let token = app.token.clone();
        hanging_up.spawn(async move {
            for time in 0..TIMES {
                hang_up(address, &token, time).await;
            }
        });
    }
    hanging_up.join_all().await;
    finished.send(true).unwrap();
    let acknowledged = steady.await.unwrap();
    println!(
        "{engine:?}: {} acknowledged beside {} hang-ups",
        acknowledged.len(),
        HANGING_UP * TIMES
    );

    // What the hang-ups began still runs to its end.
    app.gateway.lifecycle.stopping.cancel();
    app.gateway.lifecycle.tasks.close();
    app.gateway.lifecycle.tasks.wait().await;

    for id in &acknowledged {
        let answer = app.get(&format!("/api/v1/clients/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "client {id} is lost");
    }
    assert_no_half_client(&app).await;
    if engine == Engine::Postgres {
        assert_no_open_transaction(&app).await;
    }
}

/// Who has no token costs no connections to the database.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_tokens_close_no_connection() {
    let app = TestApp::start(Engine::Postgres).await;
    let address = app.serve().await;
    app.get("/api/v1/clients").await;
    let before = sessions(&app).await;
    assert!(!before.is_empty());
    let unknown = unknown_token(&app.token);
    for time in 0..UNKNOWN {
        hang_up(address, &unknown, time).await;
    }
    app.gateway.lifecycle.stopping.cancel();
    app.gateway.lifecycle.tasks.close();
    app.gateway.lifecycle.tasks.wait().await;
    let after = sessions(&app).await;
    assert!(before.is_subset(&after), "{before:?} became {after:?}");
}

/// A token of the right form that nobody has.
fn unknown_token(token: &str) -> String {
    let prefix = tokens::prefix_of(token).unwrap();
    let other: String = prefix
        .chars()
        .map(|digit| if digit == '0' { '1' } else { '0' })
        .collect();
    token.replacen(prefix, &other, 1)
}

/// The gateway's sessions, each by its process on the server.
async fn sessions(app: &TestApp) -> HashSet<i32> {
    let sessions = "SELECT pid FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'clientele'";
    let db = &app.database.reader;
    let statement = Statement::from_string(db.get_database_backend(), sessions);
    let rows = db.query_all_raw(statement).await.unwrap().into_iter();
    rows.map(|row| row.try_get("", "pid").unwrap()).collect()
}

/// Sends a write and leaves without the answer: at once, or when the server has
/// had time to begin.
async fn hang_up(address: SocketAddr, token: &str, time: u32) {
    let body = body("hang-up").to_string();
    let request = format!(
        "POST /api/v1/clients HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let patience = LONGEST_PATIENCE * (time % STEPS) / STEPS;
    let _ = tokio::time::timeout(patience, stream.read_u8()).await;
    // Resets the connection instead of closing it in peace.
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

fn body(name: &str) -> Value {
    json!({ "client": {
        "name": name,
        "primary_location": { "name": "Main", "state": "CO", "country": "US" },
    } })
}

async fn assert_no_half_client(app: &TestApp) {
    let half = "SELECT count(*) AS count FROM client WHERE NOT EXISTS \
                (SELECT 1 FROM client_location WHERE client_id = client.id AND is_primary)";
    assert_eq!(count(app, half).await, 0);
}

async fn assert_no_open_transaction(app: &TestApp) {
    let open = "SELECT count(*) AS count FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(count(app, open).await, 0);
}

async fn count(app: &TestApp, sql: &str) -> i64 {
    let db = &app.database.reader;
    let backend: DbBackend = db.get_database_backend();
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await;
    row.unwrap().unwrap().try_get("", "count").unwrap()
}
