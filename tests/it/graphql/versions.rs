//! `version`, `updatedAt` and `expectedVersion`.

use chrono::TimeDelta;
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use super::{UPDATE_CLIENT, UPDATE_LOCATION, codes, with};
use crate::support::{Engine, TestApp, TestClock};

const START: &str = "2026-01-31T09:15:00.250Z";

/// What moves with every change.
fn moment(record: &Value) -> (i64, &str) {
    let version = record["version"].as_i64().unwrap();
    (version, record["updatedAt"].as_str().unwrap())
}

#[rstest]
#[tokio::test]
async fn what_changes_nothing_moves_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at(START);
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = app.create_client(json!({ "notes": "n" })).await;
    let branch = app
        .create_location(json!({ "clientId": client["id"] }))
        .await;
    clock.advance(TimeDelta::minutes(1));
    for input in [
        json!({}),
        json!({ "name": " Acme ", "notes": "n", "website": "", "hasInvoiceReminders": false }),
        json!({ "primaryLocation": {} }),
        json!({ "primaryLocation": { "state": "co", "zip": null, "isPrimary": true } }),
    ] {
        assert_eq!(app.update_client(&client["id"], input).await, client);
    }
    let location = &client["primaryLocation"];
    for input in [json!({}), json!({ "country": "us", "isPrimary": true })] {
        app.update_location(&location["id"], input).await;
    }
    app.update_location(
        &branch["id"],
        json!({ "isPrimary": false, "name": "Branch" }),
    )
    .await;
    assert_eq!(app.client(&client["id"]).await, client);
    assert_eq!(
        app.locations_of(&client["id"]).await,
        [location.clone(), branch]
    );
}

#[rstest]
#[tokio::test]
async fn instants_of_change_grow_whatever_the_clock_does(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at(START);
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let created = app.create_client(json!({})).await;
    let update = async |name: &str| {
        app.update_client(&created["id"], json!({ "name": name }))
            .await
    };

    assert_eq!(
        moment(&update("stands").await),
        (2, "2026-01-31T09:15:00.251Z")
    );
    clock.advance(TimeDelta::hours(-1));
    assert_eq!(
        moment(&update("set back").await),
        (3, "2026-01-31T09:15:00.252Z")
    );
    clock.advance(TimeDelta::hours(2));
    let client = update("goes on").await;
    assert_eq!(moment(&client), (4, "2026-01-31T10:15:00.250Z"));
    assert_eq!(client["createdAt"], START);

    // Both have the instant of the change, though the location was never that far.
    clock.advance(TimeDelta::hours(-2));
    let id = &created["primaryLocation"]["id"];
    app.update_location(id, json!({ "city": "Denver" })).await;
    let client = app.client(&created["id"]).await;
    assert_eq!(moment(&client), (5, "2026-01-31T10:15:00.251Z"));
    assert_eq!(
        moment(&client["primaryLocation"]),
        (2, "2026-01-31T10:15:00.251Z")
    );
}

#[rstest]
#[tokio::test]
async fn a_change_of_the_primary_location_is_one_of_the_client(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at(START);
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = app.create_client(json!({})).await;
    let other = app.create_client(json!({})).await;
    let primary = &client["primaryLocation"]["id"];
    let id = &client["id"];
    let moment_of = async || {
        let client = app.client(id).await;
        let (version, updated_at) = moment(&client);
        (version, updated_at.to_owned())
    };

    clock.advance(TimeDelta::minutes(1));
    app.update_location(primary, json!({ "city": "Denver" }))
        .await;
    assert_eq!(
        moment_of().await,
        (2, "2026-01-31T09:16:00.250Z".to_owned())
    );
    clock.advance(TimeDelta::minutes(1));
    app.update_client(id, json!({ "primaryLocation": { "city": "Boulder" } }))
        .await;
    assert_eq!(
        moment_of().await,
        (3, "2026-01-31T09:17:00.250Z".to_owned())
    );
    clock.advance(TimeDelta::minutes(1));
    // One change, however much it holds.
    app.update_client(
        id,
        json!({ "name": "Birch", "primaryLocation": { "city": "Aspen" } }),
    )
    .await;
    assert_eq!(
        moment_of().await,
        (4, "2026-01-31T09:18:00.250Z".to_owned())
    );
    clock.advance(TimeDelta::minutes(1));
    // A location that is not the primary one is no part of the client.
    let branch = app.create_location(json!({ "clientId": id })).await;
    app.update_location(&branch["id"], json!({ "city": "Golden" }))
        .await;
    assert_eq!(
        moment_of().await,
        (4, "2026-01-31T09:18:00.250Z".to_owned())
    );
    app.update_location(&branch["id"], json!({ "isPrimary": true }))
        .await;
    assert_eq!(
        moment_of().await,
        (5, "2026-01-31T09:19:00.252Z".to_owned())
    );
    app.create_location(json!({ "clientId": id, "isPrimary": true }))
        .await;
    assert_eq!(
        moment_of().await,
        (6, "2026-01-31T09:19:00.253Z".to_owned())
    );
    assert_eq!(app.client(&other["id"]).await, other);
}

