//! What an update changes, and what it leaves alone.

use chrono::TimeDelta;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{UPDATE_CLIENT, UPDATE_LOCATION, codes, faults, with};
use crate::support::{Engine, TestApp, TestClock};

/// A client of which every field that may be empty is set.
fn full() -> Value {
    json!({
        "name": "Birch",
        "accountCode": "B1",
        "website": "https://example.com",
        "emailInvoice": "a@example.com",
        "notes": "n",
        "hasInvoiceReminders": true,
        "showLocationOnInvoice": true,
        "salesperson": "3",
        "caseManager": "4",
        "primaryLocation": {
            "name": "Denver",
            "emailInvoice": "b@example.com",
            "address1": "1",
            "address2": "2",
            "address3": "3",
            "city": "Denver",
            "state": "CO",
            "zip": "00501",
            "country": "US",
            "phonePrimary": "4",
            "phoneSecondary": "5",
            "phoneFax": "6",
            "notes": "7",
        },
    })
}

#[rstest]
#[tokio::test]
async fn each_field_is_changed_alone(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let mut client = app.create_client(full()).await;
    for change in [
        json!({ "name": "Aspen" }),
        json!({ "accountCode": "A1" }),
        json!({ "website": "http://example.org" }),
        json!({ "emailInvoice": "c@example.com" }),
        json!({ "notes": "other" }),
        json!({ "hasInvoiceReminders": false }),
        json!({ "showLocationOnInvoice": false }),
        json!({ "salesperson": "9223372036854775807" }),
        json!({ "caseManager": "5" }),
    ] {
        let updated = app.update_client(&client["id"], change.clone()).await;
        let moved = json!({ "version": updated["version"], "updatedAt": updated["updatedAt"] });
        assert_eq!(updated, with(with(client, change), moved));
        client = updated;
    }
    assert_eq!(client["version"], 10);
    // The clock stood still meanwhile.
    assert_eq!(client["updatedAt"], "2026-01-31T09:15:00.259Z");
}

#[rstest]
#[tokio::test]
async fn null_clears_and_what_is_left_out_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let client = app.create_client(full()).await;
    let nulls = json!({
        "accountCode": null,
        "website": null,
        "emailInvoice": null,
        "notes": null,
        "salesperson": null,
        "caseManager": null,
        "primaryLocation": {
            "emailInvoice": null,
            "address1": null,
            "address2": null,
            "address3": null,
            "city": null,
            "zip": null,
            "phonePrimary": null,
            "phoneSecondary": null,
            "phoneFax": null,
            "notes": null,
        },
    });
    let cleared = app.update_client(&client["id"], nulls).await;
    insta::assert_json_snapshot!("null_clears_what_may_be_empty", cleared);
}

#[rstest]
#[tokio::test]
async fn a_fault_on_either_side_writes_neither(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(full()).await;
    for (input, path) in [
        (
            json!({ "name": "Aspen", "primaryLocation": { "city": "Boulder", "state": "COL" } }),
            "input.primaryLocation.state",
        ),
        (
            json!({ "website": "x", "primaryLocation": { "city": "Boulder" } }),
            "input.website",
        ),
        (
            json!({ "name": "Aspen", "primaryLocation": { "isPrimary": false } }),
            "input.primaryLocation.isPrimary",
        ),
        (
            json!({ "name": "Aspen", "primaryLocation": { "id": "2" } }),
            "input.primaryLocation.id",
        ),
        (json!({ "name": "Aspen", "id": "2" }), "input.id"),
    ] {
        let variables = json!({ "id": client["id"], "input": input });
        let answer = app.graphql(UPDATE_CLIENT, variables).await;
        assert_eq!(faults(&answer), [path]);
        assert_eq!(answer["data"], Value::Null);
        assert_eq!(app.client(&client["id"]).await, client);
    }
}

#[rstest]
#[tokio::test]
async fn what_was_read_can_be_sent_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(full()).await;
    let input = with(
        full(),
        json!({ "id": client["id"], "primaryLocation": with(
            full()["primaryLocation"].clone(),
            json!({ "id": client["primaryLocation"]["id"], "isPrimary": true }),
        ) }),
    );
    assert_eq!(app.update_client(&client["id"], input).await, client);
}

/// Also what rules of earlier versions let in: it is stored as it was sent.
#[rstest]
#[tokio::test]
async fn what_is_stored_as_it_was_sent_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let id = app.create_client(full()).await["id"].clone();
    let old = "UPDATE client SET name = ' Birch ', account_code = '', website = ' ', \
               email_invoice = ' a@example.com', notes = 'VIP\n'";
    app.database.writer().execute_unprepared(old).await.unwrap();
    let before = app.client(&id).await;
    assert_eq!(before["notes"], "VIP\n");
    for field in ["name", "accountCode", "website", "emailInvoice", "notes"] {
        let input = json!({ field: before[field] });
        assert_eq!(app.update_client(&id, input).await, before, "{field}");
    }
    // Other white space is another text, which is stored without it.
    let after = app.update_client(&id, json!({ "notes": "VIP\n\n" })).await;
    assert_eq!(after["notes"], "VIP");
    assert_eq!(after["version"], 2);
}

#[rstest]
#[tokio::test]
async fn records_that_do_not_exist_are_not_found(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for mutation in [UPDATE_CLIENT, UPDATE_LOCATION] {
        for id in [json!(1), json!("1"), json!(i64::MAX), json!(0), json!(-1)] {
            let answer = app
                .graphql(mutation, json!({ "id": id, "input": {} }))
                .await;
            assert_eq!(codes(&answer), ["NOT_FOUND"]);
        }
        for id in ["", "x", "1.0", "01", "9223372036854775808", "1\0"] {
            let answer = app
                .graphql(mutation, json!({ "id": id, "input": {} }))
                .await;
            assert_eq!(faults(&answer), ["id"], "{id}");
        }
    }
}

/// However long after the last change, a change has the instant of the clock. If that is not
/// after the last change of a record, it follows this by a millisecond.
#[rstest]
#[tokio::test]
async fn a_change_has_the_instant_of_the_clock(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    for _ in 0..2 {
        app.create_client(json!({})).await;
    }
    let update = async |id: i32, notes: &str| {
        let data = app
            .data(
                "mutation ($id: ID!, $notes: String) {
                    updateClient(id: $id, input: { notes: $notes }) { client { updatedAt } } }",
                json!({ "id": id, "notes": notes }),
            )
            .await;
        data["updateClient"]["client"]["updatedAt"].clone()
    };
    clock.advance(TimeDelta::hours(1));
    assert_eq!(update(1, "a").await, "2026-01-31T10:15:00.250Z");
    clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(update(2, "b").await, "2026-01-31T10:15:00.251Z");
    // Whoever polls on SQLite has seen the second client with this instant, and goes on behind it.
    let [beside, after] = match engine {
        Engine::Sqlite => ["2026-01-31T10:15:00.252Z", "2026-01-31T10:15:00.253Z"],
        Engine::Postgres => ["2026-01-31T10:15:00.251Z", "2026-01-31T10:15:00.252Z"],
    };
    assert_eq!(update(1, "c").await, beside);
    clock.advance(TimeDelta::hours(-2));
    assert_eq!(update(2, "d").await, after);
    clock.advance(TimeDelta::hours(3));
    let created = app.create_client(json!({})).await;
    assert_eq!(created["createdAt"], "2026-01-31T11:15:00.251Z");
}
