//! A fault of ours, half way through a write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::http::{Method, StatusCode};
use clientele::clock::Clock;
use rstest::rstest;
use serde_json::json;

use crate::support::{Engine, TestApp};

/// More than there are connections.
const PANICS: u32 = 50;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_and_takes_nothing_with_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let is_broken = Arc::new(AtomicBool::new(false));
    let clock = Clock::from_fn({
        let is_broken = Arc::clone(&is_broken);
        move || {
            assert!(!is_broken.load(Ordering::Relaxed), "the clock is broken");
            "2026-01-31T09:15:00.250Z".parse().unwrap()
        }
    });
    let app = TestApp::builder(engine).clock(clock).start().await;
    app.create_client(json!({})).await;
    is_broken.store(true, Ordering::Relaxed);
    let body = json!({ "client": { "name": "New" } });
    for _ in 0..PANICS {
        let answer = app.put("/api/v1/clients/1", body.clone()).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.json()["request_id"].is_string(), "{answer:?}");
        let query = "mutation { updateClient(id: 1, input: { name: \"New\" }) { client { id } } }";
        let call = app.call(Method::POST, "/graphql").bearer(&app.token);
        let answer = call.json(&json!({ "query": query })).send().await;
        let error = &answer.json()["errors"][0];
        assert_eq!(error["extensions"]["code"], "INTERNAL", "{answer:?}");
    }
    is_broken.store(false, Ordering::Relaxed);
    let answer = app.put("/api/v1/clients/1", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json()["version"], 2);
}
