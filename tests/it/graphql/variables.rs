//! A variable that was not sent is as if its argument or field were not there
//! (GraphQL specification, "Coercing Field Arguments").

use rstest::rstest;
use serde_json::{Value, json};

use super::{codes, faults, with};
use crate::support::{Engine, TestApp};

async fn app_with_client(engine: Engine) -> (TestApp, Value) {
    let app = TestApp::start(engine).await;
    let client = app
        .create_client(json!({
            "website": "https://example.com",
            "notes": "n",
            "salesperson": 3,
            "primaryLocation": { "city": "Denver", "zip": "00501" },
        }))
        .await;
    (app, client)
}

#[rstest]
#[tokio::test]
async fn an_omitted_variable_clears_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = app_with_client(engine).await;
    let mutation = "
        mutation ($id: ID!, $name: String, $website: String, $person: ID, $notes: String,
                  $city: String, $zip: PostalCode, $version: Int) {
          updateClient(
            id: $id
            input: {
              name: $name, website: $website, salesperson: $person, notes: $notes,
              primaryLocation: { city: $city, zip: $zip }
            }
            expectedVersion: $version
          ) { client { id } }
        }";
    app.data(mutation, json!({ "id": client["id"] })).await;
    assert_eq!(app.client(&client["id"]).await, client);

    let variables = json!({ "id": client["id"], "name": "Birch", "notes": null, "zip": null });
    app.data(mutation, variables).await;
    let updated = app.client(&client["id"]).await;
    for (field, value) in [
        ("name", json!("Birch")),
        ("website", json!("https://example.com")),
        ("salesperson", json!("3")),
        ("notes", Value::Null),
    ] {
        assert_eq!(updated[field], value, "{field}");
    }
    let location = &updated["primaryLocation"];
    assert_eq!(
        [&location["city"], &location["zip"]],
        [&json!("Denver"), &Value::Null]
    );

    let answer = app
        .graphql(mutation, json!({ "id": client["id"], "version": 1 }))
        .await;
    assert_eq!(codes(&answer), ["CONFLICT"]);
}

#[rstest]
#[tokio::test]
async fn members_left_out_of_a_variable_clear_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = app_with_client(engine).await;
    let input = json!({ "name": "Birch", "primaryLocation": { "city": "Golden" } });
    let updated = app.update_client(&client["id"], input).await;
    for field in ["website", "notes", "salesperson"] {
        assert_eq!(updated[field], client[field]);
    }
    assert_eq!(updated["primaryLocation"]["zip"], "00501");
}

#[rstest]
#[tokio::test]
async fn declared_defaults_are_filled_in(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = app_with_client(engine).await;
    let mutation = "
        mutation ($id: ID!, $notes: String = \"default\", $city: String = null) {
          updateClient(id: $id, input: { notes: $notes, primaryLocation: { city: $city } }) {
            client { notes primaryLocation { city zip } }
          }
        }";
    for (variables, notes, city) in [
        (json!({}), json!("default"), Value::Null),
        (
            json!({ "notes": "sent", "city": "Golden" }),
            json!("sent"),
            json!("Golden"),
        ),
        (json!({ "notes": null }), Value::Null, Value::Null),
    ] {
        let variables = with(variables, json!({ "id": client["id"] }));
        let data = app.data(mutation, variables).await;
        let expected =
            json!({ "notes": notes, "primaryLocation": { "city": city, "zip": "00501" } });
        assert_eq!(data["updateClient"]["client"], expected);
    }
}

#[rstest]
#[tokio::test]
async fn omitted_variables_of_queries_restrict_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _) = app_with_client(engine).await;
    app.create_client(json!({ "name": "Birch" })).await;
    let query = "
        query ($first: Int, $after: String, $name: String, $filter: ClientFilter,
               $order: ClientOrder, $field: OrderField, $direction: OrderDirection) {
          all: clients(filter: $filter, orderBy: $order, first: $first, after: $after) {
            ...names
          }
          ...rest
        }
        fragment rest on Query {
          some: clients(
            filter: { name: $name }, orderBy: { field: $field, direction: $direction }
          ) { ...names }
          clients { nodes { locations(first: $first, after: $after) { nodes { name } } } }
        }
        fragment names on ClientConnection { nodes { name } }";
    let both = json!({ "nodes": [{ "name": "Acme" }, { "name": "Birch" }] });
    let office = json!({ "locations": { "nodes": [{ "name": "Head office" }] } });
    let locations = json!({ "nodes": [office, office] });
    let data = app.data(query, json!({})).await;
    assert_eq!(
        data,
        json!({ "all": both, "some": both, "clients": locations })
    );

    let variables = json!({ "first": 1, "name": "BIRCH", "field": "NAME", "direction": "DESC" });
    let data = app.data(query, variables).await;
    let one = |name| json!({ "nodes": [{ "name": name }] });
    assert_eq!(
        data,
        json!({ "all": one("Acme"), "some": one("Birch"), "clients": locations })
    );
}

