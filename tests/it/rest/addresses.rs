//! The addresses of single records, and methods.

use axum::http::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;

use super::{CLIENTS, LOCATIONS, Record, refused, refused_for, whole};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn only_an_id_as_it_is_printed_is_an_address(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    let path = record.path();
    // The last part of an address that exists, which none of these may mean.
    let id = existing.rsplit_once('/').unwrap().1;
    for other in [
        "4711".to_owned(),
        "0".to_owned(),
        format!("-{id}"),
        "abc".to_owned(),
        format!("0{id}"),
        format!("0x{id}"),
        "99999999999999999999".to_owned(),
        "9223372036854775807".to_owned(),
        "-9223372036854775808".to_owned(),
        format!("{id}.0"),
        format!("+{id}"),
        format!("{id}e0"),
        format!("%20{id}"),
        format!("{id}%20"),
        format!("%3{id}%00"),
        format!("%00{id}"),
        format!("{id}%2F"),
        "%FF".to_owned(),
        "%D9%A1".to_owned(),
    ] {
        let address = format!("{path}/{other}");
        let answer = app.get(&address).await;
        assert_eq!(
            refused_for(&address, &answer, StatusCode::NOT_FOUND)["detail"],
            match record {
                Record::Client => "There is no client with this id.",
                Record::Location => "There is no client location with this id.",
            },
            "{address}"
        );
        let body = record.body(json!({ "name": "Other" }));
        let answer = app.put(&address, body).await;
        refused_for(&address, &answer, StatusCode::NOT_FOUND);
    }
    let answer = app.get(&existing).await;
    assert_eq!(answer.json()["version"], 1);
    // Escapes of the very same characters are the same address (RFC 3986).
    let escaped: Vec<_> = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let escaped = escaped.concat();
    assert_eq!(
        app.get(&format!("{path}/{escaped}")).await.body,
        answer.body
    );
}

#[rstest]
#[tokio::test]
async fn nothing_is_below_or_beside_the_routes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    for path in [
        format!("{existing}//"),
        format!("{existing}/notes"),
        format!("{existing}/notes/"),
        format!("/{}", record.path()),
        record.path().to_uppercase(),
        "/api/v1".to_owned(),
        "/api/v2/clients".to_owned(),
    ] {
        refused(&app.get(&path).await, StatusCode::NOT_FOUND);
    }
}

#[rstest]
#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_allowed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    for (path, allowed, others) in [
        (
            record.path(),
            "GET,HEAD,POST",
            ["PUT", "PATCH", "DELETE", "TRACE"],
        ),
        (
            &existing,
            "GET,HEAD,PUT",
            ["POST", "PATCH", "DELETE", "TRACE"],
        ),
    ] {
        for method in others {
            let method: Method = method.parse().unwrap();
            let answer = app.call(method, path).send().await;
            refused(&answer, StatusCode::METHOD_NOT_ALLOWED);
            let mut methods: Vec<_> = answer.header("allow").unwrap().split(',').collect();
            methods.sort_unstable();
            assert_eq!(methods.join(","), allowed);
        }
    }
    assert_eq!(app.get(&existing).await.status, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn a_slash_at_the_end_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    for path in [record.path(), &existing, "/api/v1/openapi.json"] {
        let slashed = app.get(&format!("{path}/")).await;
        assert_eq!(whole(&slashed), whole(&app.get(path).await), "{path}");
    }
    let list = format!("{}/?per_page=1", record.path());
    assert_eq!(app.get(&list).await.status, StatusCode::OK);
    let edit = record.body(json!({ "notes": "New" }));
    let put = app.put(&format!("{existing}/"), edit).await;
    assert_eq!(put.json()["notes"], "New");
    let nothing = record.body(json!({}));
    let post = app.post(&format!("{}/", record.path()), nothing).await;
    refused(&post, StatusCode::UNPROCESSABLE_ENTITY);
}

#[rstest]
#[tokio::test]
async fn an_address_that_ends_in_json_is_told_to_leave_it_out(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    for path in [record.path(), &existing] {
        let address = format!("{path}.json");
        let body = record.body(json!({ "notes": "New" }));
        for answer in [app.get(&address).await, app.put(&address, body).await] {
            let detail = refused(&answer, StatusCode::NOT_FOUND)["detail"].take();
            let detail = detail.as_str().unwrap();
            assert!(detail.contains("leave out .json"), "{address}: {detail}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn options_are_told_to_everybody(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    for (path, allowed) in [
        (CLIENTS, "GET,HEAD,POST"),
        ("/api/v1/clients/", "GET,HEAD,POST"),
        ("/api/v1/clients/4711", "GET,HEAD,PUT"),
        (LOCATIONS, "GET,HEAD,POST"),
        ("/api/v1/client/locations/4711", "GET,HEAD,PUT"),
        ("/api/v1/openapi.json", "GET,HEAD"),
        ("/graphql", "GET,HEAD,POST"),
        ("/graphiql", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/", "GET,HEAD"),
    ] {
        let call = app.call(Method::OPTIONS, path).anonymous();
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
        assert!(answer.body.is_empty());
        let mut methods: Vec<_> = answer.header("allow").unwrap().split(',').collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed, "{path}");
    }
    let nowhere = app.call(Method::OPTIONS, "/nowhere").send().await;
    refused(&nowhere, StatusCode::NOT_FOUND);
}

#[rstest]
#[tokio::test]
async fn head_answers_the_headers_of_get(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    for path in [record.path(), &existing] {
        let get = app.get(path).await;
        let head = app.call(Method::HEAD, path).send().await;
        assert_eq!(head.status, get.status);
        assert!(head.body.is_empty());
        for name in [
            "content-type",
            "etag",
            "cache-control",
            "link",
            "x-total-count",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn routes_of_single_records_take_no_parameters(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let existing = record.create(&app).await;
    let before = app.get(&existing).await;
    let body = || record.body(json!({ "name": "Other" }));
    for parameter in ["name=x", "page=1", "name="] {
        let name = parameter.split_once('=').unwrap().0;
        let put = app.put(&format!("{existing}?{parameter}"), body()).await;
        let post = app
            .post(&format!("{}?{parameter}", record.path()), body())
            .await;
        let get = app.get(&format!("{existing}?{parameter}")).await;
        for answer in [put, post, get] {
            let problem = refused(&answer, StatusCode::BAD_REQUEST);
            let expected = format!("The parameter '{name}' is not known. This route takes none.");
            assert_eq!(problem["detail"], expected);
        }
    }
    assert_eq!(app.get(&existing).await.body, before.body);
    // A question mark alone gives no parameter.
    let answer = app.get(&format!("{existing}?")).await;
    assert_eq!(whole(&answer), whole(&before));
}
