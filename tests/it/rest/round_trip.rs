//! GET, edit, PUT: what was read can be sent back, with any one field changed.

use axum::http::StatusCode;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{
    Record, client_fields, create_client, create_location, location_fields, pointers, read, url,
};
use crate::support::{Engine, TestApp};

/// Values for the text fields that have no rule but their length: of all kinds of
/// characters, each to come back as it was sent: white space surrounds none of them.
const TEXTS: [&str; 7] = [
    "spaces  within",
    "Zoë 👩‍👩‍👧 \u{5e9}\u{5dc}\u{5d5}\u{5dd} e\u{301}",
    "a\"b\\c/d\t\r\n\u{7f}\u{1}",
    "\u{202e}right to left",
    "'; DROP TABLE client; --",
    "null",
    "\u{feff}\u{2028}\u{fffd}\u{fffe}",
];

/// Every field of a client that can be written, with values for it.
fn client_edits() -> Vec<(Vec<&'static str>, Vec<Value>)> {
    let mut edits = vec![
        (vec!["name"], texts(&["Other", "株式会社", "ß"])),
        (vec!["account_code"], free_texts()),
        (vec!["website"], or_null(texts(&["http://other.example/"]))),
        (
            vec!["email_invoice"],
            or_null(texts(&["o.k+x@other.example"])),
        ),
        (vec!["notes"], free_texts()),
        (
            vec!["has_invoice_reminders"],
            vec![json!(false), json!(true)],
        ),
        (
            vec!["show_location_on_invoice"],
            vec![json!(false), json!(true)],
        ),
        (
            vec!["salesperson"],
            or_null(vec![json!(7), json!(i64::MAX)]),
        ),
        (
            vec!["case_manager"],
            or_null(vec![json!(-7), json!(i64::MIN)]),
        ),
    ];
    for (path, values) in location_edits() {
        let path = [vec!["primary_location"], path].concat();
        edits.push((path, values));
    }
    edits
}

/// Every field of a location that can be written, with values for it.
fn location_edits() -> Vec<(Vec<&'static str>, Vec<Value>)> {
    let mut edits = vec![
        (vec!["name"], texts(&["Other", "Lager Süd"])),
        (vec!["email_invoice"], or_null(texts(&["o@other.example"]))),
        (vec!["state"], texts(&["CO", "QC", "13"])),
        (vec!["country"], texts(&["CA", "ZW"])),
        (vec!["zip"], or_null(texts(&["80202", "01234", "K1A 0B1"]))),
    ];
    for name in [
        "address_1",
        "address_2",
        "address_3",
        "city",
        "phone_primary",
        "phone_secondary",
        "phone_fax",
        "notes",
    ] {
        edits.push((vec![name], free_texts()));
    }
    edits
}

fn texts(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| json!(text)).collect()
}

fn free_texts() -> Vec<Value> {
    or_null(texts(&TEXTS))
}

fn or_null(mut values: Vec<Value>) -> Vec<Value> {
    values.push(Value::Null);
    values
}

/// A record with every field set, and its URL.
async fn full(app: &TestApp, record: Record) -> (Value, String) {
    let client = create_client(app, client_fields()).await;
    let created = match record {
        Record::Client => client,
        Record::Location => {
            let mut fields = location_fields();
            fields["root_id"] = client["id"].clone();
            create_location(app, fields).await
        }
    };
    let url = url(record, &created);
    (created, url)
}

#[rstest]
#[tokio::test]
async fn sending_back_what_was_read_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let (created, url) = full(&app, record).await;
    let answer = app.put(&url, record.body(created.clone())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json(), created);
    assert_eq!(read(&app, &url).await, created);
}

#[rstest]
#[tokio::test]
async fn an_edit_of_what_was_read_changes_the_edited_field_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let (mut known, url) = full(&app, record).await;
    let edits = match record {
        Record::Client => client_edits(),
        Record::Location => location_edits(),
    };
    assert_covers(&known, &edits);
    for (path, values) in edits {
        for value in values {
            let pointer = format!("/{}", path.join("/"));
            let mut edited = known.clone();
            *edited.pointer_mut(&pointer).unwrap() = value.clone();
            let answer = app.put(&url, record.body(edited.clone())).await;
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{pointer}: {}",
                answer.text()
            );
            let answered = answer.json();
            if edited == known {
                assert_eq!(answered, known, "{pointer} = {value}");
                continue;
            }
            // A change of the location is one of the client, too.
            let moved: &[&str] = match path.len() {
                1 => &[""],
                _ => &["", "/primary_location"],
            };
            for record in moved {
                move_on(&mut edited, record, &answered);
            }
            assert_eq!(answered, edited, "{pointer} = {value}");
            known = answered;
        }
    }
    assert_eq!(read(&app, &url).await, known);
}

