//! Errors as `application/problem+json` (RFC 9457): one of each status.

use axum::http::{
    Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH},
};
use rstest::rstest;
use serde_json::json;

use super::{CLIENTS, Record, client_fields, create_client, refused, url, whole};
use crate::support::{Engine, TestApp, USER};

#[rstest]
#[tokio::test]
async fn every_status_answers_a_problem(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    let body = json!({ "client": { "name": "Other" } });
    let put = || app.call(Method::PUT, &path).json(&body);
    let too_large = " ".repeat(2 * 1024 * 1024);
    let long_path = format!("{CLIENTS}?name={}", "x".repeat(8 * 1024));
    for (status, call) in [
        (400, put().body("{\"client\": {\"name\": }}")),
        (401, put().anonymous()),
        (403, put().bearer(&app.read_token)),
        (404, app.call(Method::GET, "/api/v1/clients/4711")),
        (405, app.call(Method::DELETE, &path)),
        (412, put().header(IF_MATCH, "\"7\"")),
        (413, put().body(too_large)),
        (414, app.call(Method::GET, &long_path)),
        (415, put().header(CONTENT_TYPE, "text/xml")),
        (
            422,
            put().json(&json!({ "client": { "name": "", "colour": "red" } })),
        ),
    ] {
        let answer = call.send().await;
        insta::assert_snapshot!(format!("problem_{status}"), whole(&answer));
        refused(&answer, StatusCode::from_u16(status).unwrap());
    }
}

#[rstest]
#[tokio::test]
async fn wrong_credentials_all_get_the_same_answer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let body = record.body(json!({ "name": "Other" }));
    let unsigned = app.call(Method::GET, &path).anonymous().send().await;
    let expected = whole(&unsigned);
    refused(&unsigned, StatusCode::UNAUTHORIZED);
    for (method, path) in [
        (Method::GET, record.path()),
        (Method::POST, record.path()),
        (Method::GET, &path),
        (Method::PUT, &path),
    ] {
        let call = || app.call(method.clone(), path).json(&body);
        for call in [
            call().anonymous(),
            call().basic("other", &app.token),
            call().basic("", &app.token),
            call().basic(USER, "wrong"),
            call().basic(USER, &app.token[1..]),
            call().bearer("wrong"),
            call().header(AUTHORIZATION, "Basic"),
            call().header(AUTHORIZATION, "Basic !!!"),
            call().header(AUTHORIZATION, &app.token),
        ] {
            assert_eq!(whole(&call.send().await), expected);
        }
    }
    assert_eq!(app.get(&path).await.json()["version"], 1);
}

#[rstest]
#[tokio::test]
async fn a_read_only_token_reads_and_does_not_write(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let body = record.body(json!({ "name": "Other" }));
    for path in [record.path(), &path] {
        let call = app.call(Method::GET, path).basic(USER, &app.read_token);
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    for (method, path) in [(Method::POST, record.path()), (Method::PUT, &path)] {
        let call = app.call(method, path).basic(USER, &app.read_token);
        let answer = call.json(&body).send().await;
        refused(&answer, StatusCode::FORBIDDEN);
    }
    assert_eq!(app.get(&path).await.json()["version"], 1);
}

#[rstest]
#[tokio::test]
async fn the_request_id_is_the_callers_or_a_new_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let call = app.call(Method::GET, "/api/v1/clients/4711");
    let answer = call.header("x-request-id", "from-the-caller").send().await;
    let problem = refused(&answer, StatusCode::NOT_FOUND);
    assert_eq!(problem["request_id"], "from-the-caller");

    let answers = [app.get(CLIENTS).await, app.get(CLIENTS).await];
    let [one, other] = answers.map(|answer| answer.header("x-request-id").unwrap().to_owned());
    assert!(!one.is_empty());
    assert_ne!(one, other);
}
