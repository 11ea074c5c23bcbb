//! Bodies that cannot be read: refused whole, with no row written.

use axum::{
    body::Body,
    http::{
        Method, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE},
    },
};
use futures_util::stream;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CLIENTS, Record, client_fields, counts, pointers, refused, refused_for};
use crate::support::{Answer, Engine, TestApp};

async fn post(app: &TestApp, body: impl Into<Body>) -> Answer {
    app.call(Method::POST, CLIENTS)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .send()
        .await
}

/// A right body, as text.
fn right() -> String {
    json!({ "client": client_fields() }).to_string()
}

/// A right body, except for the name, which is this JSON.
fn named(name: &[u8]) -> Vec<u8> {
    let text = right();
    let (before, after) = text.split_once("\"Birch & Sons\"").unwrap();
    [before.as_bytes(), name, after.as_bytes()].concat()
}

#[rstest]
#[tokio::test]
async fn what_is_not_json_is_malformed(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let right = right();
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| right.encode_utf16().flat_map(bytes).collect();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("white space", b" \r\n\t".to_vec()),
        ("truncated", right.as_bytes()[..right.len() - 1].to_vec()),
        ("half", right.as_bytes()[..right.len() / 2].to_vec()),
        ("trailing text", format!("{right} x").into_bytes()),
        ("two bodies", format!("{right}{right}").into_bytes()),
        ("trailing comma", right.replace("}}", "},}").into_bytes()),
        (
            "two byte order marks",
            format!("\u{feff}\u{feff}{right}").into_bytes(),
        ),
        ("UTF-16LE", utf_16(u16::to_le_bytes)),
        ("UTF-16BE", utf_16(u16::to_be_bytes)),
        ("trailing NUL", format!("{right}\0").into_bytes()),
        ("single quotes", b"{'client': {}}".to_vec()),
        ("comment", format!("/* new */{right}").into_bytes()),
        ("form", b"client[name]=Acme".to_vec()),
        ("invalid UTF-8", named(b"\"\xff\xfe\"")),
        ("overlong UTF-8", named(b"\"\xc0\xaf\"")),
        ("UTF-8 surrogate", named(b"\"\xed\xa0\x80\"")),
        ("lone high surrogate", named(br#""\ud83d""#)),
        ("lone low surrogate", named(br#""\udc00""#)),
        ("surrogates in the wrong order", named(br#""\udc00\ud83d""#)),
        ("bare control character", named(b"\"a\nb\"")),
        ("number too large", named(b"1e400")),
        ("not a number", named(b"NaN")),
        ("leading zero", named(b"01")),
        ("member twice", named(br#""One", "name": "Two""#)),
        ("client twice", br#"{"client": {}, "client": {}}"#.to_vec()),
    ];
    for (what, body) in bodies {
        let answer = post(&app, body).await;
        let problem = refused_for(what, &answer, StatusCode::BAD_REQUEST);
        assert_eq!(
            problem["title"], "The request cannot be understood.",
            "{what}"
        );
    }
    assert_eq!(counts(&app).await, [0, 0]);
    let answer = post(&app, right).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn a_byte_order_mark_is_passed_over(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let answer = post(&app, format!("\u{feff}{}", right())).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn what_is_not_utf_8_is_told_where(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let body = b"{\"client\":{\"name\":\"Caf\xe9\"}}";
    let answer = post(&app, body.to_vec()).await;
    let problem = refused(&answer, StatusCode::BAD_REQUEST);
    let expected =
        "The body is not valid JSON: it is not UTF-8 at byte 22. Send the text in UTF-8.";
    assert_eq!(problem["detail"], expected);
}

#[rstest]
#[tokio::test]
async fn a_member_that_is_there_twice_is_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    // Spelt differently, but the same to JSON.
    let body = right().replace(r#""zip""#, r#""city": "Salem", "zip""#);
    let answer = post(
        &app,
        body.replace(r#""city": "Salem""#, r#""\u0063ity": "Salem""#),
    )
    .await;
    let detail = refused(&answer, StatusCode::BAD_REQUEST)["detail"].take();
    assert!(detail.as_str().unwrap().contains("\"city\""), "{detail}");
}

#[rstest]
#[tokio::test]
async fn what_is_no_object_at_the_top_is_malformed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for body in ["[]", "[{}]", "5", "null", "true", "\"client\""] {
        let problem = refused(&post(&app, body).await, StatusCode::BAD_REQUEST);
        let expected = "The body must be a JSON object with the member \"client\".";
        assert_eq!(problem["detail"], expected, "{body}");
    }
}

#[rstest]
#[tokio::test]
async fn fields_must_be_nested_under_the_name_of_the_record(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let wrapper = record.wrapper();
    let own = format!("/{wrapper}");
    let before = counts(&app).await;
    for (body, expected) in [
        (json!({}), vec![own.clone()]),
        (
            json!({ "name": "Acme" }),
            vec!["/name".to_owned(), own.clone()],
        ),
        (json!({ wrapper: null }), vec![own.clone()]),
        (json!({ wrapper: [] }), vec![own.clone()]),
        (json!({ wrapper: "Acme" }), vec![own.clone()]),
        (
            json!({ wrapper: {}, "a/b~c": 1 }),
            vec!["/a~1b~0c".to_owned()],
        ),
    ] {
        let answer = app.put(&path, body.clone()).await;
        assert_eq!(pointers(&answer), expected, "{body}");
        let answer = app.post(record.path(), body.clone()).await;
        let all = pointers(&answer);
        assert_eq!(all[..expected.len()], expected, "{body}");
    }
    let form = app
        .call(Method::POST, CLIENTS)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("client[name]=Acme");
    let answer = form.send().await;
    refused_for("a form", &answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(counts(&app).await, before);
}

/// The documented page names no media type, and this is what curl and PHP send.
#[rstest]
#[tokio::test]
async fn json_that_is_declared_as_a_form_or_not_at_all_is_taken(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let untyped = app.call(Method::POST, CLIENTS).body(right()).send().await;
    assert_eq!(untyped.status, StatusCode::CREATED);
    let call = app.call(Method::POST, CLIENTS);
    let call = call.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let form = call.body(right()).send().await;
    assert_eq!(form.status, StatusCode::CREATED);

    // What is wrong with it is said as it is of any other.
    let twice = right().replace(r#""zip""#, r#""city": "Salem", "zip""#);
    for (body, expected) in [
        (right().replace("}}", "},}"), "trailing comma"),
        (twice, "the member \"city\" is there twice"),
        (String::new(), "The body is empty"),
        (" \n".to_owned(), "The body is empty"),
        ("\u{feff}{".to_owned(), "EOF while parsing"),
    ] {
        for media_type in [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
        ] {
            let call = app.call(Method::POST, CLIENTS);
            let call = call.header(CONTENT_TYPE, media_type).body(body.clone());
            let answer = call.send().await;
            let problem = refused_for(&body, &answer, StatusCode::BAD_REQUEST);
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(expected), "{body}: {detail}");
        }
    }
    assert_eq!(counts(&app).await, [2, 2]);
}

#[rstest]
#[tokio::test]
async fn deep_and_long_bodies_are_refused_at_little_cost(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let opened = 100_000;
    for body in [
        "[".repeat(opened),
        format!("{}{}", "[".repeat(opened), "]".repeat(opened)),
        "{\"client\":".repeat(opened),
        format!(
            "{{\"client\":{}1{}}}",
            "[".repeat(opened),
            "]".repeat(opened)
        ),
    ] {
        refused(&post(&app, body).await, StatusCode::BAD_REQUEST);
    }
    let long_number = named("1".repeat(100_000).as_bytes());
    let answer = post(&app, long_number).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    let long_list = format!("{{\"client\":[{}0]}}", "0,".repeat(500_000));
    assert_eq!(pointers(&post(&app, long_list).await), ["/client"]);

    // However many faults there are, the answer stays short.
    let unknown: Vec<_> = (0..70_000)
        .map(|number| format!("\"a{number}\":0,"))
        .collect();
    let unknown = unknown.concat();
    let answer = post(&app, format!("{{\"client\":{{{unknown}\"name\":0}}}}")).await;
    let problem = refused(&answer, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["pointer"], "/client/a0");
    // A hundred of them are told, and what is missing; all are counted.
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[100]["pointer"], "/client/primary_location");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with("; and 69981 more."), "{detail}");
    assert!(answer.body.len() < 100_000, "{}", answer.body.len());
    assert_eq!(counts(&app).await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn only_json_in_utf_8_is_a_media_type_of_bodies(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for media_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON; charset=\"utf-8\"",
        "application/json; charset=utf8",
        "application/json;charset=\"UTF8\"",
        "application/json; odata=verbose; charset=UTF-8",
        "application/json; charset=us-ascii",
        "application/json; charset=",
        "application/json; charset=\"\"",
        "application/json; profile=https://example.com/a,b",
        "application/json;",
    ] {
        let call = app.call(Method::POST, CLIENTS);
        let call = call.header(CONTENT_TYPE, media_type).body(right());
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{media_type}");
    }
    let before = counts(&app).await;
    for media_type in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/jsonx",
        "json",
        "",
    ] {
        let call = app.call(Method::POST, CLIENTS);
        let call = call.header(CONTENT_TYPE, media_type).body(right());
        let answer = call.send().await;
        let problem = refused_for(media_type, &answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let detail = problem["detail"].as_str().unwrap();
        let of_charset = "The charset in 'Content-Type' is not known";
        let is_json = media_type.starts_with("application/json;");
        assert_eq!(detail.starts_with(of_charset), is_json, "{media_type}");
    }
    assert_eq!(counts(&app).await, before);
}

#[rstest]
#[tokio::test]
async fn compressed_bodies_are_refused(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    for encoding in ["gzip", "deflate", "br", "identity, gzip", "x"] {
        let call = app.call(Method::POST, CLIENTS).json(&Value::Null);
        let call = call.header(CONTENT_ENCODING, encoding).body(right());
        let answer = call.send().await;
        refused_for(encoding, &answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    assert_eq!(counts(&app).await, [0, 0]);
    let call = app.call(Method::POST, CLIENTS).json(&Value::Null);
    let call = call.header(CONTENT_ENCODING, "identity").body(right());
    assert_eq!(call.send().await.status, StatusCode::CREATED);
}

#[rstest]
#[tokio::test]
async fn a_body_may_have_one_mebibyte_and_no_byte_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(false, true)] chunked: bool,
) {
    let app = TestApp::start(engine).await;
    for (length, status) in [
        (1024 * 1024, StatusCode::CREATED),
        (1024 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE),
        (10 * 1024 * 1024, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let text = right();
        let padded = format!("{text}{}", " ".repeat(length - text.len()));
        let body = if chunked {
            let chunks: Vec<_> = padded
                .as_bytes()
                .chunks(10_000)
                .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
                .collect();
            Body::from_stream(stream::iter(chunks))
        } else {
            Body::from(padded)
        };
        let answer = post(&app, body).await;
        assert_eq!(answer.status, status, "{length}: {}", answer.text());
        if status != StatusCode::CREATED {
            refused(&answer, status);
        }
    }
    assert_eq!(counts(&app).await, [1, 1]);
}

#[rstest]
#[tokio::test]
async fn a_body_that_breaks_off_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let broken = std::io::Error::other("the connection is gone");
    let chunks = [Ok(right()), Err(broken)];
    let answer = post(&app, Body::from_stream(stream::iter(chunks))).await;
    let problem = refused(&answer, StatusCode::BAD_REQUEST);
    assert_eq!(problem["detail"], "The body did not arrive in full.");
    assert_eq!(counts(&app).await, [0, 0]);
}
