//! The log of changes under everything that might tear it: it is whole, it is never
//! touched again, and one can resume from any of its numbers.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use clientele::storage::transaction::Transaction;
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::watch};

use crate::support::{Engine, TestApp};

const UPDATE_CLIENT: &str = "mutation ($id: ID!, $input: UpdateClientInput!) {
    updateClient(id: $id, input: $input) { client { id } } }";
const CREATE_LOCATION: &str = "mutation ($input: CreateClientLocationInput!) {
    createClientLocation(input: $input) { clientLocation { id } } }";
const UPDATE_LOCATION: &str = "mutation ($id: ID!, $input: UpdateClientLocationInput!) {
    updateClientLocation(id: $id, input: $input) { clientLocation { id } } }";
const COUNTS: &str = "{ clients { totalCount nodes { version } }
    clientLocations { totalCount nodes { version isPrimary } } changes { nodes { id } } }";

/// Whoever follows the log: keeps a cursor, and goes on from it.
#[derive(Default)]
struct Follower {
    cursor: Value,
    seen: Vec<i64>,
}

impl Follower {
    /// Reads a page, and returns whether there is another.
    async fn read(&mut self, app: &TestApp) -> bool {
        let query = "query ($after: String) { changes(first: 7, after: $after) {
            nodes { id } pageInfo { endCursor hasNextPage } } }";
        let data = app.data(query, json!({ "after": self.cursor })).await;
        let page = &data["changes"];
        let nodes = page["nodes"].as_array().unwrap();
        let id = |node: &Value| node["id"].as_str().unwrap().parse::<i64>().unwrap();
        self.seen.extend(nodes.iter().map(id));
        let info = &page["pageInfo"];
        if !info["endCursor"].is_null() {
            self.cursor = info["endCursor"].clone();
        }
        info["hasNextPage"] == true
    }

    /// Reads all that there is now.
    async fn go_on(&mut self, app: &TestApp) {
        while self.read(app).await {}
    }
}

/// The numbers of all changes, past all code of ours.
async fn all_ids(app: &TestApp) -> Vec<i64> {
    let db = &app.database.reader;
    let statement = sea_orm::Statement::from_string(
        db.get_database_backend(),
        "SELECT id FROM change ORDER BY id",
    );
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", "id").unwrap())
        .collect()
}

/// Makes commits on PostgreSQL take up to a few milliseconds, each another time: they
/// overtake each other then, and writers of one client meet.
pub async fn slow_commits(app: &TestApp) {
    let db = &app.database.reader;
    if db.get_database_backend() == DbBackend::Postgres {
        let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(random() * 0.005); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON change
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()";
        db.execute_unprepared(slow).await.unwrap();
    }
}

/// Adds a change of a client that nobody has, in a transaction that stays open.
async fn begin_change(app: &TestApp) -> Transaction {
    let transaction = app.database.begin().await.unwrap();
    add_change(&transaction).await;
    transaction
}

async fn add_change(db: &impl ConnectionTrait) {
    let insert = "INSERT INTO change (at, user_name, face, kind, client_id, old, new) VALUES \
                  ('2026-01-31T09:15:00.250+00:00', 'x', 'REST', 'CLIENT_UPDATED', 1, '{}', '{}')";
    db.execute_unprepared(insert).await.unwrap();
}

#[tokio::test]
async fn a_reader_waits_for_a_number_that_may_yet_be_committed() {
    let app = TestApp::start(Engine::Postgres).await;
    let mut follower = Follower::default();
    // From the very first number on.
    let first = begin_change(&app).await;
    let client = app.create_client(json!({})).await;
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [0_i64; 0]);
    first.commit().await.unwrap();
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [1, 2, 3]);

    let second = begin_change(&app).await;
    let third = begin_change(&app).await;
    app.create_client(json!({})).await;
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [1, 2, 3]);
    let newest = "{ changes(first: 1, direction: DESC) { totalCount nodes { id } } }";
    let data = app.data(newest, json!({})).await;
    let expected = json!({ "totalCount": 3, "nodes": [{ "id": "3" }] });
    assert_eq!(data["changes"], expected);
    // Writers of one client wait for each other: its history needs no patience.
    let input = json!({ "notes": "New" });
    app.data(UPDATE_CLIENT, json!({ "id": client["id"], "input": input }))
        .await;
    let history = format!(
        "{{ client(id: {}) {{ history(first: 1, direction: DESC) {{ nodes {{ id }} }} }} }}",
        client["id"]
    );
    let data = app.data(&history, json!({})).await;
    assert_eq!(data["client"]["history"]["nodes"], json!([{ "id": "8" }]));

    third.commit().await.unwrap();
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [1, 2, 3]);
    // What is rolled back leaves a gap that nobody waits for.
    second.rollback().await.unwrap();
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [1, 2, 3, 5, 6, 7, 8]);
}