/// Moves the version of the record at `pointer` by one, and its time to that of
/// `answered`, which must be later.
fn move_on(record: &mut Value, pointer: &str, answered: &Value) {
    let record = record.pointer_mut(pointer).unwrap();
    let answered = answered.pointer(pointer).unwrap();
    record["version"] = json!(record["version"].as_i64().unwrap() + 1);
    let times = [&record["updated_at"], &answered["updated_at"]].map(|at| at.as_str().unwrap());
    assert!(times[0] < times[1], "{times:?}");
    record["updated_at"] = answered["updated_at"].clone();
}

/// Fails if a field of `record` is neither edited nor known to be read-only.
fn assert_covers(record: &Value, edits: &[(Vec<&str>, Vec<Value>)]) {
    let read_only = [
        "id",
        "root_id",
        "is_primary",
        "created_at",
        "updated_at",
        "version",
    ];
    for (name, value) in record.as_object().unwrap() {
        let is_edited = edits.iter().any(|(path, _)| path[0] == name);
        assert!(is_edited || read_only.contains(&name.as_str()), "{name}");
        assert_ne!(value, &Value::Null, "{name} should have a value to lose");
    }
}

#[rstest]
#[tokio::test]
async fn read_only_fields_are_ignored_whatever_they_say(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let (created, url) = full(&app, record).await;
    let mut edited = created.clone();
    edited["created_at"] = json!("2001-01-01T00:00:00Z");
    edited["updated_at"] = json!(5);
    edited["version"] = json!("seven");
    if record == Record::Location {
        edited["root_id"] = json!(4711);
    }
    let answer = app.put(&url, record.body(edited)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.json(), created);
}

#[rstest]
#[tokio::test]
async fn an_id_that_differs_from_the_urls_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let (created, url) = full(&app, record).await;
    let own = created["id"].as_i64().unwrap();
    for id in [
        json!(own + 1),
        json!(format!("0{own}")),
        json!(-own),
        json!(1.5),
        json!([own]),
    ] {
        let body = record.body(json!({ "id": id, "name": "Other" }));
        let answer = app.put(&url, body).await;
        assert_eq!(
            pointers(&answer),
            [format!("/{}/id", record.wrapper())],
            "{id}"
        );
    }
    assert_eq!(read(&app, &url).await, created);

    // Its own, also as systems write it that keep ids as text.
    for id in [json!(own), json!(own.to_string()), Value::Null] {
        let answer = app.put(&url, record.body(json!({ "id": id }))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

/// Earlier versions took more, and what they wrote is no fault of whoever edits it.
#[rstest]
#[tokio::test]
async fn what_earlier_rules_let_in_may_be_sent_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    for old in [
        "UPDATE client SET website = 'https://..', email_invoice = 'a@1.2.3.4', notes = ' n '",
        "UPDATE client_location SET city = '', name = char_of_nobody, name_key = char_of_nobody",
    ] {
        let old = old.replace("char_of_nobody", "'\u{200b}'");
        let writer = app.database.writer();
        writer.execute_unprepared(&old).await.unwrap();
    }
    let mut edited = read(&app, &path).await;
    assert_eq!(edited["website"], "https://..");
    edited["account_code"] = json!("New");
    let answer = app.put(&path, Record::Client.body(edited.clone())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let mut answered = answer.json();
    for moved in ["version", "updated_at"] {
        answered[moved] = edited[moved].clone();
    }
    assert_eq!(answered, edited);

    let worse = json!({ "website": "https://.", "primary_location": { "name": "\u{2060}" } });
    let answer = app.put(&path, Record::Client.body(worse)).await;
    assert_eq!(
        pointers(&answer),
        ["/client/website", "/client/primary_location/name"]
    );
}
