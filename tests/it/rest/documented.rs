//! Everything that the documented page shows, sent byte for byte as it is printed
//! there, by HTTP Basic.

use axum::http::{Method, StatusCode, header::CONTENT_TYPE};
use chrono::TimeDelta;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CLIENTS, Record, create_client, ids, pointers, read, still, url, whole};
use crate::support::{Answer, Engine, TestApp};

/// "Example New Client Request".
const CREATE_CLIENT: &str = include_str!("documented/create_client.json");
/// "Example Update Client Request".
const UPDATE_CLIENT: &str = include_str!("documented/update_client.json");

async fn send(app: &TestApp, method: Method, path: &str, body: &'static str) -> Answer {
    app.call(method, path)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .send()
        .await
}

#[rstest]
#[tokio::test]
async fn the_documented_new_client_is_created(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::builder(engine)
        .clock(still().clock())
        .start()
        .await;
    let created = send(&app, Method::POST, CLIENTS, CREATE_CLIENT).await;
    insta::assert_snapshot!("documented_create", whole(&created));

    // Getting a client.
    let path = url(Record::Client, &created.json());
    assert_eq!(read(&app, &path).await, created.json());
    // Listing clients.
    assert_eq!(read(&app, CLIENTS).await, json!([created.json()]));
}

#[rstest]
#[tokio::test]
async fn the_documented_update_changes_the_account_code_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let created = send(&app, Method::POST, CLIENTS, CREATE_CLIENT).await;
    clock.advance(TimeDelta::hours(1));

    let path = url(Record::Client, &created.json());
    let updated = send(&app, Method::PUT, &path, UPDATE_CLIENT).await;
    insta::assert_snapshot!("documented_update", whole(&updated));
    assert_eq!(read(&app, &path).await, updated.json());
}

#[rstest]
#[tokio::test]
async fn the_documented_bodies_need_no_content_type(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let post = app.call(Method::POST, CLIENTS).body(CREATE_CLIENT);
    let created = post.send().await;
    assert_eq!(created.status, StatusCode::CREATED);
    let path = url(Record::Client, &created.json());
    let updated = app.call(Method::PUT, &path).body(UPDATE_CLIENT);
    assert_eq!(updated.send().await.status, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn every_documented_request_parameter_filters(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let location = json!({ "name": "Main", "state": "CO", "country": "US" });
    let first = create_client(
        &app,
        json!({ "name": "First", "account_code": "1", "salesperson": 10, "case_manager": 20,
                "primary_location": location }),
    )
    .await;
    clock.advance(TimeDelta::days(1));
    let second = create_client(
        &app,
        json!({ "name": "Second", "account_code": "2", "salesperson": 11, "case_manager": 21,
                "primary_location": location }),
    )
    .await;
    let [first, second] = [first, second].map(|client| client["id"].as_i64().unwrap());

    for (parameter, found) in [
        (format!("id={second}"), second),
        ("name=Second".to_owned(), second),
        ("account_code=2".to_owned(), second),
        ("salesperson=11".to_owned(), second),
        ("case_manager=21".to_owned(), second),
        ("created_from=2026-02-01".to_owned(), second),
        ("created_to=2026-01-31".to_owned(), first),
        ("updated_from=2026-02-01".to_owned(), second),
        ("updated_to=2026-01-31".to_owned(), first),
    ] {
        let list = read(&app, &format!("{CLIENTS}?{parameter}")).await;
        assert_eq!(ids(&list), [found], "{parameter}");
    }
}

#[rstest]
#[tokio::test]
async fn every_documented_create_parameter_is_kept(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let location = json!({
        "name": "Main Location",
        "email_invoice": "location@example.com",
        "address_1": "123 Main Street",
        "address_2": "STE 123",
        "address_3": "Back door",
        "city": "Denver",
        "state": "CO",
        "country": "US",
        "phone_primary": "555-555-5551",
        "phone_secondary": "555-555-5552",
        "phone_fax": "555-555-5553",
        "notes": "Location notes",
    });
    let client = json!({
        "name": "ACME Client",
        "account_code": "123456",
        "website": "https://example.com",
        "email_invoice": "client@example.com",
        "notes": "Client notes",
        "has_invoice_reminders": true,
        "show_location_on_invoice": false,
        "primary_location": location,
    });
    let created = create_client(&app, client.clone()).await;
    assert_kept(&created, &client);
}

fn assert_kept(answered: &Value, sent: &Value) {
    for (name, value) in sent.as_object().unwrap() {
        if value.is_object() {
            assert_kept(&answered[name], value);
        } else {
            assert_eq!(&answered[name], value, "{name}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_the_page_calls_required_is_required_and_the_rest_is_not(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let location = json!({ "name": "Main", "state": "CO", "country": "US" });
    let required = json!({ "name": "Least", "primary_location": location });
    create_client(&app, required.clone()).await;

    for member in ["name", "primary_location"] {
        let mut client = required.clone();
        client.as_object_mut().unwrap().remove(member);
        let answer = app.post(CLIENTS, json!({ "client": client })).await;
        assert_eq!(pointers(&answer), [format!("/client/{member}")]);
    }
    for member in ["name", "state", "country"] {
        let mut client = required.clone();
        let location = client["primary_location"].as_object_mut().unwrap();
        location.remove(member);
        let answer = app.post(CLIENTS, json!({ "client": client })).await;
        let pointer = format!("/client/primary_location/{member}");
        assert_eq!(pointers(&answer), [pointer]);
    }
    assert_eq!(ids(&read(&app, CLIENTS).await).len(), 1);
}

#[rstest]
#[tokio::test]
async fn all_fields_are_optional_when_updating(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = send(&app, Method::POST, CLIENTS, CREATE_CLIENT).await;
    let path = url(Record::Client, &created.json());
    for (name, value) in [
        ("name", json!("ACME Client 2")),
        ("account_code", json!("123456")),
        ("website", json!("https://example.com/2")),
        ("email_invoice", json!("client@example.com")),
        ("notes", json!("Less of a VIP client")),
        ("has_invoice_reminders", json!(false)),
        ("show_location_on_invoice", json!(false)),
    ] {
        let mut expected = read(&app, &path).await;
        let updated = app.put(&path, json!({ "client": { name: value } })).await;
        assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
        let updated = updated.json();
        expected[name] = value;
        for moved in ["updated_at", "version"] {
            assert_ne!(updated[moved], expected[moved], "{moved}");
            expected[moved] = updated[moved].clone();
        }
        assert_eq!(updated, expected);
    }

    // Nothing at all is an update, too: one that changes nothing.
    let before = read(&app, &path).await;
    let updated = app.put(&path, json!({ "client": {} })).await;
    assert_eq!(updated.status, StatusCode::OK);
    assert_eq!(updated.json(), before);
}
