//! `/api/v1/client/locations` and `/api/v1/client/locations/{client_location_id}`.

use axum::http::StatusCode;
use chrono::TimeDelta;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    LOCATIONS, Record, client_fields, counts, create_client, create_location, location_fields,
    pointers, read, still, url, whole,
};
use crate::support::{Engine, TestApp};

/// The fields of a branch of `client`.
fn branch_of(client: &Value) -> Value {
    let mut fields = location_fields();
    fields["root_id"] = client["id"].clone();
    fields
}

#[rstest]
#[tokio::test]
async fn a_location_is_created_read_listed_and_updated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = create_client(&app, client_fields()).await;

    let fields = branch_of(&client);
    let created = app
        .post(LOCATIONS, json!({ "client_location": fields }))
        .await;
    insta::assert_snapshot!("location_created", whole(&created));

    let path = created.header("location").unwrap();
    let found = app.get(path).await;
    assert_eq!(found.body, created.body);
    insta::assert_snapshot!("location_read", whole(&found));
    insta::assert_snapshot!("locations_listed", whole(&app.get(LOCATIONS).await));

    clock.advance(TimeDelta::seconds(1));
    let edit = json!({ "client_location": { "notes": null, "state": "ny", "zip": "00501" } });
    let updated = app.put(path, edit).await;
    insta::assert_snapshot!("location_updated", whole(&updated));
    assert_eq!(app.get(path).await.body, updated.body);
}

#[rstest]
#[tokio::test]
async fn a_clients_primary_location_is_the_same_record_in_both_places(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let location = &client["primary_location"];
    assert_eq!(
        read(&app, &url(Record::Location, location)).await,
        *location
    );
    assert_eq!(location["root_id"], client["id"]);
    assert_eq!(location["is_primary"], true);
}

#[rstest]
#[tokio::test]
async fn a_location_needs_a_client_that_exists(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let before = counts(&app).await;
    let mut fields = branch_of(&client);
    for root_id in [
        json!(client["id"].as_i64().unwrap() + 1),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("01"),
        json!(true),
        Value::Null,
    ] {
        fields["root_id"] = root_id;
        let body = json!({ "client_location": fields });
        let answer = app.post(LOCATIONS, body).await;
        assert_eq!(pointers(&answer), ["/client_location/root_id"]);
    }
    fields.as_object_mut().unwrap().remove("root_id");
    let body = json!({ "client_location": fields });
    let answer = app.post(LOCATIONS, body).await;
    assert_eq!(pointers(&answer), ["/client_location/root_id"]);
    assert_eq!(counts(&app).await, before);
}

#[rstest]
#[tokio::test]
async fn a_new_location_is_an_ordinary_one_unless_it_says_otherwise(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let mut fields = branch_of(&client);
    assert_eq!(
        create_location(&app, fields.clone()).await["is_primary"],
        false
    );
    for value in [json!(false), json!("0"), Value::Null] {
        fields["is_primary"] = value;
        assert_eq!(
            create_location(&app, fields.clone()).await["is_primary"],
            false
        );
    }
    // Nothing of that is a change of the client.
    assert_eq!(read(&app, &url(Record::Client, &client)).await, client);
}

#[rstest]
#[tokio::test]
async fn a_new_primary_location_takes_the_place_of_the_old_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = create_client(&app, client_fields()).await;
    clock.advance(TimeDelta::seconds(1));
    let mut fields = branch_of(&client);
    fields["is_primary"] = json!(true);
    let branch = create_location(&app, fields).await;

    let mut expected = client.clone();
    expected["primary_location"] = branch;
    expected["version"] = json!(2);
    expected["updated_at"] = json!("2026-01-31T09:15:01.250Z");
    assert_eq!(read(&app, &url(Record::Client, &client)).await, expected);

    let mut old = client["primary_location"].clone();
    old["is_primary"] = json!(false);
    old["version"] = json!(2);
    old["updated_at"] = json!("2026-01-31T09:15:01.250Z");
    assert_eq!(read(&app, &url(Record::Location, &old)).await, old);
}

#[rstest]
#[tokio::test]
async fn an_ordinary_location_becomes_the_primary_one_by_an_update(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let branch = create_location(&app, branch_of(&client)).await;
    let path = url(Record::Location, &branch);

    let edit = json!({ "client_location": { "is_primary": "1", "city": "Salem" } });
    let updated = app.put(&path, edit.clone()).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
    let updated = updated.json();
    assert_eq!(updated["is_primary"], true);
    assert_eq!(updated["city"], "Salem");
    assert_eq!(updated["version"], 2);

    let after = read(&app, &url(Record::Client, &client)).await;
    assert_eq!(after["primary_location"], updated);
    assert_eq!(after["version"], 2);
    let old = read(&app, &url(Record::Location, &client["primary_location"])).await;
    assert_eq!(old["is_primary"], false);

    // Once more it changes nothing.
    assert_eq!(app.put(&path, edit).await.json(), updated);
    assert_eq!(read(&app, &url(Record::Client, &client)).await, after);
}

#[rstest]
#[tokio::test]
async fn the_primary_location_cannot_become_an_ordinary_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    create_location(&app, branch_of(&client)).await;
    let path = url(Record::Location, &client["primary_location"]);
    for value in [json!(false), json!("false"), json!(0), Value::Null] {
        let edit = json!({ "client_location": { "is_primary": value, "city": "Salem" } });
        let answer = app.put(&path, edit).await;
        assert_eq!(pointers(&answer), ["/client_location/is_primary"]);
    }
    assert_eq!(read(&app, &path).await, client["primary_location"]);
}

#[rstest]
#[tokio::test]
async fn a_change_of_the_primary_location_is_a_change_of_its_client(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = create_client(&app, client_fields()).await;
    let branch = create_location(&app, branch_of(&client)).await;
    let edit = json!({ "client_location": { "city": "Salem" } });
    clock.advance(TimeDelta::minutes(1));

    let path = url(Record::Location, &branch);
    assert_eq!(app.put(&path, edit.clone()).await.status, StatusCode::OK);
    assert_eq!(read(&app, &url(Record::Client, &client)).await, client);

    let path = url(Record::Location, &client["primary_location"]);
    let location = app.put(&path, edit).await.json();
    let mut expected = client.clone();
    // At one instant, and later than the branch: the clock has not moved since.
    expected["updated_at"] = location["updated_at"].clone();
    expected["primary_location"] = location;
    expected["version"] = json!(2);
    assert_eq!(read(&app, &url(Record::Client, &client)).await, expected);
}
