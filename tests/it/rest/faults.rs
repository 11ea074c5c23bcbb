//! Bodies that can be read but are not right: one 422 names all that is wrong, by
//! JSON pointers into what was sent, and nothing is written.

use axum::http::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    CLIENTS, LOCATIONS, Record, client_fields, counts, create_client, location_fields, pointers,
    read, refused, url, whole,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn all_faults_of_a_new_client_are_told_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let body = json!({
        "client": {
            "account_code": "x".repeat(256),
            "website": "example.com",
            "email_invoice": "nobody",
            "notes": "x".repeat(65_536),
            "has_invoice_reminders": "maybe",
            "salesperson": "Ann",
            "colour": "red",
            "primary_location": {
                "name": "  ",
                "email_invoice": "@",
                "state": "Colorado",
                "country": "XX",
                "zip": false,
                "phone_fax": ["555"],
                "country_code": 1,
            },
        },
        "dry_run": true,
    });
    let answer = app.post(CLIENTS, body).await;
    insta::assert_snapshot!("all_faults_of_a_new_client", whole(&answer));
    pointers(&answer);
    assert_eq!(counts(&app).await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn all_faults_of_a_new_location_are_told_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let body = json!({ "client_location": {
        "root_id": 4711,
        "is_primary": 2,
        "name": "x".repeat(256),
        "state": 5,
        "primary_location": {},
    } });
    let answer = app.post(LOCATIONS, body).await;
    insta::assert_snapshot!("all_faults_of_a_new_location", whole(&answer));
    pointers(&answer);
    assert_eq!(counts(&app).await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn all_faults_of_an_update_are_told_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    let body = json!({ "client": {
        "id": 4711,
        "name": null,
        "website": "ftp://example.com",
        "has_invoice_reminders": null,
        "city": "Salem",
        "primary_location": { "id": 4711, "is_primary": 0, "state": "", "website": "x" },
    } });
    let answer = app.put(&path, body).await;
    insta::assert_snapshot!("all_faults_of_an_update", whole(&answer));
    pointers(&answer);
    assert_eq!(read(&app, &path).await, created);
}

#[rstest]
#[tokio::test]
async fn a_record_that_is_missing_is_named_without_its_fields(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for (body, expected) in [
        (json!({}), vec!["/client"]),
        (
            json!({ "client": {} }),
            vec!["/client/name", "/client/primary_location"],
        ),
        (
            json!({ "client": { "name": "Acme", "primary_location": {} } }),
            vec![
                "/client/primary_location/name",
                "/client/primary_location/state",
                "/client/primary_location/country",
            ],
        ),
        (
            json!({ "client": { "name": 1, "primary_location": null } }),
            vec!["/client/primary_location"],
        ),
    ] {
        let answer = app.post(CLIENTS, body.clone()).await;
        assert_eq!(pointers(&answer), expected, "{body}");
    }
    assert_eq!(counts(&app).await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn unknown_fields_are_named_with_those_that_are_known(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    for (edit, pointer, meant) in [
        (json!({ "Name": "Acme" }), "/client/Name", "name"),
        (
            json!({ "accountCode": "1" }),
            "/client/accountCode",
            "account_code",
        ),
        (
            json!({ "primary_location__city": "x" }),
            "/client/primary_location__city",
            "primary_location",
        ),
        (json!({ "_id": 1 }), "/client/_id", "id"),
        (
            json!({ "_expected_version": 1 }),
            "/client/_expected_version",
            "",
        ),
        (
            json!({ "location": {} }),
            "/client/location",
            "primary_location",
        ),
        (json!({ "email": "x" }), "/client/email", "email_invoice"),
        (json!({ "": 1 }), "/client/", ""),
        (json!({ "a/b~c": 1 }), "/client/a~1b~0c", ""),
        (
            json!({ "primary_location": { "Zip": 1 } }),
            "/client/primary_location/Zip",
            "zip",
        ),
        (
            json!({ "primary_location": { "postal_code": 1 } }),
            "/client/primary_location/postal_code",
            "zip",
        ),
        (
            json!({ "primary_location": { "client": {} } }),
            "/client/primary_location/client",
            "",
        ),
    ] {
        let answer = app.put(&path, json!({ "client": edit })).await;
        assert_eq!(pointers(&answer), [pointer]);
        let mut problem = refused(&answer, StatusCode::UNPROCESSABLE_ENTITY);
        let detail = problem["errors"][0]["detail"].take();
        let detail = detail.as_str().unwrap();
        let meant = match meant {
            "" => String::new(),
            meant => format!(" (did you mean {meant}?)"),
        };
        let start = format!("is not known{meant}; accepted are ");
        assert!(detail.starts_with(&start), "{pointer}: {detail}");
        assert!(detail.contains("name, "), "{detail}");
    }
    assert_eq!(read(&app, &path).await, created);
}

#[rstest]
#[tokio::test]
async fn the_rules_of_single_fields_hold(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Location, &created["primary_location"]);
    for (name, right, wrong) in [
        ("name", json!("x".repeat(255)), json!("x".repeat(256))),
        ("name", json!("ß".repeat(255)), json!("")),
        (
            "email_invoice",
            json!("a@b.example"),
            json!("a@b@c.example"),
        ),
        (
            "email_invoice",
            json!("a.b@c-d.example"),
            json!("Ann <a@b.example>"),
        ),
        ("state", json!("ab"), json!("ABC")),
        ("state", json!(" nY "), json!("é")),
        ("state", json!("13"), json!(1)),
        ("country", json!("de"), json!("DEU")),
        ("country", json!("FR"), json!("ZZ")),
        ("country", json!("xk"), json!("XA")),
        (
            "name",
            json!("\u{2068}Acme\u{2069}"),
            json!("\u{200b}\u{feff}"),
        ),
        ("name", json!("\u{ffff}"), json!("\u{3164}")),
        ("city", json!("x".repeat(255)), json!("x".repeat(256))),
        ("zip", json!("x".repeat(255)), json!("x".repeat(256))),
        ("phone_fax", json!("ext. 5"), json!("x".repeat(256))),
        (
            "notes",
            json!("ß".repeat(65_535)),
            json!("ß".repeat(65_536)),
        ),
    ] {
        let body = |value: &Value| json!({ "client_location": { name: value } });
        let answer = app.put(&path, body(&right)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
        let answer = app.put(&path, body(&wrong)).await;
        assert_eq!(pointers(&answer), [format!("/client_location/{name}")]);
    }
    let path = url(Record::Client, &created);
    for (website, is_right) in [
        ("https://example.com/a?b=c#d", true),
        ("HTTP://example.com:8080", true),
        ("http://127.0.0.1/", true),
        ("example.com", false),
        ("//example.com", false),
        ("ftp://example.com", false),
        ("mailto:a@b.example", false),
        ("javascript:alert(1)", false),
        ("https://", false),
        ("https:///example.com", false),
        ("https://exam ple.com", false),
        ("https://a_b.example", false),
        ("https://..", false),
    ] {
        let answer = app
            .put(&path, json!({ "client": { "website": website } }))
            .await;
        if is_right {
            assert_eq!(answer.json()["website"], website);
        } else {
            assert_eq!(pointers(&answer), ["/client/website"], "{website}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_read_only_token_learns_nothing_of_faults(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let before = read(&app, &path).await;
    for fields in [
        json!({ "name": "Other" }),
        json!({ "colour": 1 }),
        location_fields(),
    ] {
        for (method, path) in [("PUT", path.as_str()), ("POST", record.path())] {
            let call = app.call(method.parse().unwrap(), path);
            let call = call.bearer(&app.read_token);
            let answer = call.json(&record.body(fields.clone())).send().await;
            refused(&answer, StatusCode::FORBIDDEN);
        }
    }
    assert_eq!(read(&app, &path).await, before);
}
