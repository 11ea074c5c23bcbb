//! What several requests create or update at the same time is written together.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::Duration,
};

use axum::http::Method;
use clientele::{
    clock::Clock,
    storage::{
        database::Database,
        statements::value_sets::{self, NUMBER, SETS},
    },
};
use futures_util::future::{join_all, select_all};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::codes;
use crate::support::{Engine, TestApp};

const UPDATE: &str = "mutation($id: ID!, $input: UpdateClientInput!, $version: Int) {
    updateClient(id: $id, input: $input, expectedVersion: $version) {
        client { id version updatedAt notes accountCode hasInvoiceReminders caseManager } } }";
const HISTORY: &str = "query($id: ID!) { client(id: $id) { version history(first: 500) {
    nodes { kind by at fields { field old new } } } } }";

const CREATE: &str = "mutation($input: CreateClientInput!) {
    createClient(input: $input) {
        client { id name notes accountCode createdAt version
            primaryLocation { id clientId name createdAt } } } }";

/// Fails for changes with a certain word.
const REFUSE_POISON: &str = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF NEW.new LIKE '%poison%' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER fail AFTER INSERT ON change FOR EACH ROW EXECUTE FUNCTION fail()";
/// Breaks the connection of who writes changes with that word.
const BREAK_AT_POISON: &str = "CREATE SEQUENCE attempts;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.new LIKE '%poison%' THEN
            PERFORM nextval('attempts');
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(60);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail AFTER INSERT ON change FOR EACH ROW EXECUTE FUNCTION fail()";

/// Texts that must not be taken for parts of a statement.
const NOTES: [&str; 4] = ["$1 \"$2\"", "it's\n\\u0041\t\u{1F600}", "[{\"1\": 2}]", "x"];

async fn create_clients(app: &TestApp, count: usize) -> Vec<Value> {
    let mut clients = Vec::new();
    for number in 1..=count {
        let input = json!({ "name": format!("Client {number}") });
        clients.push(app.create_client(input).await["id"].take());
    }
    clients
}

async fn update(app: &TestApp, token: &str, variables: Value) -> Value {
    let call = app.call(Method::POST, "/graphql").bearer(token);
    let request = json!({ "query": UPDATE, "variables": variables });
    call.json(&request).send().await.json()
}

/// Notes for each client, with a word for some.
fn notes_for(clients: &[Value], word: &str) -> Vec<Value> {
    let input = |id: &Value| {
        let notes = format!("{word} for {id}");
        json!({ "id": id, "input": { "notes": notes } })
    };
    clients.iter().map(input).collect()
}

async fn version(app: &TestApp, id: &Value) -> i64 {
    app.client(id).await["version"].as_i64().unwrap()
}

async fn run(app: &TestApp, sql: &str) {
    let transaction = app.database.begin().await.unwrap();
    transaction.execute_unprepared(sql).await.unwrap();
    transaction.commit().await.unwrap();
}

