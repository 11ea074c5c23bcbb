//! Entity tags and the headers that compare them (RFC 9110, section 13).

use axum::http::{
    Method, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    CLIENTS, Record, client_fields, create_client, read, refused, refused_for, url, whole,
};
use crate::support::{Answer, Engine, TestApp};

async fn get_if_none_match(app: &TestApp, path: &str, tags: &str) -> Answer {
    let call = app.call(Method::GET, path);
    call.header(IF_NONE_MATCH, tags).send().await
}

async fn put_if_match(app: &TestApp, path: &str, tags: &str, body: &Value) -> Answer {
    let call = app.call(Method::PUT, path).header(IF_MATCH, tags);
    call.json(body).send().await
}

#[rstest]
#[tokio::test]
async fn single_records_carry_a_strong_tag_of_their_version(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    assert_eq!(app.get(&path).await.header("etag"), Some("\"1\""));
    let edit = record.body(json!({ "notes": "New" }));
    for _changed_then_not in 0..2 {
        let updated = app.put(&path, edit.clone()).await;
        assert_eq!(updated.header("etag"), Some("\"2\""));
        assert_eq!(updated.json()["version"], 2);
    }
    assert_eq!(app.get(&path).await.header("etag"), Some("\"2\""));
    // Lists have no version of their own.
    assert_eq!(app.get(record.path()).await.header("etag"), None);
}

#[rstest]
#[tokio::test]
async fn an_answer_that_the_caller_has_is_not_sent_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    for tags in [
        "\"1\"",
        "*",
        "W/\"1\"",
        "\"7\", \"1\"",
        "\"7\",W/\"1\" , \"8\"",
    ] {
        let answer = get_if_none_match(&app, &path, tags).await;
        insta::assert_snapshot!("not_modified", whole(&answer));
    }
    let full = app.get(&path).await;
    for tags in ["\"2\"", "W/\"2\"", "\"01\"", "\"2\", \"3\"", "\"\""] {
        let answer = get_if_none_match(&app, &path, tags).await;
        assert_eq!(whole(&answer), whole(&full), "{tags}");
    }
    for tags in ["1", "\"1", "W/1", "w/\"1\"", "**", "\"1\" \"2\""] {
        let answer = get_if_none_match(&app, &path, tags).await;
        refused_for(tags, &answer, StatusCode::BAD_REQUEST);
    }
    let unknown = format!("{}/4711", record.path());
    let answer = get_if_none_match(&app, &unknown, "*").await;
    refused(&answer, StatusCode::NOT_FOUND);
}

#[rstest]
#[tokio::test]
async fn a_tag_is_compared_with_the_version_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let reads = || {
        let mut statements = app.take_statements();
        // Without those that look up the token.
        statements.retain(|sql| sql.contains("FROM \"client"));
        statements
    };
    let reads_one_table = |sql: &str| match record {
        Record::Client => !sql.contains("client_location"),
        Record::Location => !sql.contains("\"client\""),
    };
    reads();
    for tags in ["\"1\"", "*"] {
        let answer = get_if_none_match(&app, &path, tags).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
        let statements = reads();
        assert_eq!(statements.len(), 1, "{statements:#?}");
        assert!(reads_one_table(&statements[0]), "{statements:#?}");
    }
    assert_eq!(app.get(&path).await.status, StatusCode::OK);
    let whole = reads();
    let answer = get_if_none_match(&app, &path, "\"7\"").await;
    assert_eq!(answer.status, StatusCode::OK);
    let statements = reads();
    assert_eq!(statements[1..], whole, "{statements:#?}");

    let edit = record.body(json!({ "notes": "New" }));
    let stale = put_if_match(&app, &path, "\"7\"", &edit).await;
    refused(&stale, StatusCode::PRECONDITION_FAILED);
    // The rest is read to say how the record differs.
    let statements = reads();
    assert!(reads_one_table(&statements[0]), "{statements:#?}");

    // Nothing is known of a record that is not there, whatever its tag would be.
    let unknown = format!("{}/4711", record.path());
    for tags in ["\"1\"", "*"] {
        let answer = get_if_none_match(&app, &unknown, tags).await;
        refused_for(tags, &answer, StatusCode::NOT_FOUND);
    }
}

