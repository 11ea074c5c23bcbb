//! How many statements an answer costs: a few, however many rows it has.

use entity::change::{Face, Kind};
use rstest::rstest;
use sea_orm::{ActiveEnum, ConnectionTrait};
use serde_json::json;

use crate::support::{Engine, TestApp};

const PAGE: &str = "{
    clients(first: 50) {
      totalCount
      pageInfo { hasNextPage hasPreviousPage endCursor }
      nodes {
        name
        primaryLocation { name client { name } }
        locations(first: 10) {
          totalCount
          pageInfo { hasNextPage }
          nodes { name client { name primaryLocation { name } } }
        }
      }
    }
  }";

/// The statements that read clients and their locations, without those that look up
/// the token.
async fn statements(app: &TestApp, query: &str) -> Vec<String> {
    app.take_statements();
    app.data(query, json!({})).await;
    let mut statements = app.take_statements();
    statements.retain(|sql| sql.contains("\"client"));
    statements
}

async fn create_clients(app: &TestApp, count: usize) {
    for number in 0..count {
        let client = app
            .create_client(json!({ "name": format!("Client {number}") }))
            .await;
        if number % 3 == 0 {
            for _ in 0..12 {
                app.create_location(json!({ "clientId": client["id"] }))
                    .await;
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_page_costs_the_same_however_many_rows_it_has(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 5).await;
    let few = statements(&app, PAGE).await;
    create_clients(&app, 45).await;
    let many = statements(&app, PAGE).await;
    // Clients, and their number; primary locations, and their clients; locations,
    // their numbers, their clients, and the primary locations of these. Statements
    // that are due at the same time are one.
    for statements in [few, many] {
        assert!((6..=8).contains(&statements.len()), "{statements:#?}");
    }
}

#[rstest]
#[tokio::test]
async fn what_is_not_selected_costs_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 4).await;
    for list in ["clients", "clientLocations"] {
        let count = statements(&app, &format!("{{ {list} {{ totalCount }} }}")).await;
        assert_eq!(count.len(), 1, "{count:#?}");
        assert!(count[0].contains("COUNT("), "{count:#?}");

        let rows = statements(&app, &format!("{{ {list} {{ nodes {{ id }} }} }}")).await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert!(!rows[0].contains("COUNT("), "{rows:#?}");

        let both = format!("{{ {list} {{ nodes {{ id }} totalCount @skip(if: true) }} }}");
        assert_eq!(statements(&app, &both).await, rows);
        let nothing = statements(&app, &format!("{{ {list} {{ __typename }} }}")).await;
        assert_eq!(nothing, Vec::<String>::new());
    }
    let query = "{ clients { nodes { locations { totalCount } } } }";
    let nested = statements(&app, query).await;
    assert_eq!(nested.len(), 2, "{nested:#?}");
    assert!(nested[1].contains("COUNT("), "{nested:#?}");
}

#[rstest]
#[tokio::test]
async fn fragments_are_looked_into(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 2).await;
    let query =
        "{ clients { ...page } } fragment page on ClientConnection { ... { nodes { id } } }";
    let data = app.data(query, json!({})).await;
    assert_eq!(
        data,
        json!({ "clients": { "nodes": [{ "id": "1" }, { "id": "2" }] } })
    );
    let query = "{ clients { a: edges { node { id } } } }";
    let data = app.data(query, json!({})).await;
    let edge = |id| json!({ "node": { "id": id } });
    assert_eq!(data, json!({ "clients": { "a": [edge("1"), edge("2")] } }));
    let query = "{ clients(first: 1) { a: pageInfo { b: hasNextPage } } }";
    let data = app.data(query, json!({})).await;
    assert_eq!(data, json!({ "clients": { "a": { "b": true } } }));
}

#[rstest]
#[tokio::test]
async fn the_locations_of_many_clients_are_paged_in_one_statement(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 7).await;
    let query = "{ clients { nodes { locations(first: 2) {
        nodes { id clientId } pageInfo { hasNextPage hasPreviousPage } } } } }";
    let sql = statements(&app, query).await;
    assert_eq!(sql.len(), 2, "{sql:#?}");
    let data = app.data(query, json!({})).await;
    let clients = data["clients"]["nodes"].as_array().unwrap();
    for (number, client) in clients.iter().enumerate() {
        let all = app.locations_of(&json!(number + 1)).await;
        let first: Vec<_> = all
            .iter()
            .take(2)
            .map(|location| json!({ "id": location["id"], "clientId": location["clientId"] }))
            .collect();
        let info = json!({ "hasNextPage": all.len() > 2, "hasPreviousPage": false });
        let expected = json!({ "locations": { "nodes": first, "pageInfo": info } });
        assert_eq!(*client, expected);
    }
}

