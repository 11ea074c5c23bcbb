//! `/api/v1/clients` and `/api/v1/clients/{client_id}`.

use axum::http::StatusCode;
use chrono::TimeDelta;
use entity::{client, client_location as location};
use rstest::rstest;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};

use super::{
    CLIENTS, LOCATIONS, Record, client_fields, create_client, create_location, location_fields,
    pointers, read, still, url, whole,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn a_client_is_created_read_listed_and_updated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;

    let created = app
        .post(CLIENTS, json!({ "client": client_fields() }))
        .await;
    insta::assert_snapshot!("client_created", whole(&created));

    let path = created.header("location").unwrap();
    let found = app.get(path).await;
    assert_eq!(found.body, created.body);
    insta::assert_snapshot!("client_read", whole(&found));

    let least = json!({ "name": "Least", "primary_location": {
        "name": "Main", "state": "co", "country": "us" } });
    create_client(&app, least).await;
    insta::assert_snapshot!("clients_listed", whole(&app.get(CLIENTS).await));

    clock.advance(TimeDelta::seconds(1));
    let edit = json!({ "client": { "notes": null, "primary_location": { "zip": 2109 } } });
    let updated = app.put(path, edit).await;
    insta::assert_snapshot!("client_updated", whole(&updated));
    assert_eq!(app.get(path).await.body, updated.body);
}

#[rstest]
#[tokio::test]
async fn ids_are_json_numbers_also_beyond_two_to_the_53(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const ID: i64 = i64::MAX - 1;
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    move_to_id(&app, &created, ID).await;

    let path = format!("{CLIENTS}/{ID}");
    let found = read(&app, &path).await;
    assert_eq!(found["id"], ID);
    assert_eq!(found["primary_location"]["id"], ID);
    assert_eq!(found["primary_location"]["root_id"], ID);
    for path in [
        format!("{CLIENTS}?id={ID}"),
        format!("{LOCATIONS}?parent={ID}"),
    ] {
        let list = read(&app, &path).await;
        assert_eq!(super::ids(&list), [ID], "{path}");
    }
    let text = app.get(&path).await.text().to_owned();
    assert!(text.starts_with(&format!("{{\"id\":{ID},")), "{text}");

    for staff in [i64::MAX, i64::MIN, 9_007_199_254_740_993, 0] {
        let edit = json!({ "client": { "salesperson": staff, "case_manager": staff } });
        let updated = app.put(&path, edit).await.json();
        assert_eq!(updated["salesperson"], staff);
        assert_eq!(updated["case_manager"], staff);
        let list = read(&app, &format!("{CLIENTS}?salesperson={staff}")).await;
        assert_eq!(super::ids(&list), [ID]);
    }
    // What was read may be sent back, so a number loses nothing on its way in.
    let whole = read(&app, &path).await;
    let sent_back = app.put(&path, json!({ "client": whole })).await;
    assert_eq!(sent_back.json(), whole);
}

/// Gives a client and its only location another id.
async fn move_to_id(app: &TestApp, created: &Value, id: i64) {
    let number = |value: &Value| value.as_i64().unwrap();
    let transaction = app.database.begin().await.unwrap();
    let client = client::Entity::find_by_id(number(&created["id"]))
        .one(&transaction)
        .await
        .unwrap()
        .unwrap();
    let location = location::Entity::find_by_id(number(&created["primary_location"]["id"]))
        .one(&transaction)
        .await
        .unwrap()
        .unwrap();
    let mut new_location = location.clone().into_active_model().reset_all();
    new_location.id = Set(id);
    new_location.client_id = Set(id);
    let mut new_client = client.clone().into_active_model().reset_all();
    new_client.id = Set(id);
    location::Entity::delete_by_id(location.id)
        .exec(&transaction)
        .await
        .unwrap();
    client::Entity::delete_by_id(client.id)
        .exec(&transaction)
        .await
        .unwrap();
    new_client.insert(&transaction).await.unwrap();
    new_location.insert(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_clients_primary_location_is_updated_with_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut expected = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &expected);
    let edit = json!({ "name": "Birch 2", "primary_location": { "city": "Salem", "notes": null } });
    let updated = app.put(&path, json!({ "client": edit })).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
    let updated = updated.json();

    expected["name"] = json!("Birch 2");
    expected["version"] = json!(2);
    expected["updated_at"] = updated["updated_at"].clone();
    let location = &mut expected["primary_location"];
    location["city"] = json!("Salem");
    location["notes"] = Value::Null;
    location["version"] = json!(2);
    location["updated_at"] = updated["primary_location"]["updated_at"].clone();
    assert_eq!(updated, expected);
}

#[rstest]
#[tokio::test]
async fn a_fault_in_either_record_keeps_both_as_they_are(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    for (edit, pointer) in [
        (
            json!({ "name": "New", "primary_location": { "country": "XX" } }),
            "/client/primary_location/country",
        ),
        (
            json!({ "website": "no", "primary_location": { "city": "Salem" } }),
            "/client/website",
        ),
    ] {
        let answer = app.put(&path, json!({ "client": edit })).await;
        assert_eq!(pointers(&answer), [pointer]);
        assert_eq!(read(&app, &path).await, created);
    }
}

#[rstest]
#[tokio::test]
async fn a_client_cannot_lose_its_primary_location_by_an_update(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    for (location, pointer) in [
        (Value::Null, ""),
        (json!("Main"), ""),
        (json!([]), ""),
        (json!({ "is_primary": false }), "/is_primary"),
        (json!({ "is_primary": null }), "/is_primary"),
        (json!({ "state": null }), "/state"),
    ] {
        let edit = json!({ "client": { "primary_location": location } });
        let answer = app.put(&path, edit).await;
        let pointer = format!("/client/primary_location{pointer}");
        assert_eq!(pointers(&answer), [pointer], "{location}");
    }
    assert_eq!(read(&app, &path).await, created);
}

#[rstest]
#[tokio::test]
async fn the_id_of_another_location_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let mut branch = location_fields();
    branch["root_id"] = client["id"].clone();
    let branch = create_location(&app, branch).await;
    let path = url(Record::Client, &client);

    for id in [branch["id"].clone(), json!(0), json!("x")] {
        let location = json!({ "id": id, "city": "Salem" });
        let edit = json!({ "client": { "primary_location": location } });
        let answer = app.put(&path, edit).await;
        assert_eq!(pointers(&answer), ["/client/primary_location/id"], "{id}");
    }
    assert_eq!(read(&app, &path).await, client);

    let own = json!({ "id": client["primary_location"]["id"], "city": "Salem" });
    let edit = json!({ "client": { "primary_location": own } });
    let updated = app.put(&path, edit).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
    assert_eq!(updated.json()["primary_location"]["city"], "Salem");
}
