//! How large answers may be, by whichever way they are made.

use axum::http::{Method, StatusCode};
use clientele::config::{Limits, Settings};
use rstest::rstest;
use serde_json::{Value, json};

use super::codes;
use crate::support::{Engine, TestApp};

/// A limit for these tests, in bytes.
const MAX: usize = 100_000;

/// An app with one client whose notes and whose locations' names are long.
async fn start(engine: Engine) -> TestApp {
    let limits = Limits {
        max_answer_bytes: MAX,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    app.create_client(json!({ "name": "Acme", "notes": "n".repeat(20_000) }))
        .await;
    for _ in 0..4 {
        app.create_location(json!({ "clientId": "1", "name": "l".repeat(250) }))
            .await;
    }
    app
}

fn assert_is_too_large(answer: &Value, query: &str) {
    assert_eq!(codes(answer), ["LIMIT_EXCEEDED"], "{query}: {answer}");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("100000 bytes"), "{message}");
}

#[rstest]
#[tokio::test]
async fn every_way_of_making_an_answer_is_bounded(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    let projected = "clients { nodes { a: notes b: notes c: notes d: notes e: notes } }";
    let record = "client(id: 1) { a: notes b: notes c: notes d: notes e: notes }";
    let by_path = "client(id: 1) { locations { nodes { client { notes } } } }";
    let by_edges = "client(id: 1) { locations { edges { node { client { notes } } } } }";
    let resolved = "clients { nodes { locations { totalCount nodes { client { notes } } } } }";
    let together = "a: client(id: 1) { notes } b: client(id: 1) { notes } \
                    c: client(id: 1) { notes } d: client(id: 1) { notes } \
                    e: client(id: 1) { notes }";
    let history = "client(id: 1) { history { nodes { fields { new } client { notes } } } }";
    for query in [
        projected, record, by_path, by_edges, resolved, together, history,
    ] {
        let query = format!("{{ {query} }}");
        let answer = app.graphql(&query, json!({})).await;
        assert_is_too_large(&answer, &query);
        // A mutation, too, may ask for much.
        let fewer = query.replace(" e: notes", "").replace(" d: notes", "");
        if fewer != query {
            let answer = app.graphql(&fewer, json!({})).await;
            assert_eq!(answer.get("errors"), None, "{fewer}: {answer}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_list_over_rest_is_bounded(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = start(engine).await;
    for _ in 0..5 {
        app.create_client(json!({ "name": "Acme", "notes": "n".repeat(20_000) }))
            .await;
    }
    let answer = app.get("/api/v1/clients").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("fewer records"), "{detail}");
    let answer = app.get("/api/v1/clients?per_page=3").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn records_on_several_paths_are_read_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    app.take_statements();
    let page = "locations(first: 5) { nodes";
    let query = format!("{{ client(id: 1) {{ {page} {{ client {{ {page} {{ client {{ {page} ");
    let query = format!("{query} {{ id }} {} }}", " }".repeat(8));
    app.data(&query, json!({})).await;
    // The client, its locations, and the client of these.
    assert_eq!(app.take_statements().len(), 3);
}

#[rstest]
#[tokio::test]
async fn a_mutation_says_that_it_has_taken_effect(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    let rename = "mutation { updateClient(id: 1, input: { name: \"New\" }) { client {
                  locations { nodes { client { notes } } } } } }";
    let answer = app.graphql(rename, json!({})).await;
    assert_is_too_large(&answer, rename);
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("The mutation has taken effect."),
        "{message}"
    );
    let found = app.data("{ client(id: 1) { name } }", json!({})).await;
    assert_eq!(found["client"]["name"], "New");
}

#[rstest]
#[tokio::test]
async fn a_mutation_with_a_key_is_undone_instead(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    for (key, selection) in [
        ("paths", "locations { nodes { client { notes } } }"),
        ("aliases", "a: notes b: notes c: notes d: notes e: notes"),
    ] {
        let rename = format!(
            "mutation {{ updateClient(id: 1, input: {{ name: \"New\" }}) \
             {{ client {{ {selection} }} }} }}"
        );
        let call = || {
            app.call(Method::POST, "/graphql")
                .header("idempotency-key", key)
                .json(&json!({ "query": rename }))
        };
        for _ in 0..2 {
            let answer = call().send().await.json();
            assert_is_too_large(&answer, &rename);
            assert_eq!(answer["data"], json!(null));
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(!message.contains("effect"), "{message}");
        }
    }
    let found = app
        .data("{ client(id: 1) { name version } }", json!({}))
        .await;
    assert_eq!(found["client"], json!({ "name": "Acme", "version": 1 }));
}
