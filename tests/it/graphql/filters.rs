//! Which rows each filter accepts, against the same filter written here.

use chrono::TimeDelta;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::faults;
use crate::support::{Engine, TestApp, TestClock};

/// The ids of the rows that the filter accepts, in the order of the list.
pub async fn ids(app: &TestApp, field: &str, filter: &Value) -> Vec<Value> {
    let kind = if field == "clients" {
        "ClientFilter"
    } else {
        "ClientLocationFilter"
    };
    let query = format!(
        "query ($filter: {kind}) {{
           list: {field}(filter: $filter, first: 500) {{ nodes {{ id }} totalCount }} }}"
    );
    let data = app.data(&query, json!({ "filter": filter })).await;
    let nodes = data["list"]["nodes"].as_array().unwrap();
    assert_eq!(data["list"]["totalCount"], nodes.len(), "{filter}");
    nodes.iter().map(|node| node["id"].clone()).collect()
}

pub fn ids_of<'a>(rows: &'a [Value], accepts: impl Fn(&&'a Value) -> bool) -> Vec<Value> {
    let accepted = rows.iter().filter(accepts);
    accepted.map(|row| row["id"].clone()).collect()
}

/// Clients of a few salespeople, some of them alike, each created at an instant of
/// its own and some changed later.
pub async fn app_with_clients(engine: Engine) -> (TestApp, Vec<Value>) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let places = [
        ("CO", "US"),
        ("ON", "CA"),
        ("co", "us"),
        ("WA", "AU"),
        ("WA", "US"),
    ];
    for number in 0..15_usize {
        let (state, country) = places[number % places.len()];
        let location = json!({ "name": (["Main", "Branch", "MAIN"][number % 3]), "state": state,
            "country": country });
        let input = json!({
            "name": (["Birch", "aspen", "BIRCH Dental", "birch"][number % 4]),
            "accountCode": ([Some("A-1"), Some("a-1"), Some("B_2"), None][number % 4]),
            "salesperson": ([Some(1), Some(i64::MAX), None][number % 3]),
            "caseManager": ([1, 2][number % 2]),
            "primaryLocation": location,
        });
        let client = app.create_client(input).await;
        if number % 2 == 0 {
            app.create_location(json!({ "clientId": client["id"], "name": "Second" }))
                .await;
        }
        clock.advance(TimeDelta::milliseconds(1));
        if number % 4 == 0 {
            app.update_client(&client["id"], json!({ "notes": "n" }))
                .await;
        }
    }
    let mut clients = Vec::new();
    for id in 1..=15 {
        clients.push(app.client(&json!(id)).await);
    }
    (app, clients)
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

