//! What web pages of other origins, and apps that show pages of their own, may do.

use axum::http::{
    HeaderValue, Method, StatusCode,
    header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use clientele::config::Settings;
use rstest::rstest;
use serde_json::json;

use crate::support::{Engine, TestApp};

const PAGE: &str = "https://app.example.com";
const APP: &str = "capacitor://localhost";

async fn start(engine: Engine) -> TestApp {
    let settings = Settings {
        allow_origin: vec![[PAGE, APP].map(HeaderValue::from_static).to_vec()],
        ..Settings::default()
    };
    TestApp::builder(engine).settings(settings).start().await
}

#[rstest]
#[tokio::test]
async fn a_browser_may_remember_what_a_page_may_send(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(PAGE, APP)] origin: &str,
    #[values("/graphql", "/api/v1/clients")] path: &str,
) {
    let app = start(engine).await;
    let call = app.call(Method::OPTIONS, path).anonymous();
    let call = call
        .header(ORIGIN, origin)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(ACCESS_CONTROL_REQUEST_HEADERS, "x-request-id");
    let answer = call.send().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    let mut allowed: Vec<_> = allowed.split(',').collect();
    allowed.sort_unstable();
    let expected = [
        "accept",
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "x-request-id",
    ];
    assert_eq!(allowed, expected);
}

#[rstest]
#[tokio::test]
async fn options_without_a_preflight_are_told_as_to_anybody(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    for origin in [None, Some(PAGE), Some("https://other.example.com")] {
        let mut call = app.call(Method::OPTIONS, "/graphql").anonymous();
        if let Some(origin) = origin {
            call = call.header(ORIGIN, origin);
        }
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    }
}

#[rstest]
#[tokio::test]
async fn only_allowed_origins_write(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = start(engine).await;
    let from = |origin: &str, site: Option<&str>| {
        let call = app.call(Method::POST, "/graphql").header("host", "gateway");
        let call = call
            .header(ORIGIN, origin)
            .json(&json!({ "query": "{ __typename }" }));
        match site {
            Some(site) => call.header("sec-fetch-site", site),
            None => call,
        }
    };
    for site in [None, Some("cross-site"), Some("same-site")] {
        for origin in [PAGE, APP] {
            let answer = from(origin, site).send().await;
            assert_eq!(answer.status, StatusCode::OK, "{origin}, {site:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        }
        for origin in [
            "https://other.example.com",
            "https://app.example.com:8443",
            "http://app.example.com",
            "ionic://localhost",
            "null",
        ] {
            let refused = from(origin, site).send().await.status;
            assert_eq!(refused, StatusCode::FORBIDDEN, "{origin}, {site:?}");
        }
    }
}

/// A page that may not see an answer takes it for a broken connection.
#[rstest]
#[tokio::test]
async fn what_is_refused_can_be_seen(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = start(engine).await;
    let long = format!("/api/v1/clients?name={}", "a".repeat(9 * 1024));
    for (path, status) in [
        (long.as_str(), StatusCode::URI_TOO_LONG),
        ("/nowhere", StatusCode::NOT_FOUND),
        ("/graphql", StatusCode::UNAUTHORIZED),
    ] {
        let call = app.call(Method::GET, path).anonymous();
        let answer = call.header(ORIGIN, PAGE).send().await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
}