/// Adds a change and takes it back, in a transaction that goes on.
async fn add_half_a_change(transaction: &Transaction) {
    transaction
        .execute_unprepared("SAVEPOINT half")
        .await
        .unwrap();
    add_change(transaction).await;
    let undo = "ROLLBACK TO SAVEPOINT half";
    transaction.execute_unprepared(undo).await.unwrap();
}

#[tokio::test]
async fn half_a_transaction_that_is_undone_holds_nobody_up() {
    let app = TestApp::start(Engine::Postgres).await;
    let mut follower = Follower::default();
    let outer = app.database.begin().await.unwrap();
    add_half_a_change(&outer).await;
    app.create_client(json!({})).await;
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [2, 3]);

    // What came before the undone half is waited for all the same.
    add_change(&outer).await;
    add_half_a_change(&outer).await;
    app.create_client(json!({})).await;
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [2, 3]);
    outer.commit().await.unwrap();
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [2, 3, 4, 6, 7]);
}

#[tokio::test]
async fn writers_of_another_database_hold_nobody_up() {
    let app = TestApp::start(Engine::Postgres).await;
    let other = TestApp::start(Engine::Postgres).await;
    let open = begin_change(&other).await;
    app.create_client(json!({})).await;
    let mut follower = Follower::default();
    follower.go_on(&app).await;
    assert_eq!(follower.seen, [1, 2]);
    open.rollback().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_resumes_misses_nothing_of_many_writers(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 16;
    const WRITES: usize = 25;
    let app = TestApp::start(engine).await;
    slow_commits(&app).await;
    let (done, is_done) = watch::channel(false);
    let write = async |writer: usize| {
        let client = app.create_client(json!({})).await;
        let id = &client["id"];
        for number in 0..WRITES {
            let text = format!("{writer}.{number}");
            match number % 4 {
                0 => {
                    app.create_client(json!({})).await;
                }
                // Two changes of one transaction.
                1 => {
                    let input = json!({ "name": text, "primaryLocation": { "name": text } });
                    app.data(UPDATE_CLIENT, json!({ "id": id, "input": input }))
                        .await;
                }
                2 => {
                    let path = format!("/api/v1/clients/{}", id.as_str().unwrap());
                    let answer = app.put(&path, json!({ "client": { "notes": text } })).await;
                    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                }
                _ => {
                    let input = json!({ "notes": text });
                    app.data(UPDATE_CLIENT, json!({ "id": id, "input": input }))
                        .await;
                }
            }
        }
    };
    let follow = async || {
        let mut follower = Follower::default();
        let mut pages = 0;
        while !*is_done.borrow() {
            follower.read(&app).await;
            pages += 1;
        }
        follower.go_on(&app).await;
        (follower.seen, pages)
    };
    let writing = async {
        join_all((0..WRITERS).map(write)).await;
        done.send(true).unwrap();
    };
    let ((), (seen, pages)) = tokio::join!(writing, follow());
    assert!(pages > 1, "nobody read meanwhile");
    assert!(seen.is_sorted_by(|one, other| one < other), "{seen:?}");
    assert_eq!(seen, all_ids(&app).await);
    let of_write = |number: usize| if number % 4 < 2 { 2 } else { 1 };
    let of_writer = 2 + (0..WRITES).map(of_write).sum::<usize>();
    assert_eq!(seen.len(), WRITERS * of_writer);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_changes_of_one_client_are_a_chain(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 12;
    const WRITES: usize = 8;
    let app = TestApp::start(engine).await;
    slow_commits(&app).await;
    let client = app.create_client(json!({ "notes": "start" })).await;
    let id = &client["id"];
    // As one statement where that can be, and in a transaction.
    let write = async |writer: usize| {
        for number in 0..WRITES {
            let notes = format!("{writer}.{number}");
            if writer == 0 {
                let path = format!("/api/v1/clients/{}", id.as_str().unwrap());
                let answer = app
                    .put(&path, json!({ "client": { "notes": notes } }))
                    .await;
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            } else {
                let input = json!({ "notes": notes });
                app.data(UPDATE_CLIENT, json!({ "id": id, "input": input }))
                    .await;
            }
        }
    };
    join_all((0..WRITERS).map(write)).await;

    let query = "query ($id: ID!) { client(id: $id) { notes version history(first: 500) {
        nodes { kind fields { field old new } } } } }";
    let data = app.data(query, json!({ "id": id })).await;
    let client = &data["client"];
    assert_eq!(client["version"], 1 + WRITERS * WRITES);
    let changes = client["history"]["nodes"].as_array().unwrap();
    let updates = changes
        .iter()
        .filter(|change| change["kind"] == "CLIENT_UPDATED");
    let mut last = json!("start");
    let mut count = 0;
    for change in updates {
        let [field] = &change["fields"].as_array().unwrap()[..] else {
            panic!("one field was changed: {change}");
        };
        assert_eq!(field["old"], last);
        last = field["new"].clone();
        count += 1;
    }
    assert_eq!(count, WRITERS * WRITES);
    assert_eq!(client["notes"], last);
}

