//! The REST compatibility layer, topic by topic; what holds for clients and for
//! locations is tested once for both.

mod addresses;
mod bodies;
mod clients;
mod coercion;
mod conditional;
mod documented;
mod faults;
mod filters;
mod idempotency;
mod lists;
mod locations;
mod openapi;
mod parameters;
mod problems;
mod round_trip;
mod timestamps;

use std::fmt::{Display, Write};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, TestClock};

const CLIENTS: &str = "/api/v1/clients";
const LOCATIONS: &str = "/api/v1/client/locations";

/// The two kinds of records, for what both have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Client,
    Location,
}

impl Record {
    fn path(self) -> &'static str {
        match self {
            Self::Client => CLIENTS,
            Self::Location => LOCATIONS,
        }
    }

    /// The member under which bodies are nested.
    fn wrapper(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Location => "client_location",
        }
    }

    /// A body of this record.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls with json!() read better"
    )]
    fn body(self, fields: Value) -> Value {
        json!({ self.wrapper(): fields })
    }

    /// Creates one, and its client where it needs one, and returns its URL.
    async fn create(self, app: &TestApp) -> String {
        let client = app.create_client(json!({})).await;
        let id = match self {
            Self::Client => client["id"].clone(),
            Self::Location => {
                let input = json!({ "clientId": client["id"] });
                app.create_location(input).await["id"].clone()
            }
        };
        format!("{}/{}", self.path(), id.as_str().unwrap())
    }
}

/// A clock that stands still, for snapshots.
fn still() -> TestClock {
    TestClock::at("2026-01-31T09:15:00.250Z")
}

/// The fields of a new client, all of them.
fn client_fields() -> Value {
    json!({
        "name": "Birch & Sons",
        "account_code": "B-007",
        "website": "https://birch.example/about?lang=en",
        "email_invoice": "billing@birch.example",
        "notes": "First line\nsecond line",
        "has_invoice_reminders": true,
        "show_location_on_invoice": true,
        "salesperson": 41,
        "case_manager": 42,
        "primary_location": location_fields(),
    })
}

/// The fields of a new location, all of them but those that say whose it is.
fn location_fields() -> Value {
    json!({
        "name": "Head office",
        "email_invoice": "office@birch.example",
        "address_1": "1 Birch Lane",
        "address_2": "Floor 2",
        "address_3": "Room 3",
        "city": "Boston",
        "state": "MA",
        "zip": "02108",
        "country": "US",
        "phone_primary": "+1 617 555 0101",
        "phone_secondary": "+1 617 555 0102",
        "phone_fax": "+1 617 555 0103",
        "notes": "Ring twice",
    })
}

/// Creates a client by REST and returns it.
async fn create_client(app: &TestApp, fields: Value) -> Value {
    let answer = app.post(CLIENTS, Record::Client.body(fields)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

/// Creates a location by REST and returns it.
async fn create_location(app: &TestApp, fields: Value) -> Value {
    let answer = app.post(LOCATIONS, Record::Location.body(fields)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

/// The URL of a record that was answered.
fn url(record: Record, answered: &Value) -> String {
    format!("{}/{}", record.path(), answered["id"])
}

/// What a successful GET answers.
async fn read(app: &TestApp, path: &str) -> Value {
    let answer = app.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// Creates clients with these names, whose locations have them, too, and returns
/// the ids of the records in their order.
async fn named(app: &TestApp, record: Record, names: &[&str]) -> Vec<i64> {
    let mut ids = Vec::new();
    for name in names {
        let input = json!({ "name": name, "primaryLocation": { "name": name } });
        let client = app.create_client(input).await;
        let id = match record {
            Record::Client => &client["id"],
            Record::Location => &client["primaryLocation"]["id"],
        };
        ids.push(id.as_str().unwrap().parse().unwrap());
    }
    ids
}

/// The names of the rows that a list answers, by names from [`named`].
async fn names(app: &TestApp, path: &str) -> Vec<Value> {
    let list = read(app, path).await;
    let rows = list.as_array().unwrap();
    rows.iter().map(|row| row["name"].clone()).collect()
}

/// How many clients and locations there are.
async fn counts(app: &TestApp) -> [Value; 2] {
    let mut counts = Vec::new();
    for path in [CLIENTS, LOCATIONS] {
        let counted = read(app, &format!("{path}?mode=count")).await;
        counts.push(counted["record_count"].clone());
    }
    counts.try_into().unwrap()
}

/// The ids in a list that was answered.
fn ids(answered: &Value) -> Vec<i64> {
    let rows = answered.as_array().unwrap();
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// As [`refused`], and says what was sent if it was not.
fn refused_for(sent: impl Display, answer: &Answer, status: StatusCode) -> Value {
    assert_eq!(answer.status, status, "{sent}: {}", answer.text());
    refused(answer, status)
}

/// Checks that the answer is a problem as documented, and returns it.
fn refused(answer: &Answer, status: StatusCode) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    let members: Vec<_> = problem.as_object().unwrap().keys().collect();
    let mut documented = vec!["title", "detail", "status", "type", "request_id"];
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => documented.push("errors"),
        StatusCode::PRECONDITION_FAILED => documented.extend(["current_version", "differs"]),
        _ => {}
    }
    assert_eq!(members, documented);
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(
        problem["request_id"].as_str(),
        answer.header("x-request-id")
    );
    for sentence in ["title", "detail"] {
        assert_ne!(problem[sentence], "");
    }
    // What is inside must not show: GraphQL's spelling, SQL, Rust.
    let detail = problem["detail"].as_str().unwrap();
    for leak in ["$", "SELECT", "sqlx", "Error(", "primaryLocation", "input."] {
        assert!(!detail.contains(leak), "{detail}");
    }
    problem
}

/// The JSON pointers of a 422, in their order.
fn pointers(answer: &Answer) -> Vec<String> {
    let problem = refused(answer, StatusCode::UNPROCESSABLE_ENTITY);
    let errors = problem["errors"].as_array().unwrap();
    let pointer = |error: &Value| error["pointer"].as_str().unwrap().to_owned();
    errors.iter().map(pointer).collect()
}

/// A whole answer as text: status, headers by name, and the body with its members
/// in the order in which they were sent. Only the request's id is left open.
fn whole(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id")
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    text.extend(headers);
    if !answer.body.is_empty() {
        write!(text, "\n{:#}", answer.json()).unwrap();
    }
    let id = answer.header("x-request-id").unwrap();
    text.replace(id, "[request id]")
}
