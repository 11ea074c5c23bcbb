//! Who may read and who may write.

use axum::http::{
    Method, StatusCode,
    header::{ACCEPT, ORIGIN},
};
use rstest::rstest;
use serde_json::json;

use super::{
    CREATE_CLIENT, UPDATE_CLIENT, UPDATE_LOCATION,
    http::{CREATE, path, refusal, refused},
    location,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn without_a_valid_token_nothing_is_told(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut wrong = app.token.clone();
    wrong.pop();
    for query in ["{ __typename }", "{", CREATE] {
        let post = || {
            app.call(Method::POST, "/graphql")
                .json(&json!({ "query": query }))
        };
        let target = path(&[("query", query)]);
        let get = || app.call(Method::GET, &target);
        for call in [
            post().anonymous(),
            post().bearer("wrong"),
            post().bearer(&wrong),
            post().basic("somebody", &app.token),
            get().anonymous(),
            get().bearer(&wrong),
        ] {
            let answer = call.send().await;
            assert_eq!(
                refusal(&answer),
                refused(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
            );
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
    assert_eq!(app.counts().await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn tokens_for_reading_do_not_write(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let input = json!({ "name": "A", "primaryLocation": location() });
    for (query, variables) in [
        (CREATE, json!({})),
        (CREATE_CLIENT, json!({ "input": input })),
        (UPDATE_CLIENT, json!({ "id": 1, "input": { "name": "B" } })),
        (
            UPDATE_LOCATION,
            json!({ "id": 1, "input": { "name": "B" } }),
        ),
        ("mutation { __typename }", json!({})),
    ] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let call = app.call(Method::POST, "/graphql").bearer(&app.read_token);
            let body = json!({ "query": query, "variables": variables });
            let answer = call.header(ACCEPT, accept).json(&body).send().await;
            assert_eq!(
                refusal(&answer),
                refused(StatusCode::FORBIDDEN, "FORBIDDEN")
            );
        }
    }
    let call = app.call(Method::POST, "/graphql").bearer(&app.read_token);
    let answer = call
        .json(&json!({ "query": "{ client(id: 1) { name } }" }))
        .send()
        .await;
    assert_eq!(
        answer.json(),
        json!({ "data": { "client": { "name": "Acme" } } })
    );
    assert_eq!(app.client(&client["id"]).await, client);
    assert_eq!(app.counts().await, [1, 1]);
}

#[rstest]
#[tokio::test]
async fn pages_of_other_origins_do_not_write(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let post = || {
        app.call(Method::POST, "/graphql")
            .json(&json!({ "query": CREATE }))
    };
    for call in [
        post()
            .header(ORIGIN, "https://evil.example.com")
            .header("host", "localhost"),
        post().header(ORIGIN, "null").header("host", "localhost"),
        post().header("sec-fetch-site", "cross-site"),
        post().header("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(call.send().await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(app.counts().await, [0, 0]);
    for call in [
        post(),
        post().header("sec-fetch-site", "same-origin"),
        post()
            .header(ORIGIN, "http://localhost:8080")
            .header("host", "localhost:8080"),
    ] {
        assert_eq!(call.send().await.status, StatusCode::OK);
    }
    assert_eq!(app.counts().await, [3, 3]);
}