#[rstest]
#[tokio::test]
async fn a_stale_version_is_a_conflict(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let location = &client["primaryLocation"]["id"];
    app.update_client(&client["id"], json!({ "name": "Birch" }))
        .await;
    app.update_location(location, json!({ "name": "Branch" }))
        .await;
    let client = app.client(&client["id"]).await;
    assert_eq!(client["version"], 3);
    assert_eq!(client["primaryLocation"]["version"], 2);

    for (mutation, id, current, name) in [
        (UPDATE_CLIENT, &client["id"], 3, "Birch"),
        (UPDATE_LOCATION, location, 2, "Branch"),
    ] {
        for version in [current - 1, current + 1, 0, -1, i32::MAX] {
            // Stale even if it would change nothing, or if it is wrong as well.
            for (input, differs) in [
                (json!({ "name": "Late" }), json!(["name"])),
                (json!({}), json!([])),
                (json!({ "name": "" }), json!([])),
                (json!({ "name": name, "notes": null }), json!([])),
                (
                    json!({ "notes": "Late", "name": name, "emailInvoice": "a@example.com" }),
                    json!(["emailInvoice", "notes"]),
                ),
            ] {
                let variables = json!({ "id": id, "input": input, "version": version });
                let answer = app.graphql(mutation, variables).await;
                assert_eq!(codes(&answer), ["CONFLICT"]);
                let extensions = &answer["errors"][0]["extensions"];
                assert_eq!(extensions["currentVersion"], current);
                assert_eq!(extensions["differs"], differs);
            }
        }
    }
    let input = json!({ "accountCode": "A", "primaryLocation": {
        "state": "co", "address1": "1 Birch Lane", "zip": 80202, "name": "Branch",
    } });
    let variables = json!({ "id": client["id"], "input": input, "version": 1 });
    let answer = app.graphql(UPDATE_CLIENT, variables).await;
    let differs = [
        "accountCode",
        "primaryLocation.address1",
        "primaryLocation.zip",
    ];
    assert_eq!(answer["errors"][0]["extensions"]["differs"], json!(differs));
    assert_eq!(app.client(&client["id"]).await, client);

    let variables = json!({ "id": client["id"], "input": { "name": "Oak" }, "version": 3 });
    app.data(UPDATE_CLIENT, variables).await;
    let variables = json!({ "id": location, "input": { "name": "Oak" }, "version": 2 });
    app.data(UPDATE_LOCATION, variables).await;
    let expected = json!({ "name": "Oak", "version": 5 });
    let updated = app.client(&client["id"]).await;
    assert_eq!(with(updated.clone(), expected), updated);
}

#[rstest]
#[tokio::test]
async fn one_of_many_writers_of_a_version_wins(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 20;
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let id = &client["id"];
    let write = async |number: usize| {
        let input = json!({ "name": format!("Writer {number}") });
        let variables = json!({ "id": id, "input": input, "version": 1 });
        app.graphql(UPDATE_CLIENT, variables).await
    };
    let answers = join_all((0..WRITERS).map(write)).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| codes(answer).is_empty());
    assert_eq!(won.len(), 1, "{answers:#?}");
    for answer in lost {
        assert_eq!(codes(answer), ["CONFLICT"]);
        assert_eq!(answer["errors"][0]["extensions"]["currentVersion"], 2);
    }
    assert_eq!(app.client(id).await["version"], 2);
}

#[rstest]
#[tokio::test]
async fn writers_of_other_fields_do_not_undo_each_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITES: usize = 20;
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let id = &client["id"];
    let write = async |number: usize| {
        let field = ["notes", "accountCode"][number % 2];
        app.update_client(id, json!({ field: format!("{number}") }))
            .await
    };
    join_all((0..WRITES).map(write)).await;
    let client = app.client(id).await;
    assert_eq!(client["version"], 1 + WRITES);
    for (field, rest) in [("notes", 0), ("accountCode", 1)] {
        let number: usize = client[field].as_str().unwrap().parse().unwrap();
        assert_eq!(number % 2, rest);
    }
}
