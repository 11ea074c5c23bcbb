//! Which bodies of requests are read.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode, header::CONTENT_TYPE},
};
use futures_util::stream;
use rstest::rstest;
use serde_json::json;

use super::http::{CREATE, path, refusal, refused};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn bodies_are_json_and_say_so(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let body = json!({ "query": CREATE }).to_string();
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/jsonx",
        "nonsense",
        "",
    ] {
        let call = app
            .call(Method::POST, "/graphql")
            .header(CONTENT_TYPE, media);
        let answer = call.body(body.clone()).send().await;
        let expected = refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "VALIDATION_FAILED");
        assert_eq!(refusal(&answer), expected, "{media}");
    }
    let untyped = app
        .call(Method::POST, "/graphql")
        .body(body.clone())
        .send()
        .await;
    assert_eq!(untyped.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let packed = app
        .call(Method::POST, "/graphql")
        .header("content-encoding", "gzip");
    let packed = packed
        .header(CONTENT_TYPE, "application/json")
        .body(body.clone());
    let packed = packed.send().await;
    assert_eq!(packed.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(packed.header("accept-encoding"), Some("identity"));
    assert_eq!(app.counts().await, [0, 0]);

    for media in [
        "application/json",
        "Application/JSON;charset=UTF-8",
        "application/json; charset=\"utf8\"",
        "application/json; version=1; profile=https://example.com/a",
    ] {
        let call = app
            .call(Method::POST, "/graphql")
            .header(CONTENT_TYPE, media);
        assert_eq!(
            call.body(body.clone()).send().await.status,
            StatusCode::OK,
            "{media}"
        );
    }
    assert_eq!(app.counts().await, [4, 4]);
}

#[rstest]
#[tokio::test]
async fn a_byte_order_mark_and_empty_names_say_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for body in [
        "\u{feff}{\"query\": \"{ __typename }\"}",
        r#"{"query": "{ __typename }", "operationName": ""}"#,
    ] {
        let call = app
            .call(Method::POST, "/graphql")
            .header(CONTENT_TYPE, "application/json");
        let answer = call.body(body).send().await;
        assert_eq!(answer.json(), json!({ "data": { "__typename": "Query" } }));
    }
}

#[rstest]
#[tokio::test]
async fn malformed_requests_are_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let member = |more: &str| format!(r#"{{"query": "{{ __typename }}", {more}}}"#).into_bytes();
    let batch = json!([{ "query": CREATE }, { "query": CREATE }]).to_string();
    let nested = format!(r#""variables": {{"a": {}"#, "[".repeat(100_000));
    for body in [
        b"".to_vec(),
        b" \n".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"1".to_vec(),
        b"\"{ __typename }\"".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        batch.into_bytes(),
        br#"{"query": null}"#.to_vec(),
        br#"{"query": 1}"#.to_vec(),
        br#"{"query": "{ __typename }"} x"#.to_vec(),
        br#"{"query": "{ __typename }", "query": "{ __typename }"}"#.to_vec(),
        b"{\"query\": \"{ __typename } # \xff\"}".to_vec(),
        br#"{"query": "{ __typename } # \ud800"}"#.to_vec(),
        member(r#""operationName": 1"#),
        member(r#""variables": []"#),
        member(r#""variables": "{}""#),
        member(r#""variables": {"a": 1, "a": 2}"#),
        member(r#""variables": {"a": {"b": 1, "b": 2}}"#),
        member(r#""variables": {"a": 1e400}"#),
        member(r#""extensions": 1"#),
        member(&nested),
    ] {
        let call = app
            .call(Method::POST, "/graphql")
            .header(CONTENT_TYPE, "application/json");
        let answer = call.body(body.clone()).send().await;
        let expected = refused(StatusCode::BAD_REQUEST, "VALIDATION_FAILED");
        assert_eq!(
            refusal(&answer),
            expected,
            "{}",
            String::from_utf8_lossy(&body)
        );
        assert!(answer.body.len() < 8 * 1024);
    }
    // What is sent is not replaced in silence.
    for query in [
        "query=%7B__typename%7D%FF",
        "query=%7B__typename%7D&variables=%C3",
    ] {
        let answer = app.get(&format!("/graphql?{query}")).await;
        let expected = refused(StatusCode::BAD_REQUEST, "VALIDATION_FAILED");
        assert_eq!(refusal(&answer), expected, "{query}");
        let name = query.split('&').next_back().unwrap();
        let name = name.split_once('=').unwrap().0;
        let expected = format!("The parameter '{name}' is not valid UTF-8.");
        assert_eq!(answer.json()["errors"][0]["message"], expected);
    }
    for parameters in [
        &[][..],
        &[("variables", "{}")],
        &[("query", "{ __typename }"), ("query", "{ __typename }")],
        &[("query", "{ __typename }"), ("variables", "{")],
        &[("query", "{ __typename }"), ("variables", "[]")],
        &[("query", "{ __typename }"), ("extensions", "1")],
    ] {
        let answer = app.get(&path(parameters)).await;
        let expected = refused(StatusCode::BAD_REQUEST, "VALIDATION_FAILED");
        assert_eq!(refusal(&answer), expected, "{parameters:?}");
    }
    assert_eq!(app.counts().await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn bodies_have_a_largest_size(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    const LIMIT: usize = 1024 * 1024;
    let app = TestApp::start(engine).await;
    let start = r#"{"query": "{ __typename }", "variables": {"a": ""#;
    let body = |length: usize| format!("{start}{}\"}}}}", "x".repeat(length - start.len() - 3));
    for (length, status) in [
        (LIMIT, StatusCode::OK),
        (LIMIT + 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let body = Bytes::from(body(length));
        assert_eq!(body.len(), length);
        let chunks: Vec<_> = body
            .chunks(10_000)
            .map(|chunk| body.slice_ref(chunk))
            .collect();
        let chunks = stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
        for body in [Body::from(body.clone()), Body::from_stream(chunks)] {
            let call = app
                .call(Method::POST, "/graphql")
                .header(CONTENT_TYPE, "application/json");
            let answer = call.body(body).send().await;
            assert_eq!(answer.status, status);
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                assert_eq!(refusal(&answer), refused(status, "LIMIT_EXCEEDED"));
            }
        }
    }
}
