//! What operators see: liveness and readiness.

use axum::http::StatusCode;
use rstest::rstest;

use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn a_started_gateway_is_live_and_ready(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for path in ["/healthz", "/readyz"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
}
