//! `Client.history` and `changes`: what they show, and in which order.

use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use rstest::rstest;
use serde_json::{Value, json};

use super::{codes, faults};
use crate::support::{Engine, TestApp, TestClock};

const CHANGE: &str = "
    fragment change on ClientChange {
      id kind at by face client { id } location { id name } fields { field old new }
    }";

impl TestApp {
    /// The changes of the client, oldest first.
    async fn history(&self, id: &Value) -> Value {
        let query = format!(
            "query ($id: ID!) {{ client(id: $id) {{ history(first: 500) {{ \
             nodes {{ ...change }} }} }} }}{CHANGE}"
        );
        let mut data = self.data(&query, json!({ "id": id })).await;
        data["client"]["history"]["nodes"].take()
    }

    /// The ids of the changes that these arguments list.
    async fn change_ids(&self, arguments: &str) -> Vec<i64> {
        let query = format!("{{ changes({arguments}) {{ nodes {{ id }} }} }}");
        let data = self.data(&query, json!({})).await;
        let nodes = data["changes"]["nodes"].as_array().unwrap();
        let id = |node: &Value| node["id"].as_str().unwrap().parse().unwrap();
        nodes.iter().map(id).collect()
    }
}

/// A client that two users edited over both faces, one edit a minute.
async fn edited(engine: Engine) -> (TestApp, Value) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let ben = app.token_of("ben").await;
    let client = app
        .create_client(json!({ "accountCode": "A-1", "salesperson": "7" }))
        .await;
    let id = &client["id"];
    clock.advance(TimeDelta::minutes(1));
    // What is sent as it is stored is no change.
    let edit = json!({ "client": {
        "name": "Birch & Söhne \"Ltd\"",
        "account_code": "A-1",
        "notes": null,
        "has_invoice_reminders": true,
        "salesperson": 9_007_199_254_740_993_i64,
        "primary_location": { "zip": "01234", "address_1": "1 Birch Lane", "state": "co" },
    } });
    let put = app.call(
        Method::PUT,
        &format!("/api/v1/clients/{}", id.as_str().unwrap()),
    );
    let answer = put.basic("ben", &ben).json(&edit).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    clock.advance(TimeDelta::minutes(1));
    app.update_client(
        id,
        json!({ "accountCode": null, "notes": "New", "name": "Birch" }),
    )
    .await;
    clock.advance(TimeDelta::minutes(1));
    let input = json!({ "clientId": id, "isPrimary": true });
    let branch = app.create_location(input).await;
    clock.advance(TimeDelta::minutes(1));
    app.update_location(&branch["id"], json!({ "city": "Denver" }))
        .await;
    (app, client)
}

#[rstest]
#[tokio::test]
async fn a_history_tells_who_changed_what_and_when(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = edited(engine).await;
    insta::assert_json_snapshot!("history", app.history(&client["id"]).await);
}

#[rstest]
#[tokio::test]
async fn the_log_shows_all_histories(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (app, client) = edited(engine).await;
    let other = app.create_client(json!({})).await;
    let query = format!("{{ changes {{ nodes {{ ...change }} }} }}{CHANGE}");
    let mut data = app.data(&query, json!({})).await;
    let Value::Array(all) = data["changes"]["nodes"].take() else {
        panic!("no list");
    };
    let mut expected = Vec::new();
    for client in [client, other] {
        expected.extend(app.history(&client["id"]).await.as_array().unwrap().clone());
    }
    assert_eq!(all, expected);
}

#[rstest]
#[tokio::test]
async fn filters_combine(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (app, _) = edited(engine).await;
    app.create_client(json!({})).await;
    for (filter, expected) in [
        ("", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..]),
        ("clientId: null", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("clientId: 1", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("clientId: 2", &[9, 10]),
        ("clientId: 3", &[]),
        ("by: \"ben\"", &[3, 4]),
        ("by: \"Ben\"", &[]),
        ("face: REST", &[3, 4]),
        ("kind: CLIENT_CREATED", &[1, 9]),
        ("kind: LOCATION_UPDATED", &[4, 6, 8]),
        (
            "kind: LOCATION_UPDATED, face: GRAPHQL, clientId: \"1\"",
            &[6, 8],
        ),
        ("from: \"2026-01-31T09:19:00.250Z\"", &[8, 9, 10]),
        ("from: \"2026-01-31T09:19:00.2501Z\"", &[]),
        ("to: \"2026-01-31T09:15:00.250Z\"", &[1, 2]),
        ("to: \"2026-01-31T09:15:00.2499Z\"", &[]),
    ] {
        let ids = app.change_ids(&format!("filter: {{ {filter} }}")).await;
        assert_eq!(ids, expected, "{filter}");
        let count = format!("{{ changes(filter: {{ {filter} }}) {{ totalCount }} }}");
        let data = app.data(&count, json!({})).await;
        assert_eq!(data["changes"]["totalCount"], expected.len(), "{filter}");
    }
    let faulty = "{ changes(filter: { clientId: \"x\" }, first: -1, after: \"?\") {
        nodes { id } } }";
    let answer = app.graphql(faulty, json!({})).await;
    assert_eq!(faults(&answer), ["filter.clientId", "first", "after"]);
}

