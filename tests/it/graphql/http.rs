//! GraphQL over HTTP, after the specification of that name.

use axum::http::{Method, StatusCode, header::ACCEPT};
use rstest::rstest;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::codes;
use crate::support::{Answer, Engine, TestApp};

const RESPONSE: &str = "application/graphql-response+json; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
pub const CREATE: &str = "mutation { createClient(input: { name: \"A\", primaryLocation: {
    name: \"B\", state: \"CO\", country: \"US\" } }) { client { id } } }";

pub fn path(parameters: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    format!("/graphql?{}", form.extend_pairs(parameters).finish())
}

/// The code of the only error of an answer without data.
pub fn refusal(answer: &Answer) -> (StatusCode, String) {
    let body = answer.json();
    assert_eq!(body.get("data"), None, "{body:#}");
    assert_eq!(codes(&body).len(), 1, "{body:#}");
    (answer.status, codes(&body)[0].to_owned())
}

pub fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

#[rstest]
#[tokio::test]
async fn queries_come_by_post_and_by_get(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let document = "query one($id: ID!) { client(id: $id) { name } } query other { __typename }";
    let expected = json!({ "data": { "client": { "name": "Acme" } } });
    let body = json!({ "query": document, "operationName": "one", "extensions": {},
        "variables": { "id": client["id"] } });
    assert_eq!(app.post("/graphql", body).await.json(), expected);
    let parameters = [
        ("query", document),
        ("operationName", "one"),
        ("variables", r#"{"id":1}"#),
    ];
    assert_eq!(app.get(&path(&parameters)).await.json(), expected);
    let empty = [
        ("query", "{ __typename }"),
        ("operationName", ""),
        ("variables", ""),
    ];
    let answer = app.get(&path(&empty)).await;
    assert_eq!(answer.json(), json!({ "data": { "__typename": "Query" } }));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    for operation in [Value::Null, json!("none"), json!("")] {
        let body = json!({ "query": document, "operationName": operation });
        let answer = app.post("/graphql", body).await;
        assert_eq!(
            refusal(&answer),
            refused(StatusCode::OK, "VALIDATION_FAILED")
        );
    }
}

#[rstest]
#[tokio::test]
async fn mutations_do_not_come_by_get(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let both = format!(
        "query a {{ __typename }} {}",
        CREATE.replace("mutation", "mutation b")
    );
    for parameters in [
        vec![("query", CREATE)],
        vec![("query", &both), ("operationName", "b")],
    ] {
        let answer = app.get(&path(&parameters)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), Some("POST"));
        assert_eq!(codes(&answer.json()), ["VALIDATION_FAILED"]);
    }
    let query = app
        .get(&path(&[("query", &both), ("operationName", "a")]))
        .await;
    assert_eq!(query.status, StatusCode::OK);
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = app
            .call(method, "/graphql")
            .json(&json!({ "query": CREATE }))
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(answer.header("allow").unwrap().contains("POST"));
    }
    assert_eq!(app.counts().await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn accept_chooses_the_media_type_and_with_it_the_status(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let wrong = StatusCode::BAD_REQUEST;
    for (accept, media, status) in [
        (None, JSON, StatusCode::OK),
        (Some("*/*"), JSON, StatusCode::OK),
        (Some("application/*"), JSON, StatusCode::OK),
        (Some("application/json"), JSON, StatusCode::OK),
        (
            Some("application/json; charset=utf-8"),
            JSON,
            StatusCode::OK,
        ),
        (
            Some("text/html, application/json;q=0.5"),
            JSON,
            StatusCode::OK,
        ),
        (Some("application/graphql-response+json"), RESPONSE, wrong),
        (
            Some(
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
            ),
            RESPONSE,
            wrong,
        ),
        (
            Some("application/json;q=0.5, application/graphql-response+json"),
            RESPONSE,
            wrong,
        ),
        (
            Some("application/graphql-response+json;q=0.5, application/json"),
            JSON,
            StatusCode::OK,
        ),
    ] {
        for (query, status) in [
            ("{ __typename }", StatusCode::OK),
            ("{ client(id: \"x\") { id } }", StatusCode::OK),
            ("{ clients(first: -1) { totalCount } }", StatusCode::OK),
            ("{ unknown }", status),
            ("{", status),
            (
                "query ($a: Int!) { clients(first: $a) { totalCount } }",
                status,
            ),
        ] {
            let mut post = app
                .call(Method::POST, "/graphql")
                .json(&json!({ "query": query }));
            let target = path(&[("query", query)]);
            let mut get = app.call(Method::GET, &target);
            if let Some(accept) = accept {
                (post, get) = (post.header(ACCEPT, accept), get.header(ACCEPT, accept));
            }
            for answer in [post.send().await, get.send().await] {
                assert_eq!(answer.status, status, "{accept:?} {query}");
                assert_eq!(
                    answer.header("content-type"),
                    Some(media),
                    "{accept:?} {query}"
                );
            }
        }
    }
    for accept in [
        "text/html",
        "application/xml",
        "application/json;q=0",
        "application/json; charset=utf-8; q=0",
        "text/html, *",
    ] {
        let call = app.call(Method::POST, "/graphql").header(ACCEPT, accept);
        let answer = call.json(&json!({ "query": CREATE })).send().await;
        let expected = refused(StatusCode::NOT_ACCEPTABLE, "VALIDATION_FAILED");
        assert_eq!(refusal(&answer), expected, "{accept}");
    }
    assert_eq!(app.counts().await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn parameters_of_accept_that_mean_nothing_are_passed_over(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for (accept, media) in [
        ("application/json;charset=UTF-8", JSON),
        ("Application/JSON; charset=\"UTF-8\"", JSON),
        ("application/json; odata=verbose", JSON),
        (
            "application/json; profile=\"https://a,b;c\"; version=1",
            JSON,
        ),
        ("application/json; profile=https://example.com/a", JSON),
        ("*/*; charset=utf-8", JSON),
        ("application/graphql-response+json;charset=UTF-8", RESPONSE),
        (
            "application/json; version=1; q=0.5, application/graphql-response+json; v=2",
            RESPONSE,
        ),
        (
            "application/graphql-response+json; v=2; q=0.5, application/json; version=1",
            JSON,
        ),
        // What is no media type says nothing.
        ("*", JSON),
        ("*;q=0.2, nonsense", JSON),
        ("", JSON),
        ("*, application/graphql-response+json", RESPONSE),
    ] {
        let call = app.call(Method::POST, "/graphql").header(ACCEPT, accept);
        let answer = call
            .json(&json!({ "query": "{ __typename }" }))
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{accept}");
        assert_eq!(answer.header("content-type"), Some(media), "{accept}");
    }
}