#[rstest]
#[tokio::test]
async fn a_put_with_if_match_changes_the_named_version_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let body = |notes: &str| record.body(json!({ "notes": notes }));

    for (number, tags) in ["\"1\"", "*", "\"7\", \"3\"", "\"4\",W/\"4\""]
        .iter()
        .enumerate()
    {
        let answer = put_if_match(&app, &path, tags, &body(tags)).await;
        assert_eq!(answer.status, StatusCode::OK, "{tags}: {}", answer.text());
        assert_eq!(answer.header("etag"), Some(&*format!("\"{}\"", number + 2)));
    }
    let before = read(&app, &path).await;
    for tags in [
        "\"4\"",
        "\"6\"",
        "W/\"5\"",
        "\"05\"",
        "\"4\", \"6\"",
        "\"\"",
    ] {
        let answer = put_if_match(&app, &path, tags, &body("stale")).await;
        refused_for(tags, &answer, StatusCode::PRECONDITION_FAILED);
    }
    for tags in ["5", "\"5", "garbage", "W/5", "", "\"5\" \"6\"", "*, \"5\""] {
        let answer = put_if_match(&app, &path, tags, &body("garbage")).await;
        let problem = refused_for(tags, &answer, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("'if-match'"), "{tags}: {detail}");
    }
    assert_eq!(read(&app, &path).await, before);

    let unknown = format!("{}/4711", record.path());
    for tags in ["*", "\"1\""] {
        let answer = put_if_match(&app, &unknown, tags, &body("unknown")).await;
        refused_for(tags, &answer, StatusCode::NOT_FOUND);
    }
}

