//! What the document says of values is what the server does with them: it takes what is
//! valid and refuses the rest.

use std::collections::HashSet;

use axum::http::{Method, StatusCode, header::HeaderName};
use rstest::rstest;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    DOCUMENT,
    schema::is_valid,
    values::{MOMENTS, habits, limits},
};
use crate::{
    rest::{CLIENTS, LOCATIONS, Record, client_fields, create_client, location_fields, read, url},
    support::{Answer, Engine, TestApp},
};

/// A field of a body: where it is, and what the document says of it.
struct Field {
    pointer: String,
    schema: Value,
    is_required: bool,
}

/// All fields of an object at `place`, and of the objects in it.
fn fields(schema: &Value, place: &str) -> Vec<Field> {
    let mut found = Vec::new();
    for (name, own) in schema["properties"].as_object().unwrap() {
        let pointer = format!("{place}/{name}");
        if own.get("properties").is_some() {
            found.extend(fields(own, &pointer));
        }
        let required = schema["required"].as_array().unwrap();
        found.push(Field {
            pointer,
            schema: own.clone(),
            is_required: required.contains(&json!(name)),
        });
    }
    found
}

/// A route that takes a body, with one that it takes.
struct Writing {
    method: Method,
    /// In the document.
    path: &'static str,
    url: String,
    body: Value,
}

impl Writing {
    async fn send(&self, app: &TestApp, body: &Value) -> Answer {
        let call = app.call(self.method.clone(), &self.url);
        call.json(body).send().await
    }

