//! What several requests ask for at the same time is read together.

use std::thread;

use futures_util::future::join_all;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Engine, TestApp};

const LIST: &str = "query($filter: ClientFilter, $first: Int) {
    clients(filter: $filter, first: $first, orderBy: { field: NAME, direction: DESC }) {
        totalCount pageInfo { hasNextPage endCursor } nodes { id name accountCode updatedAt } } }";
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

/// Whether requests meet depends on the machine, but they do so again and again. Each round has
/// fewer statements than requests only if one of several requests has succeeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_the_same_time_share_statements() {
    const LOCATIONS: &str = "query ($id: ID!) {
        clientLocations(filter: { clientId: $id }) { nodes { name } } }";
    let app = TestApp::start(Engine::Postgres).await;
    create_clients(&app, 3).await;
    // Many times as many as may be under way at a time.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let requests = 4 * processors.max(15);
    for query in [CLIENT, LOCATIONS] {
        let mut shared = 0;
        for _ in 0..1_000 {
            app.take_statements();
            join_all((0..requests).map(|id| app.data(query, json!({ "id": id })))).await;
            let statements = app.take_statements();
            let reads = statements.iter().filter(|sql| sql.contains("client"));
            shared += i32::from(reads.count() < requests);
            if shared == 10 {
                break;
            }
        }
        assert_eq!(shared, 10, "{query}");
    }
}

/// What is written into statements by itself must not be taken for a parameter.
const NAMES: [&str; 6] = [
    "Plain",
    "$1 and \"$2\"",
    "It's 'quoted' \\ \u{1F600}",
    "{\"asked_number\": 1}",
    "Straße",
    "  Plain ",
];

/// Each list is the one that it would be if nobody else asked.
#[rstest]
fn lists_at_the_same_time_are_those_of_each_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    // PostgreSQL cannot read the last one as text, so what is asked together with it fails.
    const INSTANTS: [Option<&str>; 4] = [
        None,
        Some("2000-01-01T00:00:00Z"),
        Some("2100-01-01T00:00:00.5+02:00"),
        Some("0000-01-01T00:00:00Z"),
    ];
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(async {
        let app = TestApp::start(engine).await;
        for number in 0..24 {
            let name = NAMES[number % NAMES.len()];
            let input = json!({ "name": name, "accountCode": format!("C{number}") });
            app.create_client(input).await;
        }
        app
    });
    let variables = |(name, from, first, with_code): (usize, usize, i32, bool)| {
        let mut filter = json!({ "name": NAMES[name] });
        if let Some(from) = INSTANTS[from] {
            filter["updatedFrom"] = from.into();
        }
        if with_code {
            filter["accountCode"] = format!("c{}", name + NAMES.len()).into();
        }
        json!({ "filter": filter, "first": first })
    };
    let request = (0..NAMES.len(), 0..INSTANTS.len(), 0..7_i32, any::<bool>());
    let requests = vec(request.prop_map(variables), 40);
    let mut runner = TestRunner::new(Config::with_cases(16));
    let run = runner.run(&requests, |requests| {
        runtime.block_on(async {
            let mut expected = Vec::new();
            for variables in &requests {
                expected.push(app.data(LIST, variables.clone()).await);
            }
            let answers = requests
                .iter()
                .map(|variables| app.data(LIST, variables.clone()));
            prop_assert_eq!(join_all(answers).await, expected);
            Ok(())
        })
    });
    run.unwrap();
}

/// Searches that are asked for at the same time find what each finds alone. That they are
/// asked together depends on the machine; sooner or later they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_at_the_same_time_find_what_each_finds_alone() {
    const SEARCH: &str = "query($search: String!) {
        clients(filter: { search: $search }, first: 5) { nodes { id name } } }";
    const TEXTS: [&str; 10] = [
        "plain",
        "$1 and",
        "\"$2\"",
        "'quoted' \\",
        "\\ \u{1F600}",
        "asked_number\"",
        "traß",
        "{\"as",
        "c1",
        "absent text",
    ];
    let app = TestApp::start(Engine::Postgres).await;
    for number in 0..24 {
        let name = NAMES[number % NAMES.len()];
        let input = json!({ "name": name, "accountCode": format!("C{number}") });
        app.create_client(input).await;
    }
    let search = async |text| app.data(SEARCH, json!({ "search": text })).await;
    let mut expected = Vec::new();
    for text in TEXTS {
        let data = search(text).await;
        let found = data["clients"]["nodes"].as_array().unwrap().len();
        assert_eq!(found == 0, text == "absent text", "{text}");
        expected.push(data);
    }
    let (mut looked_for, mut read_in_order) = (false, false);
    while !(looked_for && read_in_order) {
        app.take_statements();
        let answers = (0..4).flat_map(|_| TEXTS).map(search);
        for (answer, expected) in join_all(answers).await.iter().zip(expected.iter().cycle()) {
            assert_eq!(answer, expected);
        }
        for statement in app.take_statements() {
            if statement.contains("json_to_recordset") {
                looked_for |= statement.contains("ARRAY");
                read_in_order |= !statement.contains("ARRAY");
            }
        }
    }
}

/// What comes while others are under way is read by one statement. When that happens
/// depends on the machine; sooner or later it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_others_are_read_is_read_together() {
    let app = TestApp::start(Engine::Postgres).await;
    let clients = create_clients(&app, 30).await;
    app.take_statements();
    loop {
        let asked = clients
            .iter()
            .map(|record| client(&app, record["id"].clone()));
        let answers = join_all(asked).await;
        for (answer, client) in answers.iter().zip(&clients) {
            assert_eq!(answer["id"], client["id"]);
        }
        let statements = app.take_statements();
        let mut reads = statements
            .iter()
            .filter(|sql| sql.contains("\"primary_of\""));
        if reads.any(|sql| sql.contains("json_to_recordset")) {
            break;
        }
    }
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
