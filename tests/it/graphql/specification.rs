//! Answers to the letter of the GraphQL specification. These tests judge an upgrade
//! of async-graphql.

use axum::http::Method;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{codes, faults};
use crate::support::{Engine, TestApp};

async fn app_with_clients(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "name": "Birch", "primaryLocation": { "city": "Denver" } }))
        .await;
    app.create_client(json!({ "name": "Aspen", "primaryLocation": { "city": "Boulder" } }))
        .await;
    app
}

/// The answer as it was sent: the order of its keys counts.
async fn text(app: &TestApp, query: &str) -> String {
    let call = app.call(Method::POST, "/graphql");
    let answer = call.json(&json!({ "query": query })).send().await;
    answer.text().to_owned()
}

#[rstest]
#[tokio::test]
async fn keys_come_in_the_order_of_the_selection(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    for (query, expected) in [
        (
            "{ b: client(id: 2) { version name id } __typename a: client(id: 1) { id } }",
            r#"{"b":{"version":1,"name":"Aspen","id":"2"},"__typename":"Query","a":{"id":"1"}}"#,
        ),
        // What takes longer keeps its place.
        (
            "{ clients { totalCount nodes { primaryLocation { city id } z: id a: name } } none: client(id: 7) { id } }",
            r#"{"clients":{"totalCount":2,"nodes":[{"primaryLocation":{"city":"Denver","id":"1"},"z":"1","a":"Birch"},{"primaryLocation":{"city":"Boulder","id":"2"},"z":"2","a":"Aspen"}]},"none":null}"#,
        ),
        // Fragments stand where they are spread.
        (
            "{ client(id: 1) { version ...f name ... on Client { notes } } } fragment f on Client { id version }",
            r#"{"client":{"version":1,"id":"1","name":"Birch","notes":null}}"#,
        ),
        // Repeated fields merge into the place of the first.
        (
            "{ client(id: 1) { primaryLocation { city } name primaryLocation { id city } ...f } } fragment f on Client { primaryLocation { state } name }",
            r#"{"client":{"primaryLocation":{"city":"Denver","id":"1","state":"CO"},"name":"Birch"}}"#,
        ),
        (
            "{ client(id: 1) { id } clients { totalCount } client(id: 1) { name } ...f } fragment f on Query { clients { nodes { id } } }",
            r#"{"client":{"id":"1","name":"Birch"},"clients":{"totalCount":2,"nodes":[{"id":"1"},{"id":"2"}]}}"#,
        ),
        (
            "{ clients { nodes { id } nodes { name primaryLocation { id } } nodes { primaryLocation { city } } } }",
            r#"{"clients":{"nodes":[{"id":"1","name":"Birch","primaryLocation":{"id":"1","city":"Denver"}},{"id":"2","name":"Aspen","primaryLocation":{"id":"2","city":"Boulder"}}]}}"#,
        ),
    ] {
        let expected = format!(r#"{{"data":{expected}}}"#);
        assert_eq!(text(&app, query).await, expected, "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn directives_and_fragments_select(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    let query = "
        query ($yes: Boolean = true, $no: Boolean! = false) {
          client(id: 1) @include(if: $yes) {
            __typename
            name @skip(if: $yes)
            id @include(if: $yes) @skip(if: $no)
            version @include(if: $yes) @skip(if: $yes)
            ...f @include(if: $no)
            ... @skip(if: $no) { notes }
            ... on Client @skip(if: $yes) { website }
            primaryLocation { ... { type: __typename } }
          }
          clients @skip(if: true) { totalCount }
        }
        fragment f on Client { accountCode }";
    let data = app.data(query, json!({})).await;
    let client = json!({ "__typename": "Client", "id": "1", "notes": null,
        "primaryLocation": { "type": "ClientLocation" } });
    assert_eq!(data, json!({ "client": client }));
    let data = app.data(query, json!({ "yes": false })).await;
    assert_eq!(data, json!({}));
}

#[rstest]
#[tokio::test]
async fn documents_that_are_not_valid_are_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    for query in [
        "",
        "{",
        "{ }",
        "{ unknown }",
        "{ client(id: 1) }",
        "{ client { id } }",
        "{ client(id: 1, other: 2) { id } }",
        "{ client(id: 1) { id { x } } }",
        "{ client(id: 1) { a: id a: name } }",
        "{ a: client(id: 1) { id } a: client(id: 2) { id } }",
        "{ client(id: 1) { ...none } }",
        "{ client(id: 1) { ...f } } fragment f on None { id }",
        "{ client(id: 1) { ...f } } fragment f on ClientLocation { id }",
        "{ client(id: 1) { id } } fragment f on Client { id }",
        "{ client(id: $id) { id } }",
        "query ($id: ID!) { client(id: 1) { id } }",
        "query ($id: ID, $id: ID) { client(id: $id) { id } }",
        "query ($filter: Client) { clients(filter: $filter) { totalCount } }",
        "{ clients(filter: { none: 1 }) { totalCount } }",
        "{ clients(filter: { name: 1 }) { totalCount } }",
        "{ clients(orderBy: { field: NONE }) { totalCount } }",
        "{ clients(filter: { createdFrom: \"yesterday\" }) { totalCount } }",
        "{ clients(filter: { createdFrom: 1 }) { totalCount } }",
        "{ client(id: 1) { id @none } }",
        "{ client(id: 1) { id @skip } }",
        "{ client(id: 1.5) { id } }",
        "{ client(id: true) { id } }",
        "{ client(id: null) { id } }",
        "subscription { clientChanged { id } }",
        "mutation { createClient { client { id } } }",
        "mutation { createClient(input: { name: \"A\" }) { client { id } } }",
        "type X { id: ID }",
    ] {
        // What is not sent is not looked at.
        let answer = app.graphql(query, json!({ "filter": null })).await;
        let codes = codes(&answer);
        assert!(!codes.is_empty(), "{query} {answer:#}");
        assert!(
            codes.iter().all(|code| code.ends_with("_FAILED")),
            "{query} {answer:#}"
        );
        assert!(answer["data"].is_null(), "{query} {answer:#}");
    }
}

#[rstest]
#[tokio::test]
async fn unknown_ids_are_null_and_malformed_ones_are_errors_of_their_field(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    let data = app
        .data(
            "query ($text: ID!, $number: ID!) {
               a: client(id: 7) { id } b: client(id: \"2\") { id } c: client(id: $text) { id }
               d: client(id: $number) { id } e: client(id: 9223372036854775807) { id }
               f: clientLocation(id: -1) { id } g: clientLocation(id: 2) { id } }",
            json!({ "text": "1", "number": 1 }),
        )
        .await;
    let one = |id| json!({ "id": id });
    let expected = json!({ "a": null, "b": one("2"), "c": one("1"), "d": one("1"), "e": null,
        "f": null, "g": one("2") });
    assert_eq!(data, expected);

    let query = r#"{ a: client(id: "x") { id } b: client(id: 1) { id } c: clientLocation(id: "01") { id } }"#;
    let answer = app.graphql(query, json!({})).await;
    insta::assert_json_snapshot!("malformed_ids", answer);
    for id in [
        "",
        " 1",
        "1 ",
        "+1",
        "01",
        "1.0",
        "0x1",
        "١",
        "9223372036854775808",
        "1\0",
        "1;--",
    ] {
        let query = "query ($id: ID!) { client(id: $id) { id } }";
        let answer = app.graphql(query, json!({ "id": id })).await;
        assert_eq!(faults(&answer), ["id"], "{id:?}");
        assert_eq!(answer["data"], json!({ "client": null }), "{id:?}");
    }
}

#[rstest]
#[tokio::test]
async fn errors_null_the_nearest_nullable_parent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    // The connection is not nullable: its fault takes the client, or all data, along.
    let query =
        "{ a: client(id: 1) { id locations(first: -1) { totalCount } } b: client(id: 2) { id } }";
    let answer = app.graphql(query, json!({})).await;
    insta::assert_json_snapshot!("an_error_below_a_nullable_field", answer);

    let query = "{ b: client(id: 2) { id } clients(first: -1) { totalCount } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["path"], json!(["clients"]));
    assert_eq!(faults(&answer), ["first"]);

    let query = "{ clients { nodes { name locations(first: 501) { totalCount } } } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    let path = json!(["clients", "nodes", 0, "locations"]);
    assert_eq!(answer["errors"][0]["path"], path);

    let query = "{ clients { edges { node { name primaryLocation { client {
        x: locations(after: \"x\") { totalCount } } } } } } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    let path = json!([
        "clients",
        "edges",
        0,
        "node",
        "primaryLocation",
        "client",
        "x"
    ]);
    assert_eq!(answer["errors"][0]["path"], path);

    let query = "mutation { a: updateClient(id: 7, input: {}) { client { id } } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["path"], json!(["a"]));
    assert_eq!(codes(&answer), ["NOT_FOUND"]);
}

