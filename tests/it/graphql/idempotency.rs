//! `Idempotency-Key` on mutations: those of one request take effect together, once.

use axum::http::{Method, StatusCode, header::ACCEPT};
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::{CREATE_CLIENT, UPDATE_CLIENT};
use crate::support::{Answer, Engine, TestApp, assert_replays, is_replayed};

/// A mutation of two fields, each of which selects what must be read for it.
const CREATE_AND_UPDATE: &str = "
    mutation ($input: CreateClientInput!, $id: ID!, $change: UpdateClientInput!, $version: Int) {
      createClient(input: $input) {
        client { id locations(first: 5) { totalCount nodes { id client { name } } } }
      }
      updateClient(id: $id, input: $change, expectedVersion: $version) {
        client { version primaryLocation { name } locations { nodes { name } } }
      }
    }";

fn input(name: &str) -> Value {
    json!({
        "name": name,
        "primaryLocation": { "name": "Main", "state": "CO", "country": "US" },
    })
}

async fn send(app: &TestApp, key: &str, query: &str, variables: &Value) -> Answer {
    let call = app.call(Method::POST, "/graphql").bearer(&app.token);
    call.header("idempotency-key", key)
        .json(&json!({ "query": query, "variables": variables }))
        .send()
        .await
}

/// The code of the only error of an answer without data.
#[track_caller]
fn code(answer: &Answer) -> Value {
    let answer = answer.json();
    assert_eq!(answer["data"], Value::Null, "{answer:#}");
    let [error] = answer["errors"].as_array().unwrap().as_slice() else {
        panic!("{answer:#}");
    };
    error["extensions"]["code"].clone()
}

async fn keys(app: &TestApp) -> i64 {
    let db = &app.database.reader;
    let count = "SELECT count(*) AS count FROM idempotency_key";
    let count = Statement::from_string(db.get_database_backend(), count);
    let row = db.query_one_raw(count).await.unwrap().unwrap();
    row.try_get("", "count").unwrap()
}

#[rstest]
#[tokio::test]
async fn a_mutation_is_done_once_however_often_it_is_sent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let variables = json!({ "input": input("Birch") });
    let first = send(&app, "a", CREATE_CLIENT, &variables).await;
    assert_eq!(first.json()["errors"], Value::Null, "{}", first.text());
    for _ in 1..20 {
        let again = send(&app, "a", CREATE_CLIENT, &variables).await;
        assert_replays(&first, &again);
    }
    let twins = (0..20).map(|_| send(&app, "b", CREATE_CLIENT, &variables));
    let twins = join_all(twins).await;
    let new = twins.iter().filter(|answer| !is_replayed(answer));
    assert_eq!(new.count(), 1);
    assert!(twins.iter().all(|answer| answer.body == twins[0].body));
    assert_eq!(app.counts().await, [2, 2]);
    assert_eq!(keys(&app).await, 2);
}

/// Both media types have the same content, and those who know one may not know the other.
#[rstest]
#[tokio::test]
async fn a_retry_gets_the_media_type_that_it_asks_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let (response, plain) = ("application/graphql-response+json", "application/json");
    let missing = json!({ "id": 4711, "input": { "name": "B" } });
    for (key, query, variables) in [
        ("done", CREATE_CLIENT, json!({ "input": input("Birch") })),
        ("refused", UPDATE_CLIENT, missing),
    ] {
        let body = json!({ "query": query, "variables": variables });
        let send = async |accept: &str| {
            let call = app.call(Method::POST, "/graphql").bearer(&app.token);
            let call = call.header("idempotency-key", key).header(ACCEPT, accept);
            call.json(&body).send().await
        };
        let first = send(response).await;
        assert!(!is_replayed(&first));
        for accept in [plain, response, plain] {
            let again = send(accept).await;
            assert!(is_replayed(&again));
            let expected = format!("{accept}; charset=utf-8");
            assert_eq!(again.header("content-type"), Some(&*expected));
            assert_eq!(again.status, first.status);
            assert_eq!(again.body, first.body);
        }
    }
    assert_eq!(app.counts().await, [1, 1]);
}

