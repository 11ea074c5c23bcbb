//! What operators see: liveness, readiness, and metrics.

use axum::http::StatusCode;
use rstest::rstest;
use serde_json::json;

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

#[rstest]
#[tokio::test]
async fn metrics_have_help_and_are_there_from_the_start(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    // The first time makes the recorder.
    app.get("/metrics").await;
    app.graphql("{ nonsense }", json!({})).await;
    let text = app.get("/metrics").await.text().to_owned();
    let mut described = Vec::new();
    for line in text.lines() {
        if let Some(described_now) = line.strip_prefix("# HELP ") {
            let (name, help) = described_now.split_once(' ').unwrap();
            assert!(!help.is_empty(), "{line}");
            described.push(name);
        } else if !line.starts_with('#') && !line.is_empty() {
            let name = line.split(['{', ' ']).next().unwrap();
            let of = |suffix| name.strip_suffix(suffix).unwrap_or(name);
            let names = [name, of("_bucket"), of("_sum"), of("_count")];
            assert!(names.iter().any(|name| described.contains(name)), "{line}");
        }
    }
    for expected in [
        "clientele_build_info{version=",
        "clientele_database_connections{pool=\"read\",state=\"idle\"}",
        "clientele_database_statements_failed_total ",
        "clientele_graphql_errors_total{code=\"LIMIT_EXCEEDED\"} ",
        "clientele_http_response_bytes_bucket{le=\"1024\"}",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
