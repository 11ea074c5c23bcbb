//! Single records that several requests ask for at the same time.

use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

const CLIENT: &str = "query($id: ID!) { client(id: $id) { id name primaryLocation { id name } } }";

async fn create_clients(app: &TestApp, count: usize) -> Vec<Value> {
    let mut clients = Vec::new();
    for number in 1..=count {
        let input = json!({ "name": format!("Client {number}") });
        clients.push(app.create_client(input).await);
    }
    clients
}

async fn client(app: &TestApp, id: impl Into<Value>) -> Value {
    let mut data = app.data(CLIENT, json!({ "id": id.into() })).await;
    data["client"].take()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_gets_its_own_record(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let clients = create_clients(&app, 10).await;
    for _ in 0..10 {
        // Some twice, and some that are not there.
        let asked = (0..60).map(|number| (number * 7) % 12);
        let answers = join_all(asked.clone().map(|index| client(&app, index + 1))).await;
        for (index, answer) in asked.zip(answers) {
            match clients.get(index) {
                Some(client) => {
                    assert_eq!(answer["id"], client["id"]);
                    assert_eq!(answer["name"], client["name"]);
                    let primary = &client["primaryLocation"]["id"];
                    assert_eq!(&answer["primaryLocation"]["id"], primary);
                }
                None => assert_eq!(answer, Value::Null),
            }
        }
    }
}

/// The statements under way wait for a lock; who comes meanwhile is read together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_others_are_read_is_read_together() {
    const REQUESTS: usize = 24;
    let app = TestApp::start(Engine::Postgres).await;
    let clients = create_clients(&app, REQUESTS).await;
    // The document is known from here on.
    client(&app, 1).await;
    let lock = app.database.begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE client IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    app.take_statements();
    let asked = join_all(
        clients
            .iter()
            .map(|record| client(&app, record["id"].clone())),
    );
    let unlocked = async {
        // Two are under way, and all others have been let in.
        let waiting = "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        loop {
            let row = lock.query_one_raw(waiting.clone()).await.unwrap().unwrap();
            let waiting: i64 = row.try_get("", "waiting").unwrap();
            if waiting >= 2 {
                break;
            }
        }
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(asked, unlocked);
    for (answer, client) in answers.iter().zip(&clients) {
        assert_eq!(answer["id"], client["id"]);
    }
    let statements = app.take_statements();
    let reads = statements
        .iter()
        .filter(|sql| sql.contains("\"primary_of\""));
    let reads = reads.count();
    assert!((1..REQUESTS / 2).contains(&reads), "{reads} statements");
}

/// A request never gets what was read before it came.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_is_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const UPDATE: &str = "mutation($id: ID!, $name: String!) {
        updateClient(id: $id, input: { name: $name }) { client { name } } }";
    let app = TestApp::start(engine).await;
    let clients = create_clients(&app, 2).await;
    let write_and_read = async |writer: usize| {
        for round in 0..10 {
            // Two clients have many readers each, of whom one is also a writer.
            let id = &clients[writer % 2]["id"];
            let name = format!("{writer}, round {round}");
            if writer < 2 {
                app.data(UPDATE, json!({ "id": id, "name": name })).await;
            }
            let read = client(&app, id.clone()).await;
            if writer < 2 {
                assert_eq!(read["name"], name);
            }
        }
    };
    join_all((0..16).map(write_and_read)).await;
}

/// A plan is kept with its document, but for what depends on variables.
#[rstest]
#[tokio::test]
async fn the_same_document_selects_what_its_variables_say(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let clients = create_clients(&app, 2).await;
    let id = &clients[0]["id"];
    app.create_location(json!({ "clientId": id, "name": "Second" }))
        .await;

    let included = "query($id: ID!, $with: Boolean!) {
        client(id: $id) { name id @include(if: $with) ...more }
        }
        fragment more on Client { version @skip(if: $with) }";
    for _ in 0..2 {
        for (with, other, without) in [(true, "id", "version"), (false, "version", "id")] {
            let data = app.data(included, json!({ "id": id, "with": with })).await;
            assert_eq!(data["client"]["name"], "Client 1");
            assert!(data["client"].get(other).is_some(), "{data}");
            assert!(data["client"].get(without).is_none(), "{data}");
        }
    }

    let paged = "query($id: ID!, $first: Int) {
        client(id: $id) { locations(first: $first) { nodes { name } } } }";
    for first in [1, 2, 1] {
        let data = app.data(paged, json!({ "id": id, "first": first })).await;
        let nodes = data["client"]["locations"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), first);
    }

    let several = "{ a: client(id: 1) { name } b: client(id: 2) { id } c: client(id: 1) { id } }";
    for _ in 0..2 {
        let data = app.data(several, json!({})).await;
        let expected =
            json!({ "a": { "name": "Client 1" }, "b": { "id": "2" }, "c": { "id": "1" } });
        assert_eq!(data, expected);
    }

    // Lines that end with a carriage return alone are not counted by the parser.
    let crowded = "{\ra: client(id: 1) { name }\rb: clientLocation(id: 3) { id name }\r}";
    let other = "query one {\rclient(id: 1) { name }\r} query two {\rclient(id: 1) { id }\r}";
    for _ in 0..2 {
        let data = app.data(crowded, json!({})).await;
        let second = json!({ "id": "3", "name": "Second" });
        assert_eq!(data, json!({ "a": { "name": "Client 1" }, "b": second }));
        for (name, expected) in [
            ("one", json!({ "name": "Client 1" })),
            ("two", json!({ "id": "1" })),
        ] {
            let request = json!({ "query": other, "operationName": name });
            let answer = app.post("/graphql", request).await;
            assert_eq!(answer.json()["data"]["client"], expected);
        }
    }
}