#[rstest]
#[tokio::test]
async fn the_locations_of_a_client_are_walked_page_by_page(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 4).await;
    let query = "query ($after: String) { client(id: 1) { locations(first: 4, after: $after) {
        nodes { id } edges { cursor } totalCount
        pageInfo { hasNextPage hasPreviousPage endCursor } } } }";
    let mut seen = Vec::new();
    let mut after = json!(null);
    loop {
        let data = app.data(query, json!({ "after": after })).await;
        let page = &data["client"]["locations"];
        assert_eq!(page["totalCount"], 13);
        let info = &page["pageInfo"];
        assert_eq!(info["hasPreviousPage"], !seen.is_empty());
        seen.extend(page["nodes"].as_array().unwrap().clone());
        assert_eq!(info["hasNextPage"], seen.len() < 13);
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    let all = app.locations_of(&json!(1)).await;
    let ids: Vec<_> = all
        .iter()
        .map(|location| json!({ "id": location["id"] }))
        .collect();
    assert_eq!(seen, ids);

    for after in ["x", "bmE6MTph", "bzoz"] {
        let answer = app.graphql(query, json!({ "after": after })).await;
        assert_eq!(super::faults(&answer), ["after"], "{after}");
    }
}

#[rstest]
#[tokio::test]
async fn a_page_and_its_total_are_one_statement(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    create_clients(&app, 3).await;
    for name in ["Client 1", "nobody"] {
        let query = format!(
            "{{ clients(first: 2, filter: {{ name: \"{name}\" }}) {{ totalCount nodes {{ id }} }} }}"
        );
        let statements = statements(&app, &query).await;
        assert_eq!(statements.len(), 1, "{name}: {statements:#?}");
    }
}

/// A statement takes a thousand keys: of more keys each has its own value all the same.
#[rstest]
#[tokio::test]
async fn more_keys_than_a_statement_takes_are_loaded(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const CLIENTS: i64 = 350;
    const LOCATIONS_OF_EACH: i64 = 3;
    let app = TestApp::start(engine).await;
    let at = "'2026-01-31T09:15:00.250+00:00'";
    let (face, kind) = (Face::Graphql.to_value(), Kind::LocationUpdated.to_value());
    let (mut clients, mut locations, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for client in 1..=CLIENTS {
        clients.push(format!(
            "({client}, 'C{client}', 'c{client}', false, false, {at}, {at}, 1)"
        ));
        for number in 0..LOCATIONS_OF_EACH {
            let location = client + number * CLIENTS;
            locations.push(format!(
                "({location}, {client}, {}, 'L{location}', 'l{location}', 'CO', 'US', {at}, \
                 {at}, 1)",
                number == 0
            ));
            changes.push(format!(
                "({at}, 'ann', '{face}', '{kind}', {client}, {location}, '{{}}', '{{}}')"
            ));
        }
    }
    let transaction = app.database.begin().await.unwrap();
    for (columns, rows) in [
        (
            "client (id, name, name_key, has_invoice_reminders, show_location_on_invoice, \
             created_at, updated_at, version)",
            clients,
        ),
        (
            "client_location (id, client_id, is_primary, name, name_key, state, country, \
             created_at, updated_at, version)",
            locations,
        ),
        (
            "change (at, user_name, face, kind, client_id, location_id, old, new)",
            changes,
        ),
    ] {
        let sql = format!("INSERT INTO {columns} VALUES {}", rows.join(", "));
        transaction.execute_unprepared(&sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // The locations of all histories are asked for at once.
    let query =
        "{ clients(first: 500) { nodes { id history { nodes { location { id name } } } } } }";
    app.take_statements();
    let data = app.data(query, json!({})).await;
    let statements = app.take_statements();
    let loads = statements
        .iter()
        .filter(|sql| sql.contains("FROM \"client_location\""));
    assert_eq!(loads.count(), 2, "{statements:#?}");
    let clients = data["clients"]["nodes"].as_array().unwrap();
    for (client, id) in clients.iter().zip(1..) {
        assert_eq!(client["id"], id.to_string());
        let history = client["history"]["nodes"].as_array().unwrap();
        let found: Vec<_> = history
            .iter()
            .map(|change| change["location"].clone())
            .collect();
        let expected = (0..LOCATIONS_OF_EACH).map(|number| {
            let location = id + number * CLIENTS;
            json!({ "id": location.to_string(), "name": format!("L{location}") })
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
    assert_eq!(clients.len(), usize::try_from(CLIENTS).unwrap());
}