#[rstest]
#[tokio::test]
async fn another_request_with_the_key_is_refused_and_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let variables = json!({ "input": input("Birch") });
    let first = send(&app, "my-key", CREATE_CLIENT, &variables).await;
    assert!(!is_replayed(&first));
    let renamed = CREATE_CLIENT.replace("mutation", "mutation Renamed");
    for (query, variables) in [
        (CREATE_CLIENT, json!({ "input": input("Larch") })),
        (&renamed, variables.clone()),
        (
            UPDATE_CLIENT,
            json!({ "id": 1, "input": { "name": "Larch" } }),
        ),
    ] {
        let answer = send(&app, "my-key", query, &variables).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(code(&answer), "VALIDATION_FAILED");
        assert!(answer.text().contains("'my-key'"), "{}", answer.text());
        assert!(!is_replayed(&answer));
    }
    // Nor may REST have it.
    let rest = app.call(Method::POST, "/api/v1/clients");
    let rest = rest
        .header("idempotency-key", "my-key")
        .json(&json!({ "client": {} }));
    assert_eq!(rest.send().await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.counts().await, [1, 1]);
    assert_eq!(keys(&app).await, 1);
}

#[rstest]
#[tokio::test]
async fn a_malformed_key_is_refused_and_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = send(
            &app,
            key,
            CREATE_CLIENT,
            &json!({ "input": input("Birch") }),
        )
        .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{key}");
        assert_eq!(code(&answer), "VALIDATION_FAILED");
        let start = "The header 'Idempotency-Key' is malformed";
        assert!(answer.text().contains(start), "{}", answer.text());
    }
    assert_eq!(app.counts().await, [0, 0]);
}

#[rstest]
#[tokio::test]
async fn a_query_takes_no_notice_of_a_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let count = "{ clients { totalCount } }";
    for key in ["a", "a", ""] {
        let answer = send(&app, key, count, &json!({})).await;
        assert_eq!(answer.json()["data"]["clients"]["totalCount"], 0);
        assert!(!is_replayed(&answer));
    }
    // Nor do those who may write nothing.
    let body = json!({ "query": CREATE_CLIENT, "variables": { "input": input("Birch") } });
    let call = app.call(Method::POST, "/graphql").bearer(&app.read_token);
    let refused = call.header("idempotency-key", "a").json(&body).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(keys(&app).await, 0);
}

/// All that is selected is read in the transaction, before anybody else sees it.
#[rstest]
#[tokio::test]
async fn mutations_of_one_request_are_done_together(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let old = app.create_client(json!({ "name": "Old" })).await;
    let variables = json!({
        "input": input("Birch"),
        "id": old["id"],
        "change": { "name": "Newer", "primaryLocation": { "name": "Moved" } },
        "version": 1,
    });
    let first = send(&app, "a", CREATE_AND_UPDATE, &variables).await;
    let data = first.json()["data"].take();
    let created = &data["createClient"]["client"];
    assert_eq!(created["locations"]["totalCount"], 1, "{}", first.text());
    assert_eq!(created["locations"]["nodes"][0]["client"]["name"], "Birch");
    let updated = json!({
        "version": 2,
        "primaryLocation": { "name": "Moved" },
        "locations": { "nodes": [{ "name": "Moved" }] },
    });
    assert_eq!(data["updateClient"]["client"], updated);
    assert_eq!(app.client(&old["id"]).await["name"], "Newer");

    let again = send(&app, "a", CREATE_AND_UPDATE, &variables).await;
    assert_replays(&first, &again);
    assert_eq!(app.counts().await, [2, 2]);
}