#[rstest]
#[tokio::test]
async fn what_is_logged_stays(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let query = "{ changes { nodes { id at by kind fields { field old new } } } }";
    let before = app.data(query, json!({})).await;
    let mut statements = vec![
        "UPDATE change SET user_name = 'nobody'",
        "UPDATE change SET id = id + 100 WHERE id = 1",
        "DELETE FROM change WHERE id = 1",
        "DELETE FROM change",
    ];
    if engine == Engine::Postgres {
        statements.push("TRUNCATE change");
    }
    for statement in statements {
        let transaction = app.database.begin().await.unwrap();
        let refused = transaction.execute_unprepared(statement).await.unwrap_err();
        let reason = match engine {
            Engine::Postgres if statement.contains("SET id") => "can only be updated to DEFAULT",
            _ => "append-only",
        };
        assert!(refused.to_string().contains(reason), "{refused}");
        transaction.rollback().await.unwrap();
    }
    assert_eq!(app.data(query, json!({})).await, before);
    // Numbers are the log's own business.
    if engine == Engine::Postgres {
        let insert = "INSERT INTO change (id, at, user_name, face, kind, client_id, old, new) \
            VALUES (1000, now(), 'x', 'REST', 'CLIENT_UPDATED', 1, '{}', '{}')";
        let transaction = app.database.begin().await.unwrap();
        let refused = transaction.execute_unprepared(insert).await.unwrap_err();
        assert!(refused.to_string().contains("non-DEFAULT"), "{refused}");
        transaction.rollback().await.unwrap();
        assert_eq!(all_ids(&app).await, [1, 2]);
    }
}

#[rstest]
#[tokio::test]
async fn a_write_that_cannot_be_logged_does_not_happen(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let branch = app
        .create_location(json!({ "clientId": client["id"] }))
        .await;
    let before = app.data(COUNTS, json!({})).await;
    let transaction = app.database.begin().await.unwrap();
    let fail = match transaction.get_database_backend() {
        DbBackend::Postgres => {
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'no'; END $$;
             CREATE TRIGGER fail AFTER INSERT ON change FOR EACH ROW EXECUTE FUNCTION fail();"
        }
        _ => "CREATE TRIGGER fail AFTER INSERT ON change BEGIN SELECT RAISE(ABORT, 'no'); END;",
    };
    transaction.execute_unprepared(fail).await.unwrap();
    transaction.commit().await.unwrap();

    let location = json!({ "name": "Main", "state": "CO", "country": "US" });
    let of_client = json!({ "clientId": client["id"], "isPrimary": true,
        "name": "Main", "state": "CO", "country": "US" });
    let create_client = "mutation ($input: CreateClientInput!) {
        createClient(input: $input) { client { id } } }";
    let whole = json!({ "name": "Oak", "primaryLocation": location });
    let with_primary = json!({ "primaryLocation": { "name": "New" } });
    for (mutation, variables) in [
        (create_client, json!({ "input": whole })),
        (
            UPDATE_CLIENT,
            json!({ "id": client["id"], "input": { "name": "New" } }),
        ),
        (
            UPDATE_CLIENT,
            json!({ "id": client["id"], "input": with_primary }),
        ),
        (CREATE_LOCATION, json!({ "input": of_client })),
        (
            UPDATE_LOCATION,
            json!({ "id": branch["id"], "input": { "name": "New" } }),
        ),
        (
            UPDATE_LOCATION,
            json!({ "id": branch["id"], "input": { "isPrimary": true } }),
        ),
    ] {
        let answer = app.graphql(mutation, variables).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(code, "INTERNAL", "{mutation}: {answer:#}");
        assert_eq!(app.data(COUNTS, json!({})).await, before, "{mutation}");
    }
}

