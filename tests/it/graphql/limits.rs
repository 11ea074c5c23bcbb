//! Documents that would be expensive are refused before they cost anything.

use axum::http::{Method, StatusCode, header::ACCEPT};
use futures_util::{SinkExt, StreamExt};
use rstest::rstest;
use serde_json::{Value, json};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{ClientRequestBuilder, Message},
};
use url::form_urlencoded;

use super::{
    codes,
    hostile::{bomb, many, nested, too_expensive, wrong},
};
use crate::support::{Engine, TestApp};

const MEDIA: &str = "application/graphql-response+json";
const MAX_ANSWER: usize = 8 * 1024;

/// A request for the document, or for the first of its operations.
fn parameters(query: &str) -> Value {
    json!({ "query": query, "operationName": operation_name(query) })
}

fn operation_name(query: &str) -> Option<&str> {
    query.starts_with("query q0").then_some("q0")
}

fn assert_is_refused(name: &str, answer: &Value, length: usize, code: &str) {
    assert!(length <= MAX_ANSWER, "{name}: {length} bytes");
    assert_eq!(answer.get("data"), None, "{name}: {answer:#}");
    let codes = codes(answer);
    assert!((1..=10).contains(&codes.len()), "{name}: {codes:?}");
    for found in codes {
        assert_eq!(found, code, "{name}: {answer:#}");
    }
}

#[rstest]
#[tokio::test]
async fn expensive_documents_are_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let expensive = too_expensive().into_iter();
    let wrong = wrong().into_iter();
    let all = expensive
        .map(|(name, query)| (name, query, "LIMIT_EXCEEDED"))
        .chain(wrong.map(|(name, query)| {
            let code = if name.contains("does not end") {
                "GRAPHQL_PARSE_FAILED"
            } else {
                "GRAPHQL_VALIDATION_FAILED"
            };
            (name, query, code)
        }));
    for (name, query, code) in all {
        app.take_statements();
        let call = app
            .call(Method::POST, "/graphql")
            .header(ACCEPT, MEDIA)
            .json(&parameters(&query));
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        assert_is_refused(name, &answer.json(), answer.body.len(), code);
        assert_eq!(statements_on_clients(&app), 0, "{name}");

        let operation = operation_name(&query).unwrap_or_default();
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &query)
            .append_pair("operationName", operation)
            .finish();
        if form.len() < 8_000 {
            let path = format!("/graphql?{form}");
            let call = app.call(Method::GET, &path).header(ACCEPT, MEDIA);
            let answer = call.send().await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
            assert_is_refused(name, &answer.json(), answer.body.len(), code);
        }
    }
}

/// What was executed of a refused document.
fn statements_on_clients(app: &TestApp) -> usize {
    let statements = app.take_statements();
    let on_clients = statements.iter().filter(|sql| sql.contains("\"client"));
    on_clients.count()
}

#[rstest]
#[tokio::test]
async fn expensive_documents_are_refused_over_a_websocket(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let uri = format!("ws://{}/graphql", app.serve().await);
    let request =
        ClientRequestBuilder::new(uri.parse().unwrap()).with_sub_protocol("graphql-transport-ws");
    let (mut socket, _) = connect_async(request).await.unwrap();
    let payload = json!({ "Authorization": format!("Bearer {}", app.token) });
    let init = json!({ "type": "connection_init", "payload": payload });
    socket.send(Message::text(init.to_string())).await.unwrap();
    let acknowledged = socket.next().await.unwrap().unwrap();
    assert!(acknowledged.to_text().unwrap().contains("connection_ack"));

    for (name, query) in too_expensive().into_iter().chain(wrong()) {
        let message = json!({ "type": "subscribe", "id": name, "payload": parameters(&query) });
        if message.to_string().len() > 64 * 1024 {
            continue;
        }
        let message = Message::text(message.to_string());
        socket.send(message).await.unwrap();
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(text.len() <= MAX_ANSWER, "{name}: {} bytes", text.len());
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["id"], name);
        let errors = match &answer["payload"] {
            Value::Array(errors) => json!({ "errors": errors }),
            payload => payload.clone(),
        };
        let codes = codes(&errors);
        assert!((1..=10).contains(&codes.len()), "{name}: {answer:#}");
        assert!(!codes.contains(&""), "{name}: {answer:#}");
        // A result without data is followed by the end of the operation.
        if answer["type"] == "next" {
            socket.next().await.unwrap().unwrap();
        }
    }
}

#[rstest]
#[tokio::test]
async fn documents_at_the_limits_are_answered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    assert_eq!(client["id"], "1");
    for query in [
        bomb(4, 2, "...f0", "__typename"),
        format!("{{ client(id: 1) {{ {} }} }}", many(30, "a#: id ")),
        format!("{{ {} }}", "__typename ".repeat(20)),
        nested(10),
        format!("{{ client(id: 1) {{ {} }} }}", "id ".repeat(999)),
        format!(
            "{{ client(id: 1) {{ {} }} }}",
            many(50, "... @skip(if: false) { id } ")
        ),
        format!("# {}\n{{ __typename }}", "x".repeat(60_000)),
        "{ clients(first: 50) { nodes { locations(first: 500) { nodes { id } } } } }".to_owned(),
        "{ clients(first: 25) { nodes { history(first: 500) { nodes { fields { field old new } } } } } }"
            .to_owned(),
        "{ __schema { types { fields { type { fields { name } } } } } }".to_owned(),
        // Fields of types are no fields of changes.
        format!(
            "{{ __type(name: \"Query\") {{ fields {{ type {{ fields {{ type {{ fields {{ {} }} }} }} }} }} }} }}",
            "name ".repeat(900)
        ),
    ] {
        app.data(&query, json!({})).await;
    }
}

#[rstest]
#[tokio::test]
async fn page_sizes_in_variables_count_as_well(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let query = "query ($first: Int, $default: Int = 500) {
        clients(first: $first) { nodes { locations(first: $default) { nodes { id } } } } }";
    app.data(query, json!({ "first": 50 })).await;
    for variables in [
        json!({ "first": 500 }),
        json!({ "first": 500, "default": 100 }),
    ] {
        let answer = app.graphql(query, variables).await;
        assert_is_refused("variables", &answer, 0, "LIMIT_EXCEEDED");
    }
}

#[rstest]
#[tokio::test]
async fn refused_mutations_write_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let create = "a#: createClient(input: { name: \"A\", primaryLocation: { name: \"B\", \
                  state: \"CO\", country: \"US\" } }) { client { id } } ";
    let answer = app
        .graphql(&format!("mutation {{ {} }}", many(21, create)), json!({}))
        .await;
    assert_is_refused("21 mutations", &answer, 0, "LIMIT_EXCEEDED");
    assert_eq!(app.counts().await, [0, 0]);
    app.data(&format!("mutation {{ {} }}", many(20, create)), json!({}))
        .await;
    assert_eq!(app.counts().await, [20, 20]);
}
