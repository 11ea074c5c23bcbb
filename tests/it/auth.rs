//! Who may do what: every way to send a token, and a matrix of every route and
//! every root field against every kind of token.

use std::time::Duration;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, TypeKind, TypeSystemDefinition},
};
use axum::http::{Method, StatusCode, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clientele::{
    auth::tokens,
    config::Settings,
    graphql::schema,
    rest::{Action, Routes},
};
use rstest::rstest;
use serde_json::json;

use crate::support::{Engine, TestApp, USER};

const CLIENTS: &str = "/api/v1/clients";

#[rstest]
#[tokio::test]
async fn both_documented_forms_are_accepted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let token = &app.token;
    let basic = |text: &str| BASE64_STANDARD.encode(text);
    for value in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER  {token} "),
        format!("Basic {}", basic(&format!("{USER}/token:{token}"))),
        format!("basic {}", basic(&format!("{USER}/token:{token}"))),
    ] {
        let answer = app.call(Method::GET, CLIENTS).header(AUTHORIZATION, &value);
        assert_eq!(answer.send().await.status, StatusCode::OK, "{value}");
    }
}

#[rstest]
#[tokio::test]
async fn anything_else_is_refused_with_one_and_the_same_body(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let token = &app.token;
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let prefix = tokens::prefix_of(token).unwrap();
    let mut bodies = Vec::new();
    for value in [
        String::new(),
        "Basic".to_owned(),
        "Bearer".to_owned(),
        "Basic !!!".to_owned(),
        "Digest abc".to_owned(),
        token.clone(),
        basic("no colon"),
        basic(&format!("{USER}:{token}")),
        basic(&format!("somebody/token:{token}")),
        basic(&format!("{USER}/TOKEN:{token}")),
        basic(&format!("{USER}/token:{token}x")),
        basic(&format!("/token:{token}")),
        basic(&format!("a:b/token:{token}")),
        format!("Bearer {}", &token[..token.len() - 1]),
        format!("Bearer clt_{prefix}_{}", "A".repeat(43)),
        format!("Bearer {}", "x".repeat(30_000)),
    ] {
        let call = app.call(Method::GET, CLIENTS).header(AUTHORIZATION, &value);
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
        let mut body = answer.json();
        body["request_id"].take();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_revoked_token_stops_working_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::OK);
    revoke(&app).await;
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::UNAUTHORIZED);
}