    /// The body with another value in one place.
    fn with(&self, pointer: &str, value: &Value) -> Value {
        let mut body = self.body.clone();
        let (place, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(place).unwrap()[name] = value.clone();
        body
    }

    /// Whether it depends on the records, and not on the value alone, if a valid one is
    /// taken.
    fn depends_on_records(&self, pointer: &str, value: &Value) -> bool {
        let is_update = self.method == Method::PUT;
        match pointer {
            "/client_location/is_primary" => is_update,
            "/client_location/root_id" => !is_update && ![json!(1), json!("1")].contains(value),
            _ => is_update && pointer.ends_with("/id"),
        }
    }
}

async fn writings(app: &TestApp) -> Vec<Writing> {
    let client = create_client(app, client_fields()).await;
    assert_eq!(client["id"], 1);
    let mut location = location_fields();
    location["root_id"] = client["id"].clone();
    let primary = json!({ "name": "Head office" });
    vec![
        Writing {
            method: Method::PUT,
            path: "/api/v1/clients/{client_id}",
            url: url(Record::Client, &client),
            body: Record::Client.body(json!({ "name": "Birch", "primary_location": primary })),
        },
        Writing {
            method: Method::PUT,
            path: "/api/v1/client/locations/{client_location_id}",
            url: url(Record::Location, &client["primary_location"]),
            body: Record::Location.body(json!({ "name": "Head office" })),
        },
        Writing {
            method: Method::POST,
            path: CLIENTS,
            url: CLIENTS.to_owned(),
            body: Record::Client.body(client_fields()),
        },
        Writing {
            method: Method::POST,
            path: LOCATIONS,
            url: LOCATIONS.to_owned(),
            body: Record::Location.body(location),
        },
    ]
}

/// The verdict of the server.
fn is_taken(answer: &Answer, sent: &str) -> bool {
    let is_refused = answer.status.is_client_error();
    let start: String = sent.chars().take(300).collect();
    assert!(
        is_refused || answer.status.is_success(),
        "{start}: {}",
        answer.text()
    );
    !is_refused
}

// What a value is taken for does not depend on the engine.
#[rstest]
#[tokio::test]
async fn bodies_are_taken_exactly_if_they_are_valid(#[values(Engine::Sqlite)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    let habits = habits();
    let mut tried = HashSet::new();
    let mut differences = Vec::new();
    for writing in writings(&app).await {
        let method = writing.method.as_str().to_lowercase();
        let operation = &document["paths"][writing.path][&method];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        for field in fields(schema, "") {
            if field.schema.get("properties").is_some() {
                continue;
            }
            let pointer = &field.pointer;
            // One rule is tried at its limits wherever it holds, and otherwise once.
            let name = pointer.rsplit('/').next().unwrap().to_owned();
            let is_new = tried.insert((name, field.schema.to_string()));
            let habits = if is_new { &habits[..] } else { &[] };
            for value in limits(&field.schema).iter().chain(habits) {
                let is_valid = is_valid(&field.schema, value);
                if is_valid && writing.depends_on_records(pointer, value) {
                    continue;
                }
                // Of these formats the document has no white space around a text.
                let is_padded = value.as_str().is_some_and(|text| text != text.trim());
                if is_padded && matches!(field.schema["format"].as_str(), Some("email" | "uri")) {
                    continue;
                }
                let body = writing.with(pointer, value);
                let sent = format!("{method} {pointer} {value}");
                let answer = writing.send(&app, &body).await;
                if is_taken(&answer, &sent) != is_valid {
                    let start: String = sent.chars().take(300).collect();
                    differences.push(format!("{start}: {}", answer.status));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[rstest]
#[tokio::test]
async fn members_are_required_and_known_as_described(#[values(Engine::Sqlite)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    for writing in writings(&app).await {
        let method = writing.method.as_str().to_lowercase();
        let operation = &document["paths"][writing.path][&method];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        for field in fields(schema, "") {
            let (place, name) = field.pointer.rsplit_once('/').unwrap();
            let mut body = writing.body.clone();
            let object = body.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.remove(name);
            let sent = format!("{method} without {}", field.pointer);
            let answer = writing.send(&app, &body).await;
            assert_eq!(is_taken(&answer, &sent), !field.is_required, "{sent}");

            let Some(closed) = field.schema.get("additionalProperties") else {
                continue;
            };
            assert_eq!(closed, false);
            for value in [json!(null), json!("a"), json!([])] {
                let answer = writing
                    .send(&app, &writing.with(&field.pointer, &value))
                    .await;
                let sent = format!("{method} {} {value}", field.pointer);
                assert!(!is_taken(&answer, &sent), "{sent}");
            }
            let unknown = writing.with(&format!("{}/colour", field.pointer), &json!("red"));
            let answer = writing.send(&app, &unknown).await;
            assert!(!is_taken(&answer, &sent), "{unknown}");
        }
    }
}

/// A parameter's value as the document speaks of it.
fn meant(schema: &Value, text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.is_empty()
        && (!digits.starts_with('0') || text == "0");
    if schema["type"] == "integer" && is_canonical {
        serde_json::from_str(text).unwrap()
    } else {
        json!(text)
    }
}

#[rstest]
#[tokio::test]
async fn parameters_are_taken_exactly_if_they_are_valid(
    #[values(Engine::Sqlite)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    let parameters = &document["paths"][record.path()]["get"]["parameters"];
    let habits = habits();
    let habits = habits
        .iter()
        .filter_map(Value::as_str)
        .chain(MOMENTS.iter().copied());
    let habits: Vec<_> = habits.map(str::to_owned).collect();
    for parameter in parameters.as_array().unwrap() {
        let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
        assert_eq!(parameter["allowEmptyValue"], true);
        let limits = limits(schema).into_iter().map(|limit| match limit {
            Value::String(text) => text,
            other => other.to_string(),
        });
        for value in limits.chain(habits.clone()) {
            let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let sent = format!("{}?{name}={encoded}", record.path());
            if sent.len() > 8_000 {
                // Longer than URLs may be.
                continue;
            }
            let is_valid = value.is_empty() || is_valid(schema, &meant(schema, &value));
            let answer = app.get(&sent).await;
            assert_eq!(is_taken(&answer, &sent), is_valid, "{name}={value}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn headers_are_taken_exactly_if_they_are_valid(#[values(Engine::Sqlite)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let document = read(&app, DOCUMENT).await;
    let client = create_client(&app, client_fields()).await;
    let url = url(Record::Client, &client);
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    let values = [
        "*",
        "\"1\"",
        "W/\"1\"",
        "\"\"",
        "\"1\", \"2\"",
        "\"1\" ,W/\"2\"",
        "1",
        "\"1",
        "\"a b\"",
        "\"1\" \"2\"",
        "*, \"1\"",
        "a",
        "a b",
        "\"a\\\"b\"",
        "\"a\\b\"",
        "a\"b",
        &longest,
        &too_long,
    ];
    for method in [Method::GET, Method::PUT] {
        let operation = method.as_str().to_lowercase();
        let operation = &document["paths"]["/api/v1/clients/{client_id}"][&operation];
        for parameter in operation["parameters"].as_array().unwrap() {
            if parameter["in"] != "header" {
                continue;
            }
            let name = parameter["name"].as_str().unwrap();
            for value in values {
                let header = HeaderName::try_from(name).unwrap();
                let call = app.call(method.clone(), &url).header(header, value);
                let body = json!({ "client": { "notes": value } });
                let call = if method == Method::PUT {
                    call.json(&body)
                } else {
                    call
                };
                let answer = call.send().await;
                let is_valid = is_valid(&parameter["schema"], &json!(value));
                let is_taken = answer.status != StatusCode::BAD_REQUEST;
                assert_eq!(is_taken, is_valid, "{method} {name}: {value}");
            }
        }
    }
}