#[rstest]
#[tokio::test]
async fn what_changes_nothing_is_not_logged(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({ "notes": "n" })).await;
    let location = &client["primaryLocation"]["id"];
    let id = client["id"].as_str().unwrap();
    assert_eq!(all_ids(&app).await, [1, 2]);
    for input in [
        json!({}),
        json!({ "name": " Acme ", "notes": "n", "website": "" }),
        json!({ "primaryLocation": { "state": "co", "zip": null, "isPrimary": true } }),
    ] {
        app.data(UPDATE_CLIENT, json!({ "id": id, "input": input }))
            .await;
    }
    for input in [json!({}), json!({ "country": "us", "isPrimary": true })] {
        app.data(UPDATE_LOCATION, json!({ "id": location, "input": input }))
            .await;
    }
    let path = format!("/api/v1/clients/{id}");
    let whole = json!({ "client": app.get(&path).await.json() });
    assert_eq!(app.put(&path, whole).await.status, StatusCode::OK);
    // Nor what is refused.
    let stale = app.call(Method::PUT, &path).header("if-match", "\"7\"");
    let stale = stale
        .json(&json!({ "client": { "name": "Late" } }))
        .send()
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let invalid = app.put(&path, json!({ "client": { "name": "" } })).await;
    assert_eq!(invalid.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(all_ids(&app).await, [1, 2]);
    assert_eq!(app.get(&path).await.json()["version"], 1);

    // The client's version follows its primary location; the log has the location.
    let input = json!({ "primaryLocation": { "city": "Salem" } });
    app.data(UPDATE_CLIENT, json!({ "id": id, "input": input }))
        .await;
    app.data(
        UPDATE_LOCATION,
        json!({ "id": location, "input": { "city": "Lynn" } }),
    )
    .await;
    assert_eq!(app.get(&path).await.json()["version"], 3);
    let data = app.data("{ changes { nodes { kind } } }", json!({})).await;
    let kinds = data["changes"]["nodes"].as_array().unwrap()[2..].to_vec();
    assert_eq!(kinds, vec![json!({ "kind": "LOCATION_UPDATED" }); 2]);
}

/// Text of every awkward kind, none, and what is trimmed or folded.
fn edits() -> impl Strategy<Value = Vec<(bool, &'static str, Value, bool)>> {
    let texts = [
        json!("x"),
        json!("Ünïcode \u{1f41f} \"quoted\" \\ \n"),
        json!(""),
        json!(null),
        json!("x"),
    ];
    let of_client = prop_oneof![
        (
            select(&["accountCode", "notes"][..]),
            select(texts.to_vec())
        ),
        (
            Just("name"),
            select(vec![json!(" Oak "), json!("Birch"), json!("oak")])
        ),
        (
            Just("website"),
            select(vec![json!("https://example.com"), json!("")])
        ),
        (
            Just("emailInvoice"),
            select(vec![json!("a@example.com"), json!(null)])
        ),
        (
            select(&["hasInvoiceReminders", "showLocationOnInvoice"][..]),
            any::<bool>().prop_map(Value::from)
        ),
        (
            select(&["salesperson", "caseManager"][..]),
            select(vec![json!("9223372036854775807"), json!("-1"), json!(null)])
        ),
    ];
    let of_location = prop_oneof![
        (
            select(
                &[
                    "address1",
                    "address2",
                    "address3",
                    "city",
                    "phonePrimary",
                    "notes"
                ][..]
            ),
            select(texts.to_vec())
        ),
        (
            Just("zip"),
            select(vec![json!("01234"), json!(80202), json!(null)])
        ),
        (Just("state"), select(vec![json!("co"), json!("UT")])),
        (Just("isPrimary"), Just(json!(true))),
    ];
    let edit = prop_oneof![
        (Just(true), of_client, any::<bool>()),
        (Just(false), of_location, any::<bool>()),
    ];
    let edit = edit.prop_map(|(client, (field, value), branch)| (client, field, value, branch));
    prop::collection::vec(edit, 0..12)
}