/// How often the connection was broken. A sequence counts what is rolled back, too.
async fn attempts(app: &TestApp) -> i64 {
    let sql = "SELECT last_value FROM attempts";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = app.database.reader.query_one_raw(statement).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Each answer is the one to its own request, and so is what the log says.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_at_the_same_time_are_those_of_each_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let clients = create_clients(&app, 20).await;
    let users = ["ann", "ben"];
    let tokens = join_all(users.map(|user| app.token_of(user))).await;
    let mut expected = HashMap::<&str, Vec<Value>>::new();
    for round in 0..8 {
        let asked: Vec<_> = (0..64)
            .map(|number| {
                // Some clients twice, and some that are not there.
                let id = clients.get((number * 7) % 22);
                let id = id.map_or("999999", |id| id.as_str().unwrap());
                let mut input = match number % 4 {
                    0 => json!({ "hasInvoiceReminders": round % 2 == 0, "caseManager": round }),
                    _ => json!({ "notes": format!("{round} {number} {}", NOTES[number % 4]) }),
                };
                if number % 8 == 5 {
                    input = json!({ "accountCode": null, "notes": input["notes"] });
                }
                let version = if number % 16 == 3 {
                    json!(99)
                } else {
                    Value::Null
                };
                (
                    users[number % 2],
                    json!({ "id": id, "input": input, "version": version }),
                )
            })
            .collect();
        let answers = asked.iter().map(|(user, variables)| {
            let token = &tokens[usize::from(*user == users[1])];
            update(&app, token, variables.clone())
        });
        let answers = join_all(answers).await;
        for ((user, variables), answer) in asked.iter().zip(&answers) {
            if variables["id"] == "999999" {
                assert_eq!(codes(answer), ["NOT_FOUND"]);
                continue;
            }
            if variables["version"] == 99 {
                assert_eq!(codes(answer), ["CONFLICT"]);
                continue;
            }
            let client = &answer["data"]["updateClient"]["client"];
            assert_eq!(client["id"], variables["id"], "{answer}");
            for (field, value) in variables["input"].as_object().unwrap() {
                let value = match field.as_str() {
                    "caseManager" => json!(value.to_string()),
                    _ => value.clone(),
                };
                assert_eq!(client[field], value, "{answer}");
            }
            let id = clients.iter().find(|id| **id == variables["id"]);
            let updates = expected.entry(id.unwrap().as_str().unwrap()).or_default();
            if let Some(notes) = variables["input"].get("notes") {
                updates.push(json!({ "by": user, "at": client["updatedAt"], "notes": notes }));
            }
        }
    }
    for id in &clients {
        let data = app.data(HISTORY, json!({ "id": id })).await;
        let history = data["client"]["history"]["nodes"].as_array().unwrap();
        let changes = history
            .iter()
            .filter(|change| change["kind"] == "CLIENT_UPDATED");
        assert_eq!(data["client"]["version"], 1 + changes.clone().count());
        let mut last = Value::Null;
        let mut found = Vec::new();
        for change in changes {
            let fields = change["fields"].as_array().unwrap();
            assert!(!fields.is_empty());
            for field in fields.iter().filter(|field| field["field"] == "notes") {
                assert_eq!(field["old"], last);
                last = field["new"].clone();
                found.push(json!({ "by": change["by"], "at": change["at"], "notes": last }));
            }
        }
        let mut expected = expected.remove(id.as_str().unwrap()).unwrap_or_default();
        for updates in [&mut found, &mut expected] {
            updates.sort_by_key(|update| update["at"].to_string());
        }
        assert_eq!(found, expected);
    }
}

/// When that happens depends on the machine; sooner or later it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_that_come_while_others_are_written_are_written_together() {
    let app = TestApp::start(Engine::Postgres).await;
    let clients = create_clients(&app, 30).await;
    for round in 1.. {
        app.take_statements();
        let asked = notes_for(&clients, &format!("Round {round}"));
        let answers = asked.iter().map(|asked| app.data(UPDATE, asked.clone()));
        for (answer, asked) in join_all(answers).await.iter().zip(&asked) {
            let client = &answer["updateClient"]["client"];
            assert_eq!(client["notes"], asked["input"]["notes"]);
            assert_eq!(client["version"], 1 + round);
        }
        let statements = app.take_statements();
        let writes = statements.iter().filter(|sql| sql.contains("UPDATE"));
        if writes.count() < clients.len() {
            break;
        }
    }
}

/// What the database refuses of one is refused to that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_is_refused_takes_none_along() {
    let app = TestApp::start(Engine::Postgres).await;
    let clients = create_clients(&app, 30).await;
    run(&app, REFUSE_POISON).await;
    for round in 0..5 {
        let mut asked = notes_for(&clients, &format!("Round {round}"));
        asked[round]["input"]["notes"] = json!("poison");
        let answers = asked.iter().map(|asked| app.graphql(UPDATE, asked.clone()));
        for (number, answer) in join_all(answers).await.iter().enumerate() {
            let expected = if number == round {
                vec!["INTERNAL"]
            } else {
                vec![]
            };
            assert_eq!(codes(answer), expected, "{answer}");
        }
    }
    for (number, id) in clients.iter().enumerate() {
        let updates = if number < 5 { 4 } else { 5 };
        assert_eq!(version(&app, id).await, 1 + updates);
    }
}

/// Nobody knows what came of a statement whose connection broke, so it is sent again for
/// none of those that it was for, and each is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_is_not_confirmed_is_not_written_again() {
    let app = TestApp::start(Engine::Postgres).await;
    let clients = create_clients(&app, 30).await;
    run(&app, BREAK_AT_POISON).await;
    let mut versions = vec![1; clients.len()];
    for round in 1.. {
        let mut asked = notes_for(&clients, &format!("{versions:?}"));
        asked[29]["input"]["notes"] = json!("poison");
        let answers = asked.iter().map(|asked| app.graphql(UPDATE, asked.clone()));
        let mut unconfirmed = 0;
        for ((answer, version), number) in
            join_all(answers).await.iter().zip(&mut versions).zip(0..)
        {
            if codes(answer).is_empty() {
                assert!(number != 29);
                *version += 1;
                continue;
            }
            assert_eq!(codes(answer), ["UNAVAILABLE"], "{answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("did not confirm"), "{message}");
            unconfirmed += 1;
        }
        for (id, expected) in clients.iter().zip(&versions) {
            assert_eq!(version(&app, id).await, *expected);
        }
        assert_eq!(attempts(&app).await, round);
        // Two may be the one that leads, and the one that breaks the connection.
        if unconfirmed > 2 {
            break;
        }
    }
}

