//! One caller beside others: whatever one asks for, an ordinary request of another is served.

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use crate::support::{Engine, TestApp};

/// More than all connections.
const MANY: usize = 40;

#[tokio::test]
async fn those_who_wait_for_a_locked_record_keep_no_connection_from_others() {
    let app = TestApp::start(Engine::Postgres).await;
    for name in ["Locked", "Free"] {
        app.create_client(json!({ "name": name })).await;
    }
    let other = app.token_of("other").await;
    let lock = app.database.begin().await.unwrap();
    let locking = "UPDATE client SET notes = notes WHERE id = 1";
    lock.execute_unprepared(locking).await.unwrap();

    let deep = json!({ "client": { "name": "New", "primary_location": { "city": "Salem" } } });
    let location = json!({ "client_location": { "city": "Salem" } });
    let waiting = join_all((0..MANY).map(async |number| {
        let call = match number % 3 {
            0 => app.put("/api/v1/clients/1", deep.clone()).await,
            1 => {
                app.put("/api/v1/client/locations/1", location.clone())
                    .await
            }
            _ => {
                let update = json!({ "client": { "name": "New" } });
                app.put("/api/v1/clients/1", update).await
            }
        };
        assert_eq!(call.status, StatusCode::SERVICE_UNAVAILABLE, "{call:?}");
    }));
    let others = async {
        for number in 0..MANY {
            let city = json!({ "city": format!("City {number}") });
            let body = json!({ "client": { "primary_location": city } });
            let call = app.call(Method::PUT, "/api/v1/clients/2");
            let written = call.bearer(&other).json(&body).send().await;
            assert_eq!(written.status, StatusCode::OK, "{written:?}");
            let call = app.call(Method::GET, "/api/v1/clients?name=Locked");
            let read = call.bearer(&other).send().await;
            assert_eq!(read.status, StatusCode::OK, "{read:?}");
        }
    };
    tokio::join!(waiting, others);
    lock.rollback().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_caller_with_many_slow_statements_keeps_nobody_waiting(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let other = app.token_of("other").await;
    // Whoever reads locations reads for longer than a statement may take.
    let slow = match engine {
        Engine::Sqlite => {
            "ALTER TABLE client_location RENAME TO kept; \
             CREATE VIEW client_location AS WITH RECURSIVE n (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) \
             SELECT kept.* FROM kept, (SELECT max(i) AS most FROM n) AS n WHERE n.most > 0"
        }
        Engine::Postgres => {
            "ALTER TABLE client_location RENAME TO kept; \
             CREATE VIEW client_location AS SELECT kept.* FROM kept WHERE pg_sleep(60) IS NOT NULL"
        }
    };
    let transaction = app.database.begin().await.unwrap();
    transaction.execute_unprepared(slow).await.unwrap();
    transaction.commit().await.unwrap();

    let slow = "{ a: clientLocations { nodes { id } } b: clientLocations { nodes { name } } \
                c: clientLocations { nodes { city } } d: clientLocations { nodes { state } } }";
    let waiting = join_all((0..MANY).map(async |_| {
        let answer = app.graphql(slow, json!({})).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(code, "UNAVAILABLE", "{answer}");
    }));
    let others = async {
        for _ in 0..MANY {
            let query = json!({ "query": "{ clients { nodes { name } } }" });
            let call = app.call(Method::POST, "/graphql");
            let answer = call.bearer(&other).json(&query).send().await.json();
            assert_eq!(answer.get("errors"), None, "{answer}");
        }
    };
    tokio::join!(waiting, others);
}

/// Those whom the same thread of the runtime serves would wait for it otherwise.
#[rstest]
#[tokio::test]
async fn a_large_query_has_a_thread_of_its_own(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const LARGE: &str = "large-query";
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    for (locations, is_large) in [(1, false), (50, true)] {
        let query = format!(
            "{{ clients(first: 500) {{ nodes {{ id locations(first: {locations}) {{
                nodes {{ id name }} }} }} }} }}"
        );
        app.take_threads();
        let data = app.data(&query, json!({})).await;
        assert_eq!(data["clients"]["nodes"].as_array().unwrap().len(), 1);
        let threads = app.take_threads();
        let of_lists = threads.iter().filter(|thread| *thread == LARGE);
        assert_eq!(
            of_lists.count(),
            if is_large { 2 } else { 0 },
            "{threads:?}"
        );
    }
}

/// A thread that SQLite's connections have started serves others afterwards.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_thread_of_a_connection_gives_way_to_others() {
    let app = TestApp::start(Engine::Sqlite).await;
    let list = "clients(first: 200) { nodes { id locations(first: 50) { nodes { id name } } } }";
    let body = json!({ "query": format!("{{ a: {list} b: {list} }}") });
    // All connections that are open are in use, so the operation, which needs two, opens one at
    // least: the other one may be that by which the token was looked up.
    let slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) \
                SELECT max(i) FROM n";
    let slow = Statement::from_string(DbBackend::Sqlite, slow);
    let (_, open, _) = app.database.connections()[0];
    let others = join_all((0..=open).map(|_| app.database.reader.query_one_raw(slow.clone())));
    let call = app.call(Method::POST, "/graphql").json(&body);
    let (others, answer) = tokio::join!(others, call.send());
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    assert!(app.database.connections()[0].1 > open + 1);
    let answer = answer.json();
    assert_eq!(answer["data"]["b"]["nodes"], json!([]), "{answer}");
    // The niceness is the 19th value, of which two are the number and the name (proc_pid_stat(5)).
    let niceness = |stat: &str| {
        let (_, values) = stat.rsplit_once(')').unwrap();
        values.split_whitespace().nth(16).unwrap().to_owned()
    };
    let usual = niceness(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    for thread in threads {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        // Threads of other tests end meanwhile.
        let Ok(stat) = stat else { continue };
        if stat.contains("(sqlx-sqlite") {
            assert_eq!(niceness(&stat), usual, "{stat}");
        }
    }
}