/// As the program serves: nobody makes it look up the same unknown token again and again.
#[rstest]
#[tokio::test]
async fn an_unknown_token_is_remembered_too(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let settings = Settings {
        token_cache_ms: 5_000,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let unknown = format!("clt_{:012x}_{}", 7, "A".repeat(43));
    app.take_statements();
    for _ in 0..3 {
        let answer = app.call(Method::GET, CLIENTS).bearer(&unknown).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.take_statements().len(), 1);
}

async fn revoke(app: &TestApp) {
    let transaction = app.database.begin().await.unwrap();
    let prefix = tokens::prefix_of(&app.token).unwrap();
    let revoked = tokens::revoke(&transaction, &app.database.clock, prefix).await;
    assert!(revoked.unwrap().is_some());
    transaction.commit().await.unwrap();
}

/// As the program serves: a token that was found valid is remembered for a moment.
#[rstest]
#[tokio::test]
async fn a_remembered_token_is_not_looked_up_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let settings = Settings {
        token_cache_ms: 60_000,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let lookups = || {
        let mut statements = app.take_statements();
        statements.retain(|sql| sql.contains("api_token"));
        statements.len()
    };
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::OK);
    assert_eq!(lookups(), 1);
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::OK);
    assert_eq!(lookups(), 0);

    // The name must be right each time, and what is not valid is never taken for valid.
    let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
    let other_user = basic(&format!("other/token:{}", app.token));
    let mut other_token = app.token.clone();
    other_token.pop();
    other_token.push('!');
    for value in [other_user, format!("Bearer {other_token}")] {
        for _ in 0..2 {
            let answer = app.call(Method::GET, CLIENTS).header(AUTHORIZATION, &value);
            assert_eq!(answer.send().await.status, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(lookups(), 1);
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::OK);
}

/// It is remembered for so long and not longer, whoever uses it meanwhile.
#[rstest]
#[tokio::test]
async fn a_remembered_token_that_was_revoked_stops_working(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let settings = Settings {
        token_cache_ms: 100,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    assert_eq!(app.get(CLIENTS).await.status, StatusCode::OK);
    revoke(&app).await;
    let refused = async {
        while app.get(CLIENTS).await.status == StatusCode::OK {}
        app.get(CLIENTS).await.status
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused).await;
    assert_eq!(refused.unwrap(), StatusCode::UNAUTHORIZED);
}

/// From the route table, so that a new route cannot be forgotten.
#[rstest]
#[tokio::test]
async fn every_rest_route_asks_for_a_token_and_every_writing_one_for_its_scope(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let mut routes = 0;
    for route in &Routes::load().0 {
        let writes = matches!(route.action, Action::Create | Action::Update);
        let method = match route.action {
            Action::List | Action::Read => Method::GET,
            Action::Create => Method::POST,
            Action::Update => Method::PUT,
        };
        let path = route
            .path()
            .replace(&format!("{{{}}}", route.resource.id_name), "1");
        let location = json!({ "name": "x", "state": "CO", "country": "US" });
        let fields = match (route.resource.wrapper, route.action) {
            ("client", Action::Create) => json!({ "name": "x", "primary_location": location }),
            (_, Action::Create) => {
                json!({ "root_id": 1, "name": "x", "state": "CO", "country": "US" })
            }
            _ => json!({ "name": "x" }),
        };
        let body = json!({ route.resource.wrapper: fields });
        let call = || {
            if writes {
                app.call(method.clone(), &path).json(&body)
            } else {
                app.call(method.clone(), &path)
            }
        };
        let anonymous = call().anonymous().send().await;
        assert_eq!(
            anonymous.status,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        let wrong = call().bearer("clt_wrong").send().await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let reader = call().bearer(&app.read_token).send().await;
        if writes {
            assert_eq!(reader.status, StatusCode::FORBIDDEN, "{method} {path}");
        } else {
            assert_eq!(reader.status, StatusCode::OK, "{method} {path}");
        }
        routes += 1;
    }
    assert_eq!(routes, 8);
    assert_nothing_written(&app).await;
}

/// From the SDL, so that a new field cannot be forgotten.
#[rstest]
#[tokio::test]
async fn every_root_field_asks_for_a_token_and_every_mutation_for_its_scope(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let mut mutations = 0;
    for (root, field) in root_fields() {
        let arguments: Vec<_> = field
            .arguments
            .iter()
            .filter(|argument| !argument.node.ty.node.nullable)
            .map(|argument| {
                let name = &argument.node.name.node;
                (
                    format!("${name}: {}", argument.node.ty.node),
                    format!("{name}: ${name}"),
                )
            })
            .collect();
        let (declared, passed): (Vec<_>, Vec<_>) = arguments.into_iter().unzip();
        let list = |items: Vec<String>| {
            if items.is_empty() {
                String::new()
            } else {
                format!("({})", items.join(", "))
            }
        };
        let kind = root.to_lowercase();
        let (declared, passed) = (list(declared), list(passed));
        let name = &field.name.node;
        let query = format!("{kind} {declared} {{ alias: {name}{passed} {{ __typename }} }}");
        let variables = json!({ "id": "1", "input": {
            "clientId": "1", "name": "x", "state": "CO", "country": "US",
        } });
        let call = || {
            app.call(Method::POST, "/graphql")
                .json(&json!({ "query": query, "variables": variables }))
        };
        for anonymous in [call().anonymous(), call().bearer("clt_wrong")] {
            let answer = anonymous.send().await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{query}");
            assert_eq!(
                answer.json()["errors"][0]["extensions"]["code"],
                "UNAUTHENTICATED"
            );
        }
        let reader = call().bearer(&app.read_token).send().await;
        if root == "Query" {
            assert_eq!(reader.status, StatusCode::OK, "{query}");
            assert_eq!(reader.json().get("errors"), None, "{query}");
        } else {
            assert_eq!(reader.status, StatusCode::FORBIDDEN, "{query}");
            assert_eq!(
                reader.json()["errors"][0]["extensions"]["code"],
                "FORBIDDEN"
            );
            mutations += 1;
        }
    }
    assert!(mutations >= 4);
    assert_nothing_written(&app).await;
}

#[rstest]
#[tokio::test]
async fn only_the_pages_without_data_are_open(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/graphiql",
        "/api/v1/openapi.json",
    ] {
        let answer = app.call(Method::GET, path).anonymous().send().await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let home = app.call(Method::GET, "/").anonymous().send().await;
    assert_eq!(home.status, StatusCode::SEE_OTHER);
    assert_eq!(home.header("location"), Some("/graphiql"));
}

async fn assert_nothing_written(app: &TestApp) {
    let data = app
        .data(
            "{ clients { totalCount nodes { version } } clientLocations { totalCount } }",
            json!({}),
        )
        .await;
    let expected = json!({
        "clients": { "totalCount": 1, "nodes": [{ "version": 1 }] },
        "clientLocations": { "totalCount": 1 },
    });
    assert_eq!(data, expected);
}

/// The fields of the root types, each with the name of its root.
fn root_fields() -> Vec<(&'static str, FieldDefinition)> {
    let mut fields = Vec::new();
    for definition in parse_schema(schema::sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let definition = definition.node;
        let root = match definition.name.node.as_str() {
            "Query" => "Query",
            "Mutation" => "Mutation",
            _ => continue,
        };
        if let TypeKind::Object(object) = definition.kind {
            for field in object.fields {
                assert!(matches!(field.node.ty.node.base, BaseType::Named(_)));
                fields.push((root, field.node));
            }
        }
    }
    fields
}