#[rstest]
#[tokio::test]
async fn clients_are_filtered_by_each_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, rows) = app_with_clients(engine).await;
    let check = async |filter: Value, accepts: &dyn Fn(&Value) -> bool| {
        let expected = ids_of(&rows, |row| accepts(row));
        assert_eq!(ids(&app, "clients", &filter).await, expected, "{filter}");
    };
    check(json!({}), &|_| true).await;
    check(json!({ "name": null, "id": null, "search": null }), &|_| {
        true
    })
    .await;
    for id in [json!(3), json!("3"), json!(99), json!(-1)] {
        let text = id.to_string().replace('"', "");
        check(json!({ "id": id }), &|row| row["id"] == text).await;
    }
    for name in ["birch", "BIRCH", " Birch ", "bir", "birch dental", "", "%"] {
        let key = name.trim().to_lowercase();
        check(json!({ "name": name }), &|row| lower(&row["name"]) == key).await;
    }
    for code in ["a-1", "A-1", "b_2", "bx2", "a"] {
        let key = code.to_lowercase();
        check(json!({ "accountCode": code }), &|row| {
            lower(&row["accountCode"]) == key
        })
        .await;
    }
    for id in ["1", "9223372036854775807", "7"] {
        check(json!({ "salesperson": id }), &|row| {
            row["salesperson"] == id
        })
        .await;
        check(json!({ "caseManager": id }), &|row| {
            row["caseManager"] == id
        })
        .await;
    }
    for text in ["BIRCH", "irch d", "a-1", "_2", "", "none"] {
        let key = text.to_lowercase();
        let contains = |row: &Value| {
            lower(&row["name"]).contains(&key) || lower(&row["accountCode"]).contains(&key)
        };
        check(json!({ "search": text }), &contains).await;
    }
    let all = json!({ "name": "birch", "salesperson": 1, "caseManager": 1, "search": "A-" });
    check(all, &|row| {
        lower(&row["name"]) == "birch"
            && row["salesperson"] == "1"
            && row["caseManager"] == "1"
            && lower(&row["accountCode"]).contains("a-")
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn locations_are_filtered_by_each_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, clients) = app_with_clients(engine).await;
    let mut rows = Vec::new();
    for client in &clients {
        for mut location in app.locations_of(&client["id"]).await {
            location["salesperson"] = client["salesperson"].clone();
            rows.push(location);
        }
    }
    rows.sort_by_key(|row| row["id"].as_str().unwrap().parse::<i64>().unwrap());
    let check = async |filter: Value, accepts: &dyn Fn(&Value) -> bool| {
        let expected = ids_of(&rows, |row| accepts(row));
        assert_eq!(
            ids(&app, "clientLocations", &filter).await,
            expected,
            "{filter}"
        );
    };
    check(json!({}), &|_| true).await;
    for id in ["2", "23", "99"] {
        check(json!({ "id": id }), &|row| row["id"] == id).await;
        check(json!({ "clientId": id }), &|row| row["clientId"] == id).await;
    }
    for id in ["1", "9223372036854775807", "7"] {
        check(json!({ "salesperson": id }), &|row| {
            row["salesperson"] == id
        })
        .await;
    }
    for name in ["main", "Branch ", "sec"] {
        let key = name.trim().to_lowercase();
        check(json!({ "name": name }), &|row| lower(&row["name"]) == key).await;
        check(json!({ "search": name.trim() }), &|row| {
            lower(&row["name"]).contains(&key)
        })
        .await;
    }
    for code in ["US", "us", "Ca", "DE", "", "WA", "wa", "co", "ON", "%"] {
        let key = code.to_uppercase();
        check(json!({ "country": code }), &|row| row["country"] == key).await;
        check(json!({ "state": code }), &|row| row["state"] == key).await;
        check(
            json!({ "state": code, "country": "us", "salesperson": 1 }),
            &|row| row["state"] == key && row["country"] == "US" && row["salesperson"] == "1",
        )
        .await;
    }
}

#[rstest]
#[tokio::test]
async fn faults_of_filters_are_named(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let long = "x".repeat(5_000);
    let query = "query ($c: ClientFilter, $l: ClientLocationFilter, $first: Int) {
        clients(filter: $c) { totalCount } clientLocations(filter: $l, first: $first) { totalCount } }";
    let clients = json!({ "id": "x", "salesperson": "1 ", "caseManager": "", "name": "a\0",
        "accountCode": long, "search": long });
    let answer = app.graphql(query, json!({ "c": clients })).await;
    let paths = [
        "id",
        "salesperson",
        "caseManager",
        "name",
        "accountCode",
        "search",
    ];
    assert_eq!(faults(&answer), paths.map(|path| format!("filter.{path}")));

    let locations = json!({ "id": "x", "clientId": "1 ", "salesperson": "", "name": "a\0",
        "country": "\0", "state": long, "search": long });
    let answer = app
        .graphql(query, json!({ "l": locations, "first": -1 }))
        .await;
    let paths = [
        "id",
        "clientId",
        "salesperson",
        "name",
        "country",
        "state",
        "search",
    ];
    let mut expected = paths.map(|path| format!("filter.{path}")).to_vec();
    expected.push("first".to_owned());
    assert_eq!(faults(&answer), expected);
}

/// Earlier versions kept what was sent around a code.
#[rstest]
#[tokio::test]
async fn codes_that_were_stored_with_white_space_are_found_as_they_are_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for code in ["A-1", "B-2", "a-1"] {
        app.create_client(json!({ "accountCode": code })).await;
    }
    let old = "UPDATE client SET account_code = ' A-1 ', account_code_key = ' a-1 ' WHERE id = 1";
    app.database.writer().execute_unprepared(old).await.unwrap();
    for (code, expected) in [
        (" A-1 ", json!(["1", "3"])),
        (" a-1 ", json!(["1", "3"])),
        ("A-1", json!(["3"])),
        (" A-1", json!(["3"])),
        (" B-2 ", json!(["2"])),
        (" ", json!([])),
    ] {
        let found = ids(&app, "clients", &json!({ "accountCode": code })).await;
        assert_eq!(json!(found), expected, "{code:?}");
    }
}