/// Without data nothing was done, whichever mutation failed; and that is final.
#[rstest]
#[tokio::test]
async fn a_mutation_that_fails_takes_those_before_it_along(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let old = app.create_client(json!({ "name": "Old" })).await;
    let nameless = json!({ "name": "" });
    for (key, id, change, version, expected) in [
        ("stale", &old["id"], json!({ "name": "New" }), 7, "CONFLICT"),
        ("wrong", &old["id"], nameless, 1, "VALIDATION_FAILED"),
        (
            "missing",
            &json!("4711"),
            json!({ "name": "New" }),
            1,
            "NOT_FOUND",
        ),
    ] {
        let variables = json!({
            "input": input("Birch"), "id": id, "change": change, "version": version,
        });
        let first = send(&app, key, CREATE_AND_UPDATE, &variables).await;
        assert_eq!(code(&first), expected);
        let again = send(&app, key, CREATE_AND_UPDATE, &variables).await;
        assert_replays(&first, &again);
    }
    assert_eq!(app.counts().await, [1, 1]);
    assert_eq!(app.client(&old["id"]).await, old);
    assert_eq!(keys(&app).await, 3);
}

/// A field that fails drops those beside it, which are reading in the same transaction.
#[rstest]
#[tokio::test]
async fn a_field_that_fails_within_an_answer_leaves_no_half_of_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let query = "
        mutation ($input: CreateClientInput!) {
          createClient(input: $input) {
            client {
              a: locations(first: 1) { nodes { name } }
              b: locations(first: 2) { nodes { name } }
              c: locations(first: 3) { nodes { name } }
              d: locations(first: 4) { nodes { name } }
              primaryLocation { client { locations(first: 501) { totalCount } } }
            }
          }
        }";
    for round in 0..10 {
        let variables = json!({ "input": input("Birch") });
        let key = format!("key-{round}");
        let first = send(&app, &key, query, &variables).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text());
        assert_eq!(code(&first), "VALIDATION_FAILED");
        assert_replays(&first, &send(&app, &key, query, &variables).await);
    }
    assert_eq!(app.counts().await, [0, 0]);
}

/// The document does not fit the schema: nothing was executed.
#[rstest]
#[tokio::test]
async fn a_document_that_is_wrong_leaves_the_key_free(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let variables = json!({ "input": input("Birch") });
    for wrong in [
        CREATE_CLIENT.replace("client {", "customer {"),
        CREATE_CLIENT.replace('}', ""),
    ] {
        let answer = send(&app, "a", &wrong, &variables).await;
        assert!(!is_replayed(&answer));
        assert_eq!(answer.json().get("data"), None, "{}", answer.text());
    }
    assert_eq!(keys(&app).await, 0);
    let first = send(&app, "a", CREATE_CLIENT, &variables).await;
    assert_eq!(first.json()["errors"], Value::Null, "{}", first.text());
    assert!(!is_replayed(&first));
}

/// What failed may pass: nothing is kept, neither of it nor of what came before.
#[rstest]
#[tokio::test]
async fn what_the_database_failed_is_done_by_the_retry(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let old = app.create_client(json!({ "name": "Old" })).await;
    let (refuse, accept, expected) = match engine {
        Engine::Sqlite => (
            "CREATE TRIGGER refuse BEFORE UPDATE ON client \
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "DROP TRIGGER refuse",
            "INTERNAL",
        ),
        Engine::Postgres => (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER refuse BEFORE UPDATE ON client \
             FOR EACH ROW EXECUTE FUNCTION refuse()",
            "DROP TRIGGER refuse ON client",
            "UNAVAILABLE",
        ),
    };
    let db = app.database.writer();
    db.execute_unprepared(refuse).await.unwrap();
    let variables = json!({
        "input": input("Birch"), "id": old["id"], "change": { "name": "New" }, "version": 1,
    });
    for _ in 0..2 {
        let failed = send(&app, "a", CREATE_AND_UPDATE, &variables).await;
        assert_eq!(code(&failed), expected);
        assert!(!is_replayed(&failed));
        assert_eq!(app.counts().await, [1, 1]);
        assert_eq!(keys(&app).await, 0);
    }
    db.execute_unprepared(accept).await.unwrap();
    let first = send(&app, "a", CREATE_AND_UPDATE, &variables).await;
    assert_eq!(first.json()["errors"], Value::Null, "{}", first.text());
    let again = send(&app, "a", CREATE_AND_UPDATE, &variables).await;
    assert_replays(&first, &again);
    assert_eq!(app.counts().await, [2, 2]);
}