/// New clients with this word, each with a name of its own.
fn new_clients(word: &str, count: usize) -> Vec<Value> {
    let input = |number| {
        let primary = json!({ "name": format!("{word} {number}"), "state": "CO", "country": "US" });
        json!({ "input": { "name": format!("{word} {number}"), "primaryLocation": primary } })
    };
    (0..count).map(input).collect()
}

/// Each answer is the one to its own request, and so is what is kept and what the log says.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_at_the_same_time_are_those_of_each_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const LOG: &str = "query($id: ID!) { client(id: $id) { history { nodes {
        kind by at location { id } fields { field new } } } } }";
    let app = TestApp::start(engine).await;
    let users = ["ann", "ben"];
    let tokens = join_all(users.map(|user| app.token_of(user))).await;
    let mut ids = HashSet::new();
    for round in 0..4 {
        let mut asked = new_clients(&format!("Round {round}"), 40);
        for (number, variables) in asked.iter_mut().enumerate() {
            let input = &mut variables["input"];
            input["notes"] = json!(NOTES[number % 4]);
            // One in five is refused before it is written.
            match number % 5 {
                0 => input["accountCode"] = json!(format!("C-{round}-{number}")),
                1 => input["primaryLocation"]["country"] = json!("Nowhere"),
                _ => {}
            }
        }
        let answers = asked.iter().enumerate().map(|(number, variables)| {
            let call = app.call(Method::POST, "/graphql");
            let call = call.bearer(&tokens[number % 2]);
            let request = json!({ "query": CREATE, "variables": variables });
            async move { call.json(&request).send().await.json() }
        });
        let answers = join_all(answers).await;
        for (number, (variables, answer)) in asked.iter().zip(&answers).enumerate() {
            if number % 5 == 1 {
                assert_eq!(codes(answer), ["VALIDATION_FAILED"]);
                continue;
            }
            let input = &variables["input"];
            let client = &answer["data"]["createClient"]["client"];
            let primary = &client["primaryLocation"];
            for field in ["name", "notes", "accountCode"] {
                assert_eq!(client[field], input[field], "{answer}");
            }
            assert_eq!(client["version"], 1);
            assert_eq!(primary["name"], input["name"]);
            assert_eq!(primary["clientId"], client["id"]);
            assert_eq!(primary["createdAt"], client["createdAt"]);
            assert!(ids.insert(client["id"].to_string()));

            let stored = app.client(&client["id"]).await;
            for field in ["name", "notes", "accountCode", "createdAt"] {
                assert_eq!(stored[field], client[field]);
            }
            assert_eq!(stored["primaryLocation"]["id"], primary["id"]);

            let data = app.data(LOG, json!({ "id": client["id"] })).await;
            let log = data["client"]["history"]["nodes"].as_array().unwrap();
            let kinds: Vec<_> = log.iter().map(|change| &change["kind"]).collect();
            assert_eq!(kinds, ["CLIENT_CREATED", "LOCATION_CREATED"]);
            for (change, location) in log.iter().zip([&Value::Null, &primary["id"]]) {
                assert_eq!(change["by"], users[number % 2]);
                assert_eq!(change["at"], client["createdAt"]);
                assert_eq!(&change["location"]["id"], location);
                let fields = change["fields"].as_array().unwrap();
                let name = fields.iter().find(|field| field["field"] == "name");
                assert_eq!(name.unwrap()["new"], input["name"]);
            }
        }
    }
    let count = i64::try_from(ids.len()).unwrap();
    assert_eq!(app.counts().await, [count, count]);
}

/// When that happens depends on the machine; sooner or later it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_that_come_while_others_are_written_are_written_together() {
    let app = TestApp::start(Engine::Postgres).await;
    loop {
        app.take_statements();
        let asked = new_clients("New", 30);
        let answers = asked.iter().map(|asked| app.data(CREATE, asked.clone()));
        join_all(answers).await;
        let statements = app.take_statements();
        let writes = statements.iter().filter(|sql| sql.contains("INSERT"));
        if writes.count() < asked.len() {
            break;
        }
    }
}