/// What the log says that each record has now: its fields, by the id of the location
/// or, for the client, by none.
async fn replayed(app: &TestApp, id: &Value) -> BTreeMap<Option<String>, BTreeMap<String, Value>> {
    let query = "query ($id: ID!) { client(id: $id) { history(first: 500) { nodes {
        location { id } fields { field old new } } } } }";
    let data = app.data(query, json!({ "id": id })).await;
    let mut records: BTreeMap<_, BTreeMap<String, Value>> = BTreeMap::new();
    for change in data["client"]["history"]["nodes"].as_array().unwrap() {
        let location = change["location"]["id"].as_str().map(str::to_owned);
        let record = records.entry(location).or_default();
        for field in change["fields"].as_array().unwrap() {
            let name = field["field"].as_str().unwrap().to_owned();
            let old = record.insert(name, field["new"].clone());
            assert_eq!(old.unwrap_or_default(), field["old"], "{change:#}");
        }
    }
    for record in records.values_mut() {
        record.retain(|_, value| !value.is_null());
    }
    records
}

/// What the records have now, in the same form.
async fn stored(app: &TestApp, id: &Value) -> BTreeMap<Option<String>, BTreeMap<String, Value>> {
    let query = "query ($id: ID!) { client(id: $id) {
        name accountCode website emailInvoice notes hasInvoiceReminders showLocationOnInvoice
        salesperson caseManager
        locations { nodes {
          id isPrimary name emailInvoice address1 address2 address3 city state zip country
          phonePrimary phoneSecondary phoneFax notes } } } }";
    let mut client = app.data(query, json!({ "id": id })).await["client"].take();
    let locations = client["locations"].take()["nodes"].take();
    let fields = |record: &Value| {
        let members = record.as_object().unwrap().iter();
        let members = members.filter(|(name, value)| *name != "id" && !value.is_null());
        let text = |value: &Value| match value {
            Value::Bool(flag) => json!(flag.to_string()),
            other => other.clone(),
        };
        members
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    };
    let mut records = BTreeMap::from([(None, fields(&client))]);
    for location in locations.as_array().unwrap() {
        let id = location["id"].as_str().unwrap().to_owned();
        records.insert(Some(id), fields(location));
    }
    records
}

#[rstest]
fn a_history_replays_to_the_records_as_they_are(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::start(engine));
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&edits(), |edits| {
        runtime.block_on(async {
            let client = app.create_client(json!({ "salesperson": "7" })).await;
            let id = &client["id"];
            let branch = app.create_location(json!({ "clientId": id })).await;
            for (of_client, field, value, other) in edits {
                let edit = json!({ field: value });
                // Of the client alone or by way of it; of its branch or by way of it.
                let (mutation, id, input) = match (of_client, other) {
                    (true, _) => (UPDATE_CLIENT, id, edit),
                    (false, true) => (UPDATE_LOCATION, &branch["id"], edit),
                    (false, false) => (UPDATE_CLIENT, id, json!({ "primaryLocation": edit })),
                };
                app.data(mutation, json!({ "id": id, "input": input }))
                    .await;
            }
            let (replayed, stored) = (replayed(&app, id).await, stored(&app, id).await);
            if replayed == stored {
                Ok(())
            } else {
                Err(TestCaseError::fail(format!("{replayed:#?}\n{stored:#?}")))
            }
        })
    });
    runtime.block_on(async { drop(app) });
    result.unwrap();
}
