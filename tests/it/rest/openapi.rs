//! `GET /api/v1/openapi.json`: the description of what the other tests call.

mod schema;
mod values;
mod verdicts;

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode, header::IF_MATCH};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    CLIENTS, LOCATIONS, Record, client_fields, create_client, location_fields, read, refused, url,
};
use crate::support::{Engine, TestApp};

const DOCUMENT: &str = "/api/v1/openapi.json";

#[rstest]
#[tokio::test]
async fn the_document_needs_no_token(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let answer = app.call(Method::GET, DOCUMENT).anonymous().send().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut document = answer.json();
    assert_eq!(
        document["info"]["version"].take(),
        env!("CARGO_PKG_VERSION")
    );
    insta::assert_json_snapshot!("openapi", document);
}

#[rstest]
#[tokio::test]
async fn every_route_is_described_with_what_it_takes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let names: Vec<_> = parameters
                .iter()
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            routes.push(format!("{method} {path} ({})", names.join(", ")));
        }
    }
    routes.sort();
    let times = "created_from, created_to, updated_from, updated_to";
    let paging = "search, dir, per_page, page, mode";
    let preconditions_of_get = "If-None-Match, If-Match";
    let headers_of_put = "If-Match, If-None-Match, Idempotency-Key";
    assert_eq!(
        routes,
        [
            format!("get {LOCATIONS} (id, name, parent, salesperson, {times}, {paging})"),
            format!(
                "get {LOCATIONS}/{{client_location_id}} (client_location_id, {preconditions_of_get})"
            ),
            format!(
                "get {CLIENTS} (id, name, account_code, salesperson, case_manager, {times}, \
                 {paging})"
            ),
            format!("get {CLIENTS}/{{client_id}} (client_id, {preconditions_of_get})"),
            format!("post {LOCATIONS} (Idempotency-Key)"),
            format!("post {CLIENTS} (Idempotency-Key)"),
            format!(
                "put {LOCATIONS}/{{client_location_id}} (client_location_id, {headers_of_put})"
            ),
            format!("put {CLIENTS}/{{client_id}} (client_id, {headers_of_put})"),
        ]
    );
}

#[rstest]
#[tokio::test]
async fn what_is_answered_is_what_is_described(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let schemas = read(&app, DOCUMENT).await["components"]["schemas"].take();
    let full = create_client(&app, client_fields()).await;
    let least = json!({ "name": "Least", "primary_location": {
        "name": "Main", "state": "CO", "country": "US" } });
    let least = create_client(&app, least).await;
    for client in [full, least] {
        let location = read(&app, &url(Record::Location, &client["primary_location"])).await;
        assert_fits(&client, &schemas["client"]);
        assert_fits(&location, &schemas["client_location"]);
    }
    let problem = refused(
        &app.put(CLIENTS, json!({})).await,
        StatusCode::METHOD_NOT_ALLOWED,
    );
    assert_required(&problem, &schemas["problem"]);
    let invalid = app.post(CLIENTS, json!({ "client": {} })).await;
    let path = url(Record::Client, &read(&app, CLIENTS).await[0]);
    let stale = app.call(Method::PUT, &path).header(IF_MATCH, "\"7\"");
    let stale = stale.json(&json!({ "client": { "name": "Late" } }));
    let stale = refused(&stale.send().await, StatusCode::PRECONDITION_FAILED);
    let mut problem = invalid.json();
    for (name, value) in stale.as_object().unwrap() {
        problem[name] = value.clone();
    }
    assert_fits(&problem, &schemas["problem"]);
}

#[rstest]
#[tokio::test]
async fn what_is_taken_is_what_is_described(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    let created = create_client(&app, client_fields()).await;
    let body = |path: &str, method: &str| {
        document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
            ["properties"]
            .clone()
    };
    let client = &body(CLIENTS, "post")["client"];
    assert_required(&client_fields(), client);
    assert_eq!(names_of(&created), names_of(&client["properties"]));
    let location = &client["properties"]["primary_location"];
    assert_required(&location_fields(), location);

    let update = &body("/api/v1/clients/{client_id}", "put")["client"];
    assert_eq!(update["required"], json!([]));
    assert_eq!(names_of(&created), names_of(&update["properties"]));
    // Null is for what can be cleared.
    let types = [
        "name",
        "notes",
        "email_invoice",
        "has_invoice_reminders",
        "salesperson",
    ]
    .map(|name| &update["properties"][name]["type"]);
    let expected = json!([
        ["string", "integer"],
        ["string", "integer", "null"],
        ["string", "null"],
        ["boolean", "integer", "string"],
        ["integer", "string", "null"],
    ]);
    assert_eq!(json!(types), expected);
    for name in ["id", "created_at", "updated_at", "version"] {
        assert_eq!(update["properties"][name]["readOnly"], true, "{name}");
    }

    let location = &body(LOCATIONS, "post")["client_location"];
    assert_eq!(
        location["required"],
        json!(["root_id", "name", "state", "country"])
    );
    let names = names_of(&created["primary_location"]);
    assert_eq!(names, names_of(&location["properties"]));
}

fn names_of(object: &Value) -> BTreeSet<&String> {
    object.as_object().unwrap().keys().collect()
}

/// Fails if a required member is missing, or one that is there is not described.
fn assert_required(object: &Value, schema: &Value) {
    let described = names_of(&schema["properties"]);
    let names = names_of(object);
    assert!(names.is_subset(&described), "{names:?} {described:?}");
    for required in schema["required"].as_array().unwrap() {
        assert!(
            object.get(required.as_str().unwrap()).is_some(),
            "{required}"
        );
    }
}

/// Fails if `value` is not as in `schema`, or has other members.
fn assert_fits(value: &Value, schema: &Value) {
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&json!(own)), "{value} {schema}");
    match value {
        Value::Object(members) => {
            assert_required(value, schema);
            assert_eq!(names_of(value), names_of(&schema["properties"]));
            for (name, value) in members {
                assert_fits(value, &schema["properties"][name]);
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_fits(item, &schema["items"]);
            }
        }
        leaf => assert!(schema::is_valid(schema, leaf), "{leaf} {schema}"),
    }
}