/// In the order of RFC 9110, section 13.2.2.
#[rstest]
#[tokio::test]
async fn both_conditions_hold_or_nothing_is_done(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let body = record.body(json!({ "notes": "New" }));
    let before = app.get(&path).await;
    let call = |method, if_match: &str, if_none_match: &str| {
        let mut call = app.call(method, &path);
        for (name, tags) in [(IF_MATCH, if_match), (IF_NONE_MATCH, if_none_match)] {
            if !tags.is_empty() {
                call = call.header(name, tags);
            }
        }
        call
    };
    for (if_match, if_none_match, named_by, expected) in [
        ("", "*", "If-None-Match", StatusCode::NOT_MODIFIED),
        ("", "\"1\"", "If-None-Match", StatusCode::NOT_MODIFIED),
        ("", "W/\"1\"", "If-None-Match", StatusCode::NOT_MODIFIED),
        (
            "",
            "\"7\", \"1\"",
            "If-None-Match",
            StatusCode::NOT_MODIFIED,
        ),
        ("\"1\"", "\"1\"", "If-None-Match", StatusCode::NOT_MODIFIED),
        ("*", "*", "If-None-Match", StatusCode::NOT_MODIFIED),
        (
            "\"7\"",
            "\"1\"",
            "If-Match",
            StatusCode::PRECONDITION_FAILED,
        ),
        (
            "\"7\"",
            "\"8\"",
            "If-Match",
            StatusCode::PRECONDITION_FAILED,
        ),
        ("\"7\"", "", "If-Match", StatusCode::PRECONDITION_FAILED),
        ("W/\"1\"", "", "If-Match", StatusCode::PRECONDITION_FAILED),
    ] {
        let sent = format!("{if_match}, but {if_none_match}");
        let put = call(Method::PUT, if_match, if_none_match).json(&body);
        let put = put.send().await;
        let problem = refused_for(&sent, &put, StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem["current_version"], 1, "{sent}");
        assert_eq!(problem["differs"], json!(["notes"]), "{sent}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("{named_by} names")), "{detail}");

        let get = call(Method::GET, if_match, if_none_match).send().await;
        if expected == StatusCode::PRECONDITION_FAILED {
            let problem = refused_for(&sent, &get, expected);
            assert_eq!(problem["current_version"], 1, "{sent}");
            assert_eq!(problem["differs"], json!([]), "{sent}");
        } else {
            assert_eq!(get.status, expected, "{sent}");
        }
        let head = call(Method::HEAD, if_match, if_none_match).send().await;
        assert_eq!(head.status, expected, "{sent}");
    }
    assert_eq!(app.get(&path).await.body, before.body);

    for (if_match, if_none_match) in [("\"1\"", "\"7\""), ("*", "\"7\""), ("\"1\"", ""), ("*", "")]
    {
        let get = call(Method::GET, if_match, if_none_match).send().await;
        assert_eq!(whole(&get), whole(&before), "{if_match}, {if_none_match}");
    }
    let put = call(Method::PUT, "*", "\"7\", \"8\"").json(&body);
    assert_eq!(put.send().await.header("etag"), Some("\"2\""));

    // Of what is not there, nothing is known.
    let unknown = format!("{}/4711", record.path());
    for (name, tags) in [(IF_MATCH, "*"), (IF_NONE_MATCH, "*")] {
        let put = app.call(Method::PUT, &unknown).header(&name, tags);
        let put = put.json(&body).send().await;
        refused_for(tags, &put, StatusCode::NOT_FOUND);
        let get = app.call(Method::GET, &unknown).header(&name, tags);
        refused_for(tags, &get.send().await, StatusCode::NOT_FOUND);
    }
}

/// The version that was compared is the one that is changed.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_puts_to_another_version_exactly_one_succeeds(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    const WRITERS: usize = 50;
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let puts = (0..WRITERS).map(|number| {
        let body = record.body(json!({ "notes": format!("writer {number}") }));
        // All versions that the others make are among them.
        let tags: Vec<_> = (2..60).map(|version| format!("\"{version}\"")).collect();
        let call = app.call(Method::PUT, &path);
        let call = call.header(IF_NONE_MATCH, &tags.join(", "));
        call.json(&body).send()
    });
    let answers = join_all(puts).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(won.len(), 1);
    assert_eq!(lost.len(), WRITERS - 1);
    for answer in lost {
        let problem = refused(answer, StatusCode::PRECONDITION_FAILED);
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("that If-Match names"), "{detail}");
    }
    assert_eq!(read(&app, &path).await, won[0].json());
}

#[rstest]
#[tokio::test]
async fn a_stale_put_is_told_what_differs(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &client);
    let location = url(Record::Location, &client["primary_location"]);
    let stale = async |path: &str, body: Value| {
        let answer = put_if_match(&app, path, "\"1\"", &body).await;
        refused(&answer, StatusCode::PRECONDITION_FAILED)
    };
    let theirs = json!({ "client": {
        "notes": "theirs", "has_invoice_reminders": false,
        "primary_location": { "address_1": "9 Oak Street" },
    } });
    assert_eq!(app.put(&path, theirs).await.status, StatusCode::OK);

    // GET, edit, PUT: all that is sent, what it would undo, and what it would do.
    let mut mine = client.clone();
    mine["account_code"] = json!("mine");
    let problem = stale(&path, json!({ "client": mine })).await;
    assert_eq!(problem["current_version"], 2);
    let differs = [
        "account_code",
        "notes",
        "has_invoice_reminders",
        "primary_location.address_1",
    ];
    assert_eq!(problem["differs"], json!(differs));

    let mine = json!({ "client_location": { "address_1": "mine", "city": "Boston" } });
    let problem = stale(&location, mine).await;
    assert_eq!(problem["current_version"], 2);
    assert_eq!(problem["differs"], json!(["address_1"]));

    let same = json!({ "client": { "notes": "theirs" } });
    assert_eq!(stale(&path, same).await["differs"], json!([]));
    // Before the body's own faults.
    let wrong = json!({ "client": { "colour": "red", "name": "New", "website": 7 } });
    assert_eq!(stale(&path, wrong).await["differs"], json!(["name"]));
}