/// What the database refuses of one is refused to that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_is_refused_takes_none_along() {
    let app = TestApp::start(Engine::Postgres).await;
    run(&app, REFUSE_POISON).await;
    for round in 1..=5 {
        let mut asked = new_clients("New", 30);
        asked[7]["input"]["notes"] = json!("poison");
        let answers = asked.iter().map(|asked| app.graphql(CREATE, asked.clone()));
        for (number, answer) in join_all(answers).await.iter().enumerate() {
            let expected = if number == 7 {
                vec!["INTERNAL"]
            } else {
                vec![]
            };
            assert_eq!(codes(answer), expected, "{answer}");
        }
        assert_eq!(app.counts().await, [29 * round; 2]);
    }
}

/// Nobody knows what came of a statement whose connection broke: nothing of it is created
/// a second time, and each is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_is_not_confirmed_is_not_written_again() {
    let app = TestApp::start(Engine::Postgres).await;
    run(&app, BREAK_AT_POISON).await;
    let mut created = 0;
    for round in 1.. {
        let mut asked = new_clients("New", 30);
        asked[29]["input"]["notes"] = json!("poison");
        let answers = asked.iter().map(|asked| app.graphql(CREATE, asked.clone()));
        let mut unconfirmed = 0;
        for (number, answer) in join_all(answers).await.iter().enumerate() {
            if codes(answer).is_empty() {
                assert!(number != 29);
                created += 1;
                continue;
            }
            assert_eq!(codes(answer), ["UNAVAILABLE"], "{answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("did not confirm"), "{message}");
            unconfirmed += 1;
        }
        assert_eq!(app.counts().await, [created; 2]);
        assert_eq!(attempts(&app).await, round);
        // Two may be the one that leads, and the one that breaks the connection.
        if unconfirmed > 2 {
            break;
        }
    }
}

/// Nobody knows what came of a statement whose leader went away, so none of those who
/// followed writes again: each is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_whose_leader_goes_away_are_not_written_again() {
    const GATE: i64 = 7;
    const ATTEMPTS: usize = 60;
    let app = TestApp::start(Engine::Postgres).await;
    run(&app, "CREATE TABLE probe (n bigint)").await;
    // As many as one kind of work has under way at a time, each with a connection.
    let busy = thread::available_parallelism().map_or(2, |found| found.get().max(2));
    let connections = u32::try_from(busy).unwrap() + 10;
    let database = Database::connect(&app.database_url, connections, Clock::system());
    let database = database.await.unwrap();
    let set = |gate: i64, n: usize| -> Vec<sea_orm::Value> {
        vec![gate.into(), i64::try_from(n).unwrap().into()]
    };
    let table = value_sets::table(set(0, 0).iter()).unwrap();
    // Whoever has the gate 0 writes soon, and the others wait at theirs.
    let sql = format!(
        "WITH waited AS MATERIALIZED ( \
             SELECT {SETS}.\"2\" AS n, {SETS}.{NUMBER}, \
             CASE WHEN {SETS}.\"1\" = 0 THEN pg_sleep(0.002) \
             ELSE pg_advisory_xact_lock_shared({SETS}.\"1\") END FROM {table} \
         ), written AS (INSERT INTO probe SELECT n FROM waited) \
         SELECT n, {NUMBER} FROM waited"
    );
    let write = |set: Vec<sea_orm::Value>| {
        let (database, sql) = (database.clone(), sql.clone());
        tokio::spawn(async move { database.writer().write_batched(sql, set).await })
    };
    let mut numbers = 1..;
    let mut number = || numbers.next().unwrap();
    for _ in 0..ATTEMPTS {
        let gate = database.begin().await.unwrap();
        let closed = format!("SELECT pg_advisory_xact_lock({GATE})");
        gate.execute_unprepared(&closed).await.unwrap();
        let soon: Vec<_> = (0..busy).map(|_| write(set(0, number()))).collect();
        let waiting = [(); 4].map(|()| write(set(GATE, number())));
        join_all(soon).await;
        // Who came first leads, if it waits with others.
        let [first, others @ ..] = waiting;
        first.abort();
        let lost = timeout(Duration::from_secs(1), select_all(others)).await;
        gate.rollback().await.unwrap();
        // On a slow machine a request that leads itself may have waited too long for the gate.
        let is_lost = |error: &DbErr| format!("{error:?}").contains("Unconfirmed");
        if let Ok((Ok(Err(error)), _, others)) = lost
            && is_lost(&error)
        {
            join_all(others).await;
            let twice = "SELECT n FROM probe GROUP BY n HAVING COUNT(*) > 1";
            let twice = Statement::from_string(DbBackend::Postgres, twice);
            let twice = database.reader.query_all_raw(twice).await.unwrap();
            assert!(twice.is_empty());
            return;
        }
    }
    panic!("nobody was told that the leader went away, in {ATTEMPTS} attempts");
}
