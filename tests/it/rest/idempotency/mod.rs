//! `Idempotency-Key`: a write that is sent again gets the first answer again, and
//! nothing is written twice.

mod concurrent;
mod faults;
mod keys;
mod replays;
mod retention;

use axum::http::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::{CLIENTS, Record};
use crate::support::{Answer, TestApp, assert_replays, is_replayed};

const KEY: &str = "idempotency-key";

/// A body of a new client.
fn client(name: &str) -> Value {
    Record::Client.body(json!({
        "name": name,
        "primary_location": { "name": "Main", "state": "CO", "country": "US" },
    }))
}

async fn send(app: &TestApp, method: Method, path: &str, key: &str, body: &Value) -> Answer {
    let call = app.call(method, path).header(KEY, key);
    call.json(body).send().await
}

async fn post(app: &TestApp, key: &str, body: &Value) -> Answer {
    send(app, Method::POST, CLIENTS, key, body).await
}

#[track_caller]
fn assert_created(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert!(!is_replayed(answer), "{answer:?}");
}

/// How many rows a table has.
async fn rows(app: &TestApp, table: &str) -> i64 {
    let db = &app.database.reader;
    let count = format!("SELECT count(*) AS count FROM {table}");
    let count = Statement::from_string(db.get_database_backend(), count);
    let row = db.query_one_raw(count).await.unwrap().unwrap();
    row.try_get("", "count").unwrap()
}

/// How many clients there are, and how many keys.
async fn clients_and_keys(app: &TestApp) -> [i64; 2] {
    [
        rows(app, "client").await,
        rows(app, "idempotency_key").await,
    ]
}

/// Executes SQL past all code of ours.
async fn execute(app: &TestApp, sql: &str) {
    let done = app.database.writer().execute_unprepared(sql).await;
    done.unwrap();
}