#[rstest]
#[tokio::test]
async fn lists_of_changes_are_walked_page_by_page(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("ASC", "DESC")] direction: &str,
) {
    let (app, client) = edited(engine).await;
    app.create_client(json!({})).await;
    let list = format!(
        "(first: $first, after: $after, direction: {direction}) {{ edges {{ cursor node {{ id }} }} \
         totalCount pageInfo {{ hasPreviousPage hasNextPage startCursor endCursor }} }}"
    );
    let all = format!("query ($first: Int, $after: String) {{ changes{list} }}");
    let of_client = format!(
        "query ($first: Int, $after: String) {{ client(id: {}) {{ history{list} }} }}",
        client["id"]
    );
    for (query, pointer, count) in [(all, "/changes", 10), (of_client, "/client/history", 8)] {
        let mut ids: Vec<usize> = Vec::new();
        let mut after = json!(null);
        loop {
            let variables = json!({ "first": 3, "after": after });
            let data = app.data(&query, variables).await;
            let page = data.pointer(pointer).unwrap();
            let (edges, info) = (page["edges"].as_array().unwrap(), &page["pageInfo"]);
            assert_eq!(page["totalCount"], count);
            assert_eq!(info["hasPreviousPage"], !ids.is_empty());
            assert_eq!(info["startCursor"], edges[0]["cursor"]);
            assert_eq!(info["endCursor"], edges.last().unwrap()["cursor"]);
            let id = |edge: &Value| {
                edge["node"]["id"]
                    .as_str()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
            };
            ids.extend(edges.iter().map(id));
            assert_eq!(info["hasNextPage"], ids.len() < count);
            after = info["endCursor"].clone();
            if info["hasNextPage"] == false {
                break;
            }
        }
        let mut expected: Vec<_> = (1..=count).collect();
        if direction == "DESC" {
            expected.reverse();
        }
        assert_eq!(ids, expected, "{pointer}");

        // At the end there is no new cursor: the old one goes on.
        let data = app
            .data(&query, json!({ "first": 3, "after": after }))
            .await;
        let page = data.pointer(pointer).unwrap();
        assert_eq!(page["edges"], json!([]));
        assert_eq!(page["pageInfo"]["endCursor"], Value::Null);
        // Of the other direction, of another list, and of the REST layer.
        let other = if direction == "ASC" {
            "aWQ6MQ"
        } else {
            "aWE6MQ"
        };
        for after in [other, "bmE6MTph", "bzoz", "x"] {
            let answer = app.graphql(&query, json!({ "after": after })).await;
            assert_eq!(faults(&answer), ["after"], "{after}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn histories_of_many_clients_cost_what_one_costs(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const QUERY: &str = "{ clients { nodes { history(first: 3, direction: DESC) {
        nodes { id client { name primaryLocation { name } } location { name } fields { field } }
        totalCount pageInfo { hasPreviousPage } } } } }";
    let app = TestApp::start(engine).await;
    let statements = async || {
        app.take_statements();
        let data = app.data(QUERY, json!({})).await;
        let mut statements = app.take_statements();
        // Without those that look up the token.
        statements.retain(|sql| !sql.contains("api_token"));
        (data, statements)
    };
    for _ in 0..2 {
        app.create_client(json!({})).await;
    }
    let (_, few) = statements().await;
    for _ in 0..30 {
        let client = app.create_client(json!({})).await;
        for name in ["a", "b", "c"] {
            app.update_client(&client["id"], json!({ "name": name }))
                .await;
        }
    }
    let (data, many) = statements().await;
    // Clients; histories and their lengths; clients, locations and primary locations of
    // changes.
    assert_eq!(many.len(), 6, "{many:#?}");
    assert_eq!(few.len(), many.len(), "{few:#?}");
    let last = &data["clients"]["nodes"][31]["history"]["nodes"];
    let ids: Vec<_> = last
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["id"])
        .collect();
    // Two of each creation, and three updates of each client but the first two.
    assert_eq!(ids, ["154", "153", "152"]);
}

#[rstest]
#[tokio::test]
async fn pages_of_changes_count_as_records(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for query in [
        "{ clients(first: 500) { nodes { history(first: 60) { nodes { id } } } } }",
        "{ changes(first: 500) { nodes { client { history(first: 60) { nodes { id } } } } } }",
    ] {
        app.take_statements();
        let answer = app
            .call(Method::POST, "/graphql")
            .json(&json!({ "query": query }))
            .send()
            .await;
        assert_eq!(codes(&answer.json()), ["LIMIT_EXCEEDED"], "{query}");
    }
}
