//! Filters by instants.

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    codes,
    filters::{app_with_clients, ids, ids_of},
};
use crate::support::{Engine, TestApp, TestClock};

#[rstest]
#[tokio::test]
async fn bounds_are_inclusive_at_both_ends(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, clients) = app_with_clients(engine).await;
    let mut locations = Vec::new();
    for client in &clients {
        locations.extend(app.locations_of(&client["id"]).await);
    }
    locations.sort_by_key(|row| row["id"].as_str().unwrap().parse::<i64>().unwrap());
    for (list, rows) in [("clients", &clients), ("clientLocations", &locations)] {
        for (field, from, to) in [
            ("createdAt", "createdFrom", "createdTo"),
            ("updatedAt", "updatedFrom", "updatedTo"),
        ] {
            let at = |number: usize| clients[number][field].as_str().unwrap();
            for (low, high) in [(at(2), at(9)), (at(4), at(4)), (at(9), at(2))] {
                // Instants in one format sort as texts.
                let within = |row: &&Value| (low..=high).contains(&row[field].as_str().unwrap());
                let filter = json!({ from: low, to: high });
                assert_eq!(
                    ids(&app, list, &filter).await,
                    ids_of(rows, within),
                    "{filter}"
                );
            }
            let from_only = ids_of(rows, |row| row[field].as_str().unwrap() >= at(6));
            assert_eq!(ids(&app, list, &json!({ from: at(6) })).await, from_only);
            let to_only = ids_of(rows, |row| row[field].as_str().unwrap() <= at(6));
            assert_eq!(ids(&app, list, &json!({ to: at(6) })).await, to_only);
        }
    }
}

#[rstest]
#[tokio::test]
async fn bounds_may_be_written_in_any_way(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    app.create_client(json!({})).await;
    for (instant, is_from, is_to) in [
        ("2026-01-31T09:15:00.250Z", true, true),
        ("2026-01-31T09:15:00.25Z", true, true),
        ("2026-01-31T09:15:00.250000000Z", true, true),
        ("2026-01-31T14:45:00.250+05:30", true, true),
        ("2026-01-31T02:15:00.250-07:00", true, true),
        // As ISO 8601 allows it, too.
        ("2026-01-31T11:15:00.250+0200", true, true),
        ("2026-01-31T11:15:00,250+02", true, true),
        ("2026-01-31 09:15:00.250z", true, true),
        // Finer than a millisecond: just before and just after the row.
        ("2026-01-31T09:15:00.2499999Z", true, false),
        ("2026-01-31T09:15:00.249000001Z", true, false),
        ("2026-01-31T09:15:00.2500001Z", false, true),
        ("2026-01-31T09:15:00.250999999Z", false, true),
        ("2026-01-31T09:15:00Z", true, false),
        ("2026-01-31T09:15:01Z", false, true),
        ("2026-01-31T09:14:60Z", true, false),
        ("0000-01-01T00:00:00Z", true, false),
        ("9999-12-31T23:59:59.999999Z", false, true),
    ] {
        for (field, accepts) in [
            ("createdFrom", is_from),
            ("updatedFrom", is_from),
            ("createdTo", is_to),
            ("updatedTo", is_to),
        ] {
            let filter = json!({ field: instant });
            for list in ["clients", "clientLocations"] {
                let found = ids(&app, list, &filter).await;
                assert_eq!(found.len(), usize::from(accepts), "{list} {filter}");
            }
        }
    }
    for wrong in [
        "",
        "2026-01-31",
        "2026-01-31T09:15:00",
        "2026-01-31T09:15:00+020",
        "2026-01-31T09:15:00.+0200",
        "2026-02-29T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "-0001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "1769850900",
    ] {
        let query =
            "query ($at: DateTime) { clients(filter: { createdFrom: $at }) { totalCount } }";
        let answer = app.graphql(query, json!({ "at": wrong })).await;
        assert_eq!(codes(&answer), ["VALIDATION_FAILED"], "{wrong}");
    }
}