#[rstest]
#[tokio::test]
async fn directives_take_the_defaults_of_variables(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _) = app_with_client(engine).await;
    let query = "
        query ($yes: Boolean = true, $no: Boolean! = false) {
          client(id: 1) { id @include(if: $yes) name @include(if: $no) ...rest @skip(if: $no) }
        }
        fragment rest on Client { version @skip(if: $yes) notes @skip(if: $no) }";
    let data = app.data(query, json!({})).await;
    assert_eq!(data, json!({ "client": { "id": "1", "notes": "n" } }));
    let data = app.data(query, json!({ "yes": false, "no": true })).await;
    assert_eq!(data, json!({ "client": { "name": "Acme" } }));

    // Without a default there would be nothing to decide by.
    let undecided = "query ($yes: Boolean) { client(id: 1) { id @include(if: $yes) } }";
    let answer = app.graphql(undecided, json!({})).await;
    assert_eq!(codes(&answer), ["GRAPHQL_VALIDATION_FAILED"]);
    assert_eq!(answer.get("data"), None);
}

#[rstest]
#[tokio::test]
async fn operations_may_share_fragments_and_variables(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _) = app_with_client(engine).await;
    let document = "
        query some($first: Int) { ...names }
        query one($first: Int!) { ...names }
        query other($id: ID!) { client(id: $id) { ...name } }
        fragment names on Query { clients(first: $first) { nodes { ...name } } }
        fragment name on Client { name }";
    let expected = json!({ "data": { "clients": { "nodes": [{ "name": "Acme" }] } } });
    for (operation, variables) in [("some", json!({})), ("one", json!({ "first": 1 }))] {
        let body = json!({ "query": document, "operationName": operation, "variables": variables });
        let answer = app.post("/graphql", body).await;
        assert_eq!(answer.json(), expected, "{operation}");
    }
}

#[rstest]
#[tokio::test]
async fn required_variables_must_be_there(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = app_with_client(engine).await;
    let query = "query ($id: ID!, $first: Int!) {
        client(id: $id) { id } clients(first: $first) { nodes { id } } }";
    let answer = app.graphql(query, json!({ "first": null })).await;
    assert_eq!(codes(&answer), ["VALIDATION_FAILED"]);
    assert_eq!(faults(&answer), ["id", "first"]);
    assert_eq!(answer.get("data"), None);
    let variables = json!({ "id": client["id"], "first": 1, "unknown": [{}] });
    app.data(query, variables).await;
}

/// A document that was valid is not validated again with values that surely fit. Those
/// that do not are refused as if it were new.
#[rstest]
#[tokio::test]
async fn a_known_document_takes_no_wrong_values(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, client) = app_with_client(engine).await;
    let query = "query($filter: ClientFilter, $orderBy: ClientOrder, $first: Int) {
        clients(filter: $filter, orderBy: $orderBy, first: $first) { nodes { id } } }";
    let order = json!({ "field": "NAME", "direction": "DESC" });
    let filter = json!({ "id": client["id"], "updatedFrom": "2020-01-01T00:00:00Z" });
    let right = [
        json!({ "filter": filter, "orderBy": order, "first": 3 }),
        json!({ "filter": { "id": 1 }, "orderBy": { "direction": "ASC" } }),
        json!({ "filter": { "name": null } }),
        json!({}),
    ];
    let update = "mutation($id: ID!, $input: UpdateClientInput!) {
        updateClient(id: $id, input: $input) { client { id } } }";
    let change = json!({ "notes": "new", "primaryLocation": { "zip": 80_202 } });
    for _ in 0..2 {
        for variables in &right {
            let answer = app.graphql(query, variables.clone()).await;
            assert!(answer["errors"].is_null(), "{variables} {answer}");
        }
        let variables = json!({ "id": client["id"], "input": change });
        let answer = app.graphql(update, variables).await;
        assert!(answer["errors"].is_null(), "{answer}");
    }
    let wrong = [
        (query, json!({ "filter": { "nme": "Acme" } })),
        (query, json!({ "filter": { "id": 1.5 } })),
        (query, json!({ "filter": { "updatedFrom": 5 } })),
        (query, json!({ "filter": [] })),
        (query, json!({ "orderBy": { "field": "COLOUR" } })),
        (query, json!({ "orderBy": "NAME" })),
        (query, json!({ "first": 3.5 })),
        (query, json!({ "first": 2_147_483_648_u64 })),
        (update, json!({ "id": 1, "input": { "notes": 5 } })),
        (update, json!({ "id": 1, "input": { "colour": "red" } })),
        (
            update,
            json!({ "id": 1, "input": { "primaryLocation": { "zip": true } } }),
        ),
        (update, json!({ "id": true, "input": {} })),
    ];
    for (document, variables) in wrong {
        // To those who know no document, each is new.
        let new = format!("{document} # {variables}");
        let expected = app.graphql(&new, variables.clone()).await;
        let code = &expected["errors"][0]["extensions"]["code"];
        assert_eq!(code, "VALIDATION_FAILED", "{variables} {expected}");
        let answer = app.graphql(document, variables).await;
        assert_eq!(answer, expected);
    }
}