#[rstest]
#[tokio::test]
async fn a_put_that_changes_nothing_is_refused_like_any_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let nothing = record.body(json!({}));
    let answer = put_if_match(&app, &path, "\"2\"", &nothing).await;
    refused(&answer, StatusCode::PRECONDITION_FAILED);
    let answer = put_if_match(&app, &path, "\"1\"", &nothing).await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
}

#[rstest]
#[tokio::test]
async fn the_tag_of_a_client_moves_with_its_primary_location(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &client);
    let location = url(Record::Location, &client["primary_location"]);
    let edit = json!({ "client_location": { "city": "Salem" } });
    assert_eq!(app.put(&location, edit).await.status, StatusCode::OK);

    let answer = get_if_none_match(&app, &path, "\"1\"").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("etag"), Some("\"2\""));
    assert_eq!(answer.json()["primary_location"]["city"], "Salem");
    let edit = json!({ "client": { "notes": "mine" } });
    let stale = put_if_match(&app, &path, "\"1\"", &edit).await;
    refused(&stale, StatusCode::PRECONDITION_FAILED);

    // And the location's with an edit through the client.
    let edit = json!({ "client": { "primary_location": { "city": "Lynn" } } });
    assert_eq!(app.put(&path, edit).await.header("etag"), Some("\"3\""));
    assert_eq!(app.get(&location).await.header("etag"), Some("\"3\""));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_puts_to_one_version_exactly_one_succeeds(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    const WRITERS: usize = 50;
    let app = TestApp::start(engine).await;
    let path = record.create(&app).await;
    let bodies: Vec<_> = (0..WRITERS)
        .map(|number| record.body(json!({ "notes": format!("writer {number}") })))
        .collect();
    let puts = bodies
        .iter()
        .map(|body| put_if_match(&app, &path, "\"1\"", body));
    let answers = join_all(puts).await;

    let (won, lost): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(won.len(), 1);
    assert_eq!(lost.len(), WRITERS - 1);
    for answer in lost {
        let problem = refused(answer, StatusCode::PRECONDITION_FAILED);
        assert_eq!(problem["current_version"], 2);
        assert_eq!(problem["differs"], json!(["notes"]));
    }
    let after = read(&app, &path).await;
    assert_eq!(after, won[0].json());
    assert_eq!(after["version"], 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_puts_of_different_fields_do_not_undo_each_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 100;
    let app = TestApp::start(engine).await;
    let client = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &client);
    // Every value is another, so every PUT is a change.
    let fields: Vec<_> = (0..WRITERS)
        .map(|number| match number % 2 {
            0 => ("notes", format!("note {number}")),
            _ => ("website", format!("https://example.com/{number}")),
        })
        .collect();
    let puts = fields.iter().map(|(name, value)| {
        let body = json!({ "client": { *name: value } });
        app.put(&path, body)
    });
    let answers = join_all(puts).await;

    let mut versions = Vec::new();
    for ((name, value), answer) in fields.iter().zip(&answers) {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let answered = answer.json();
        assert_eq!(answered[*name], *value);
        versions.push(answered["version"].as_u64().unwrap());
    }
    // Each one has a version of its own, one after the other.
    versions.sort_unstable();
    let expected: Vec<_> = (2..=1 + WRITERS as u64).collect();
    assert_eq!(versions, expected);

    let after = read(&app, &path).await;
    assert_eq!(after["version"], 101);
    let sent = |name: &str| {
        fields
            .iter()
            .any(|(field, value)| *field == name && after[name] == **value)
    };
    assert!(sent("notes") && sent("website"), "{after:#}");
    // The rest is as it was.
    let mut expected = client;
    for name in ["notes", "website", "version", "updated_at"] {
        expected[name] = after[name].clone();
    }
    assert_eq!(after, expected);
}

#[rstest]
#[tokio::test]
async fn a_new_record_cannot_be_stale(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let body = json!({ "client": client_fields() });
    let call = app.call(Method::POST, CLIENTS).header(IF_NONE_MATCH, "*");
    let answer = call.json(&body).send().await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("etag"), Some("\"1\""));
}