#[rstest]
#[tokio::test]
async fn errors_of_the_database_are_not_told(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    let transaction = app.database.begin().await.unwrap();
    let rename = "ALTER TABLE client_location RENAME COLUMN name TO title";
    transaction.execute_unprepared(rename).await.unwrap();
    transaction.commit().await.unwrap();

    let query = "{ a: clientLocation(id: 1) { name } b: __typename }";
    let mut answer = app.graphql(query, json!({})).await;
    let request_id = answer["errors"][0]["extensions"]["requestId"].take();
    assert_ne!(request_id, Value::Null);
    insta::assert_json_snapshot!("an_internal_error", answer);
}

#[rstest]
#[tokio::test]
async fn mutations_run_one_after_the_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    let mutation = r#"mutation {
        a: updateClient(id: 1, input: { name: "One" }) { client { ...c } }
        b: updateClientLocation(id: 1, input: { city: "Two" }) {
          clientLocation { city client { ...c } } }
        c: createClientLocation(input: {
          clientId: 1, isPrimary: true, name: "Three", state: "CO", country: "US" }) {
          clientLocation { id isPrimary client { ...c } } }
        d: updateClientLocation(id: 1, input: { isPrimary: true }) {
          clientLocation { client { ...c locations { nodes { id isPrimary version } } } } }
        e: updateClient(id: 1, expectedVersion: 5, input: { primaryLocation: { city: "Five" } }) {
          client { ...c } }
      }
      fragment c on Client { name version primaryLocation { id city } }"#;
    let data = app.data(mutation, json!({})).await;
    insta::assert_json_snapshot!("mutations_see_what_came_before", data);
}

#[rstest]
#[tokio::test]
async fn an_error_stops_no_later_mutation_and_undoes_no_earlier_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_clients(engine).await;
    let mutation = r#"mutation {
        a: updateClient(id: 1, input: { name: "One" }) { client { id } }
        b: updateClient(id: 1, input: { name: "" }) { client { id } }
      }"#;
    let answer = app.graphql(mutation, json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["path"], json!(["b"]));
    assert_eq!(app.client(&json!(1)).await["name"], "One");
    assert_eq!(app.client(&json!(1)).await["version"], 2);
}
