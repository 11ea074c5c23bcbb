//! Repeated fields are one field ("Field Selection Merging" of the specification),
//! also when a fragment repeats them: async-graphql alone would run them twice.

use rstest::rstest;
use serde_json::json;

use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn a_repeated_mutation_runs_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let twice = "
        mutation ($input: CreateClientInput!) {
          createClient(input: $input) { client { id ...first } }
          ...again
        }
        fragment first on Client { name primaryLocation { city } }
        fragment again on Mutation {
          createClient(input: $input) { client { version primaryLocation { id } } }
        }";
    let input = json!({
        "name": "Acme",
        "primaryLocation": { "name": "Main", "state": "CO", "country": "US", "city": "Denver" },
    });
    let data = app.data(twice, json!({ "input": input })).await;
    let client = json!({
        "id": "1",
        "name": "Acme",
        "primaryLocation": { "city": "Denver", "id": "1" },
        "version": 1,
    });
    assert_eq!(data, json!({ "createClient": { "client": client } }));
    assert_eq!(
        serde_json::to_string(&data["createClient"]["client"]).unwrap(),
        client.to_string(),
        "in the order in which the keys are first selected"
    );
    let count = app.data("{ clients { totalCount } }", json!({})).await;
    assert_eq!(count["clients"]["totalCount"], 1);

    let rename = "
        mutation { ...a ...a updateClient(input: { name: \"B\" }, expectedVersion: 1, id: 1) { __typename } }
        fragment a on Mutation {
          updateClient(id: 1, input: { name: \"B\" }, expectedVersion: 1) { client { version } }
        }";
    let data = app.data(rename, json!({})).await;
    let renamed = json!({ "client": { "version": 2 }, "__typename": "UpdateClientPayload" });
    assert_eq!(data, json!({ "updateClient": renamed }));
}

#[rstest]
#[tokio::test]
async fn a_repeated_query_costs_no_more_statements(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    app.take_statements();
    let once = "{ clients { nodes { id name } } }";
    app.data(once, json!({})).await;
    let expected = app.take_statements().len();
    let twice =
        "{ clients { nodes { id } } ...f } fragment f on Query { clients { nodes { name } } }";
    assert_eq!(
        app.data(twice, json!({})).await,
        app.data(once, json!({})).await
    );
    assert_eq!(app.take_statements().len(), 2 * expected);
}

#[rstest]
#[tokio::test]
async fn what_conflicts_or_is_not_valid_is_refused_and_runs_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    for query in [
        "{ client(id: 1) { x: id ...f } } fragment f on Client { x: name }",
        "{ client(id: 1) { primaryLocation { x: id } primaryLocation { x: name } } }",
        "{ a: client(id: 1) { id } ...f } fragment f on Query { a: client(id: 2) { id } }",
        "{ client(id: 1) { id id ...f } } fragment f on ClientLocation { id }",
        "{ client(id: 1) { id id } } fragment unused on Client { id }",
        "query ($x: Int) { client(id: 1) { id id } }",
        "query ($x: Nope) { client(id: 1) { id } }",
        "query ($x: ID) { client(id: $x) { id } }",
        "mutation { updateClient(id: 1, input: { notes: \"a\", notes: \"b\" }) { client { id } } }",
        "{ clients(filter: { id: 1, id: 2 }) { totalCount } }",
    ] {
        let answer = app.graphql(query, json!({})).await;
        assert_eq!(answer.get("data"), None, "{query}: {answer:#}");
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED",
            "{query}: {answer:#}"
        );
    }
    let data = app.data("{ client(id: 1) { version } }", json!({})).await;
    assert_eq!(data, json!({ "client": { "version": 1 } }));
}

#[rstest]
#[tokio::test]
async fn skipped_repeats_do_not_count(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "name": "Acme" })).await;
    let query = "
        query ($no: Boolean = false) {
          client(id: 1) {
            id
            id @include(if: $no)
            name @skip(if: true)
            ... on Client @skip(if: $no) { primaryLocation { state } }
            primaryLocation { country state @include(if: $no) }
          }
        }";
    let data = app.data(query, json!({})).await;
    let location = json!({ "state": "CO", "country": "US" });
    assert_eq!(
        data,
        json!({ "client": { "id": "1", "primaryLocation": location } })
    );
}
