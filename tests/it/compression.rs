//! Answers are compressed for those who ask, where it pays and does no harm.

use std::io::Read;

use axum::http::{
    Method, StatusCode,
    header::{ACCEPT_ENCODING, IF_NONE_MATCH},
};
use flate2::read::GzDecoder;
use rstest::rstest;
use serde_json::json;

use crate::support::{Answer, Engine, TestApp};

const LIST: &str = "/api/v1/clients";
const QUERY: &str = "{ clients { nodes { id name primaryLocation { name state country } } } }";

/// A gateway over a list that is long enough.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    for number in 0..30 {
        let name = format!("Zoë & Söhne {number}");
        app.create_client(json!({ "name": name })).await;
    }
    app
}

async fn get(app: &TestApp, path: &str, accepted: &str) -> Answer {
    let call = app.call(Method::GET, path);
    call.header(ACCEPT_ENCODING, accepted).send().await
}

fn encoding(answer: &Answer) -> Option<&str> {
    answer.header("content-encoding")
}

/// The body as it was before it was compressed.
fn decoded(answer: &Answer) -> Vec<u8> {
    let mut body = Vec::new();
    let packed = &answer.body[..];
    let read = match encoding(answer) {
        Some("gzip") => GzDecoder::new(packed).read_to_end(&mut body),
        Some("br") => brotli::Decompressor::new(packed, 4096).read_to_end(&mut body),
        Some("zstd") => zstd::Decoder::new(packed).unwrap().read_to_end(&mut body),
        None => return packed.to_vec(),
        other => panic!("{other:?} is no known encoding"),
    };
    read.unwrap();
    body
}

#[rstest]
#[tokio::test]
async fn a_long_answer_comes_as_the_caller_likes_best(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    let plain = app.get(LIST).await;
    assert_eq!(encoding(&plain), None);
    let length = plain.body.len().to_string();
    assert_eq!(plain.header("content-length"), Some(&*length));
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    for (accepted, expected) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("zstd", Some("zstd")),
        ("GZIP", Some("gzip")),
        ("gzip, deflate, br", Some("br")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("zstd, gzip", Some("gzip")),
        ("zstd, gzip;q=0.9, br;q=0.9", Some("zstd")),
        ("gzip;q=0.5, zstd;q=0.6", Some("zstd")),
        ("*;q=0.5, br;q=0.1", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("br;q=nonsense, gzip", Some("gzip")),
        ("zstd;q=0.5, gzip;q=0.8, br;q=0.7", Some("gzip")),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", Some("gzip")),
        ("zstd;q=0, br;q=0.0, gzip;q=0.2", Some("gzip")),
        ("*", Some("br")),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("deflate, compress", None),
        ("", None),
        // Nothing that we have: still an answer.
        ("*;q=0", None),
        ("identity;q=0", None),
    ] {
        let answer = get(&app, LIST, accepted).await;
        assert_eq!(answer.status, StatusCode::OK, "{accepted}");
        assert_eq!(encoding(&answer), expected, "{accepted}");
        assert!(decoded(&answer) == plain.body, "{accepted}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for name in ["link", "x-total-count", "cache-control"] {
            assert_eq!(answer.header(name), plain.header(name), "{name}");
        }
        match expected {
            Some(_) => assert!(answer.body.len() < plain.body.len() / 3, "{accepted}"),
            None => assert_eq!(answer.header("content-length"), Some(&*length)),
        }
    }
}

#[rstest]
#[tokio::test]
async fn every_face_compresses(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("gzip", "br", "zstd")] accepted: &str,
) {
    let app = start(engine).await;
    let post = || {
        let body = json!({ "query": QUERY });
        app.call(Method::POST, "/graphql").json(&body)
    };
    let plain = post().send().await;
    let answer = post().header(ACCEPT_ENCODING, accepted).send().await;
    assert_eq!(encoding(&answer), Some(accepted));
    assert!(decoded(&answer) == plain.body);

    // Not a problem, however many faults it names.
    let unknown: Vec<_> = (0..200)
        .map(|number| format!("unknown{number}=1"))
        .collect();
    let path = format!("{LIST}?{}", unknown.join("&"));
    let answer = get(&app, &path, accepted).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(encoding(&answer), None);
    assert!(answer.body.len() > 2 * 1024);
    assert_eq!(answer.json()["status"], 400);

    let plain = app.get("/api/v1/openapi.json").await;
    let answer = get(&app, "/api/v1/openapi.json", accepted).await;
    assert_eq!(encoding(&answer), Some(accepted));
    assert!(decoded(&answer) == plain.body);
}

#[rstest]
#[tokio::test]
async fn a_short_answer_stays_plain(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = start(engine).await;
    for path in [
        "/api/v1/clients?per_page=1",
        "/api/v1/clients/4711",
        "/healthz",
        "/nowhere",
    ] {
        let answer = get(&app, path, "gzip, br, zstd").await;
        assert_eq!(encoding(&answer), None, "{path}");
        assert_eq!(answer.header("vary"), None, "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn a_tagged_answer_stays_plain(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "notes": "long ".repeat(1_000) }))
        .await;
    let path = "/api/v1/clients/1";
    let plain = app.get(path).await;
    let answer = get(&app, path, "gzip, br, zstd").await;
    assert_eq!(encoding(&answer), None);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.body, plain.body);

    let call = app.call(Method::GET, path).header(IF_NONE_MATCH, "\"1\"");
    let unchanged = call.header(ACCEPT_ENCODING, "gzip, br, zstd").send().await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    assert_eq!(encoding(&unchanged), None);
    assert!(unchanged.body.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_head_has_the_headers_of_its_get(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    for accepted in ["identity", "gzip"] {
        let whole = get(&app, LIST, accepted).await;
        let call = app.call(Method::HEAD, LIST);
        let head = call.header(ACCEPT_ENCODING, accepted).send().await;
        assert!(head.body.is_empty());
        for name in ["content-encoding", "content-length", "vary"] {
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_another_page_may_have_asked_for_stays_plain(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    for (site, bearer, expected) in [
        ("cross-site", false, None),
        ("same-site", false, None),
        ("cross-site", true, Some("gzip")),
        ("same-origin", false, Some("gzip")),
        ("none", false, Some("gzip")),
    ] {
        let mut call = app.call(Method::GET, LIST).header(ACCEPT_ENCODING, "gzip");
        if bearer {
            call = call.bearer(&app.token);
        }
        let answer = call.header("sec-fetch-site", site).send().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(encoding(&answer), expected, "{site}, bearer: {bearer}");
    }
}

#[rstest]
#[tokio::test]
async fn what_is_packed_already_is_not_packed_twice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let page = app.get("/graphiql").await;
    let (_, script) = page.text().split_once("src=\"").unwrap();
    let (script, _) = script.split_once('"').unwrap();
    let path = format!("/{script}");
    let answer = get(&app, &path, "gzip, br, zstd").await;
    assert_eq!(answer.status, StatusCode::OK, "{path}");
    assert_eq!(encoding(&answer), Some("gzip"));
    assert_eq!(answer.header("vary"), Some("accept-encoding"));
    assert!(!decoded(&answer).starts_with(&[0x1f, 0x8b]));
}
