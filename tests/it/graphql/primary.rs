//! Every client has exactly one primary location, at every moment.

use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::{Value, json};

use super::{UPDATE_LOCATION, codes, faults};
use crate::support::{Engine, TestApp};

/// The ids of the client's primary locations.
async fn primaries(app: &TestApp, client: &Value) -> Vec<Value> {
    let locations = app.locations_of(client).await;
    let primaries = locations
        .iter()
        .filter(|location| location["isPrimary"] == true);
    primaries.map(|location| location["id"].clone()).collect()
}

#[rstest]
#[tokio::test]
async fn a_promoted_location_takes_the_place_of_the_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let id = &client["id"];
    let first = &client["primaryLocation"];
    assert_eq!(first["isPrimary"], true);
    let second = app.create_location(json!({ "clientId": id })).await;
    assert_eq!(second["isPrimary"], false);
    assert_eq!(primaries(&app, id).await, [first["id"].clone()]);

    app.update_location(
        &second["id"],
        json!({ "isPrimary": true, "city": "Golden" }),
    )
    .await;
    assert_eq!(primaries(&app, id).await, [second["id"].clone()]);
    let locations = app.locations_of(id).await;
    let versions: Vec<_> = locations
        .iter()
        .map(|location| &location["version"])
        .collect();
    assert_eq!(versions, [2, 2]);
    assert_eq!(app.client(id).await["primaryLocation"]["city"], "Golden");

    let third = app
        .create_location(json!({ "clientId": id, "isPrimary": true }))
        .await;
    assert_eq!(third["isPrimary"], true);
    assert_eq!(primaries(&app, id).await, [third["id"].clone()]);
}

#[rstest]
#[tokio::test]
async fn the_primary_location_cannot_be_demoted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    app.create_location(json!({ "clientId": client["id"] }))
        .await;
    let before = app.locations_of(&client["id"]).await;
    let id = &client["primaryLocation"]["id"];
    let input = json!({ "isPrimary": false, "city": "Golden" });
    let answer = app
        .graphql(UPDATE_LOCATION, json!({ "id": id, "input": input }))
        .await;
    assert_eq!(faults(&answer), ["input.isPrimary"]);
    assert_eq!(app.locations_of(&client["id"]).await, before);
    assert_eq!(app.client(&client["id"]).await, client);
}

#[rstest]
#[tokio::test]
async fn one_is_primary_whoever_promotes_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 24;
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let id = &client["id"];
    let mut branches = Vec::new();
    for _ in 0..WRITERS / 2 {
        branches.push(app.create_location(json!({ "clientId": id })).await);
    }
    let promote = async |number: usize| {
        if let Some(branch) = branches.get(number) {
            let input = json!({ "isPrimary": true });
            app.update_location(&branch["id"], input).await;
        } else {
            let input = json!({ "clientId": id, "isPrimary": true });
            app.create_location(input).await;
        }
    };
    join_all((0..WRITERS).map(promote)).await;
    let primaries = primaries(&app, id).await;
    assert_eq!(primaries.len(), 1);
    let client = app.client(id).await;
    assert_eq!(client["primaryLocation"]["id"], primaries[0]);
    // Each was promoted once, and each time the client changed.
    assert_eq!(client["version"], 1 + WRITERS);
}

/// Executes the statements in one transaction, past all code of ours.
async fn raw(app: &TestApp, statements: &[&str]) -> Result<(), DbErr> {
    let transaction = app.database.begin().await.unwrap();
    for statement in statements {
        transaction.execute_unprepared(statement).await?;
    }
    transaction.commit().await
}

const SECOND_PRIMARY: &str = "INSERT INTO client_location
    (client_id, is_primary, name, name_key, state, country, created_at, updated_at, version)
    VALUES (1, true, 'B', 'b', 'CO', 'US', '2026-01-31T09:15:00.250+00:00',
    '2026-01-31T09:15:00.250+00:00', 1)";
const CLIENT: &str = "INSERT INTO client
    (id, name, name_key, has_invoice_reminders, show_location_on_invoice, created_at, updated_at,
    version)
    VALUES (9, 'A', 'a', false, false, '2026-01-31T09:15:00.250+00:00',
    '2026-01-31T09:15:00.250+00:00', 1)";
const DEMOTE: &str = "UPDATE client_location SET is_primary = false WHERE client_id = 1";

#[rstest]
#[tokio::test]
async fn the_database_itself_refuses_anything_else(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let branch = app
        .create_location(json!({ "clientId": client["id"] }))
        .await;
    app.create_client(json!({ "name": "Other" })).await;
    let (id, primary) = (&client["id"], &client["primaryLocation"]["id"]);
    assert_eq!([id, primary, &branch["id"]], ["1", "1", "2"]);
    let before = app.locations_of(id).await;

    let branch_of_nobody = SECOND_PRIMARY.replace("(1, true", "(77, false");
    let first_of_new = SECOND_PRIMARY.replace("(1, true", "(9, false");
    for statements in [
        &[SECOND_PRIMARY][..],
        &["UPDATE client_location SET is_primary = true WHERE client_id = 1"],
        &[DEMOTE],
        &["DELETE FROM client_location WHERE id = 1"],
        &["DELETE FROM client_location WHERE client_id = 1"],
        &["UPDATE client_location SET client_id = 3 WHERE id = 1"],
        &["UPDATE client_location SET client_id = 2 WHERE id = 1"],
        &["UPDATE client_location SET is_primary = NULL WHERE id = 1"],
        &[CLIENT],
        &[CLIENT, &first_of_new],
        &[&branch_of_nobody],
        &["DELETE FROM client WHERE id = 1"],
        &["UPDATE client SET id = 9 WHERE id = 1"],
    ] {
        let result = raw(&app, statements).await;
        assert!(result.is_err(), "{statements:?} was accepted");
        assert_eq!(app.locations_of(id).await, before, "{statements:?}");
        assert_eq!(app.counts().await, [2, 3], "{statements:?}");
    }

    // What keeps the rule is not refused: the test asks what it says.
    let promote = "UPDATE client_location SET is_primary = true WHERE id = 2";
    let primary_of_new = first_of_new.replace("false", "true");
    for statements in [&[DEMOTE, promote][..], &[CLIENT, &primary_of_new]] {
        raw(&app, statements).await.unwrap();
    }
    assert_eq!(primaries(&app, id).await, ["2"]);
    assert_eq!(app.counts().await, [3, 4]);
}

#[rstest]
#[tokio::test]
async fn locations_need_a_client(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    for id in [json!(1), json!("x"), json!(i64::MAX)] {
        let input = json!({ "clientId": id, "name": "A", "state": "CO", "country": "US" });
        let answer = app
            .graphql(super::CREATE_LOCATION, json!({ "input": input }))
            .await;
        assert_eq!(faults(&answer), ["input.clientId"]);
        assert_eq!(codes(&answer), ["VALIDATION_FAILED"]);
    }
    assert_eq!(app.counts().await, [0, 0]);
}
