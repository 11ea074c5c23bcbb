//! The first answer, given again.

use axum::http::{Method, StatusCode, header::IF_MATCH};
use rstest::rstest;
use serde_json::json;

use super::{
    super::{CLIENTS, LOCATIONS, Record, client_fields, create_client, read, refused, url},
    assert_created, assert_replays, client, clients_and_keys, is_replayed, post, rows, send,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn a_create_is_done_once_however_often_it_is_sent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let owner = create_client(&app, client_fields()).await;
    let body = match record {
        Record::Client => client("Birch"),
        Record::Location => record.body(json!({
            "root_id": owner["id"], "name": "Branch", "state": "UT", "country": "US",
        })),
    };
    let first = send(&app, Method::POST, record.path(), "a", &body).await;
    assert_created(&first);
    let own = url(record, &first.json());
    assert_eq!(first.header("location"), Some(own.as_str()));
    let before = [
        rows(&app, "client").await,
        rows(&app, "client_location").await,
    ];
    for _ in 1..20 {
        let again = send(&app, Method::POST, record.path(), "a", &body).await;
        assert_replays(&first, &again);
    }
    let after = [
        rows(&app, "client").await,
        rows(&app, "client_location").await,
    ];
    assert_eq!(after, before);
    assert_eq!(rows(&app, "idempotency_key").await, 1);
}

#[rstest]
#[tokio::test]
async fn the_first_answer_is_given_again_although_the_record_changed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let first = post(&app, "a", &client("Birch")).await;
    assert_created(&first);
    let path = url(Record::Client, &first.json());
    let edit = Record::Client.body(json!({ "name": "Other" }));
    assert_eq!(app.put(&path, edit).await.status, StatusCode::OK);
    assert_replays(&first, &post(&app, "a", &client("Birch")).await);
    assert_eq!(read(&app, &path).await["name"], "Other");
}

#[rstest]
#[tokio::test]
async fn an_update_is_done_once_although_its_version_is_gone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let edit = record.body(json!({ "notes": "New" }));
    let put = async || {
        let call = app.call(Method::PUT, &path).header(IF_MATCH, "\"1\"");
        call.header(super::KEY, "a").json(&edit).send().await
    };
    let first = put().await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    assert_replays(&first, &put().await);
    let other = record.body(json!({ "notes": "Newer" }));
    assert_eq!(app.put(&path, other).await.status, StatusCode::OK);
    assert_replays(&first, &put().await);
    assert_eq!(read(&app, &path).await["notes"], "Newer");
    assert_eq!(read(&app, &path).await["version"], 3);
}

#[rstest]
#[tokio::test]
async fn another_request_with_the_key_is_refused_and_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let first = post(&app, "my-key", &client("Birch")).await;
    assert_created(&first);
    let path = url(Record::Client, &first.json());
    let before = read(&app, &path).await;
    for (method, path, body) in [
        (Method::POST, CLIENTS, client("Larch")),
        (Method::POST, LOCATIONS, client("Birch")),
        (
            Method::POST,
            LOCATIONS,
            Record::Location.body(json!({ "name": "Main" })),
        ),
        (Method::POST, "/api/v1/clients?", client("Birch")),
        (Method::PUT, &path, client("Birch")),
    ] {
        let answer = send(&app, method.clone(), path, "my-key", &body).await;
        let problem = refused(&answer, StatusCode::UNPROCESSABLE_ENTITY);
        let title = "The Idempotency-Key belongs to another request.";
        assert_eq!(problem["title"], title, "{method} {path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("'my-key'"), "{detail}");
        assert_eq!(problem["errors"][0]["pointer"], "");
        assert!(!is_replayed(&answer));
    }
    assert_eq!(read(&app, &path).await, before);
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
    assert_replays(&first, &post(&app, "my-key", &client("Birch")).await);
}

/// What is wrong with a request stays wrong, even if it would be right by now.
#[rstest]
#[tokio::test]
async fn a_refusal_for_what_was_sent_is_final(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let owner = create_client(&app, client_fields()).await;
    let next = owner["id"].as_i64().unwrap() + 1;
    let of_next = Record::Location.body(json!({
        "root_id": next, "name": "Branch", "state": "UT", "country": "US",
    }));
    let create = async |key| send(&app, Method::POST, LOCATIONS, key, &of_next).await;
    let unknown = create("422").await;
    refused(&unknown, StatusCode::UNPROCESSABLE_ENTITY);

    let path = format!("{CLIENTS}/{next}");
    let edit = Record::Client.body(json!({ "notes": "New" }));
    let put = async |key, tag| {
        let call = app.call(Method::PUT, &path).header(IF_MATCH, tag);
        call.header(super::KEY, key).json(&edit).send().await
    };
    let missing = put("404", "*").await;
    refused(&missing, StatusCode::NOT_FOUND);

    assert_created(&app.post(CLIENTS, client("Birch")).await);
    let stale = put("412", "\"2\"").await;
    refused(&stale, StatusCode::PRECONDITION_FAILED);
    assert_eq!(put("200", "\"1\"").await.status, StatusCode::OK);

    assert_replays(&unknown, &create("422").await);
    assert_replays(&missing, &put("404", "*").await);
    assert_replays(&stale, &put("412", "\"2\"").await);
    assert_eq!(rows(&app, "client_location").await, 2);
    assert_eq!(read(&app, &path).await["version"], 2);
    assert_created(&create("new").await);
}

/// What could not be read, or may not be written, was not executed.
#[rstest]
#[tokio::test]
async fn what_is_refused_before_it_is_executed_leaves_the_key_free(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let body = client("Birch");
    let call = || app.call(Method::POST, CLIENTS).header(super::KEY, "a");
    let broken = call().json(&body).body("{").send().await;
    refused(&broken, StatusCode::BAD_REQUEST);
    let text = call().json(&body).header("content-type", "text/plain");
    refused(&text.send().await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let read_only = call().json(&body).bearer(&app.read_token).send().await;
    refused(&read_only, StatusCode::FORBIDDEN);
    let nobody = call().json(&body).anonymous().send().await;
    refused(&nobody, StatusCode::UNAUTHORIZED);
    assert_eq!(clients_and_keys(&app).await, [0, 0]);
    assert_created(&call().json(&body).send().await);
}

#[rstest]
#[tokio::test]
async fn a_read_takes_no_notice_of_a_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for key in ["a", "a", ""] {
        let answer = app.call(Method::GET, CLIENTS).header(super::KEY, key);
        let answer = answer.send().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!is_replayed(&answer));
    }
    assert_eq!(clients_and_keys(&app).await, [0, 0]);
}
