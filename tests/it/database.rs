//! Databases that are set up otherwise than the gateway would: it works all the same, or
//! says what is wrong.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use axum::{
    Router,
    http::{Method, StatusCode},
};
use clientele::{
    app::router, clock::Clock, config::Settings, gateway::Gateway, storage::database::Database,
};
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    cli::{run, stderr, stdout},
    support::{Engine, TestApp},
};

/// A gateway over the same database, which has got another default meanwhile: that holds
/// for connections that are opened from then on.
async fn gateway_after(app: &TestApp, setting: &str) -> Router {
    let alter = format!(
        "DO $do$ BEGIN EXECUTE format($sql$ALTER DATABASE %I SET {setting}$sql$, \
         current_database()); END $do$"
    );
    let writer = app.database.writer();
    writer.execute_unprepared(&alter).await.unwrap();
    let database = Database::connect(&app.database_url, 8, Clock::system());
    router(Gateway::new(database.await.unwrap(), Settings::default()))
}

#[rstest]
#[tokio::test]
async fn columns_may_be_added_and_widened_under_a_running_gateway(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let update = "mutation ($name: String!) { updateClient(id: 1, input: { name: $name })
                  { client { name version } } }";
    let deep = "mutation ($name: String!) { updateClient(id: 1, input: { primaryLocation:
                { name: $name } }) { client { name } } }";
    let read = "{ client(id: 1) { notes primaryLocation { name } } clients { nodes { notes } } }";
    let mut changes = vec!["ALTER TABLE client ADD COLUMN later text"];
    if engine == Engine::Postgres {
        changes.push("ALTER TABLE client ALTER COLUMN notes TYPE varchar");
    }
    for change in changes {
        for number in 0..8 {
            // Prepared by each of several connections.
            let name = json!({ "name": format!("Name {number}") });
            let calls = [
                (update, name.clone()),
                (deep, name.clone()),
                (read, json!({})),
            ];
            join_all(calls.into_iter().map(async |(query, variables)| {
                app.data(query, variables).await;
            }))
            .await;
        }
        app.database
            .writer()
            .execute_unprepared(change)
            .await
            .unwrap();
        for name in ["One", "Two"] {
            app.data(update, json!({ "name": name })).await;
            app.data(read, json!({})).await;
            // A transaction cannot begin anew; columns are only added while a gateway runs.
            if change.contains("ADD COLUMN") {
                app.data(deep, json!({ "name": name })).await;
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_database_that_takes_no_writes_is_told_of_and_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let router = match engine {
        // As after a fail-over, where a standby answers.
        Engine::Postgres => gateway_after(&app, "default_transaction_read_only = on").await,
        Engine::Sqlite => {
            let read_only = "PRAGMA query_only = ON";
            let writer = app.database.writer();
            writer.execute_unprepared(read_only).await.unwrap();
            app.router.clone()
        }
    };
    let path = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
    let location = json!({ "name": "Main", "state": "CO", "country": "US" });
    let create = json!({ "client": { "name": "New", "primary_location": location } });
    let update = json!({ "client": { "name": "New" } });
    let deep = json!({ "client": { "primary_location": { "city": "Salem" } } });
    for (method, path, body) in [
        (Method::POST, "/api/v1/clients", &create),
        (Method::PUT, &path, &update),
        (Method::PUT, &path, &deep),
    ] {
        for key in [None, Some("8e03978e-40d5-43dd-bc93-6894a57f9324")] {
            let call = app.call(method.clone(), path).json(body);
            let call = match key {
                Some(key) => call.header("idempotency-key", key),
                None => call,
            };
            let answer = call.send_to(&router).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            let problem = answer.json();
            assert_eq!(
                problem["detail"],
                "The database takes no writes at the moment, as after a fail-over. Reading goes \
                 on. Try again shortly."
            );
        }
    }
    let mutation = json!({ "query": format!(
        "mutation {{ updateClient(id: {}, input: {{ name: \"New\" }}) {{ client {{ id }} }} }}",
        client["id"]
    ) });
    let call = app.call(Method::POST, "/graphql").bearer(&app.token);
    let answer = call.json(&mutation).send_to(&router).await.json();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE");

    for (path, expected) in [
        ("/readyz", None),
        (
            "/api/v1/clients?mode=count",
            Some(json!({ "record_count": 1, "page_count": 1 })),
        ),
        // Where a full page of a poll ends would be kept.
        ("/api/v1/clients?updated_from=1970-01-01&per_page=1", None),
    ] {
        let answer = app.call(Method::GET, path).send_to(&router).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        if let Some(expected) = expected {
            assert_eq!(answer.json(), expected);
        }
    }
    let read = app.call(Method::GET, &path).send_to(&router).await;
    assert_eq!(read.json()["name"], "Acme");
}

/// By default some databases isolate transactions so strictly that one of two writers of
/// a record is refused.
#[rstest]
#[tokio::test]
async fn writers_of_one_client_wait_for_each_other_whatever_the_default(
    #[values("serializable", "repeatable read")] level: &str,
) {
    let app = TestApp::start(Engine::Postgres).await;
    let client = app.create_client(json!({})).await;
    let setting = format!("default_transaction_isolation = '{level}'");
    let router = gateway_after(&app, &setting).await;
    let path = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
    let writes = (0..20).map(|number| {
        let fields = if number % 2 == 0 {
            json!({ "notes": number.to_string() })
        } else {
            json!({ "primary_location": { "notes": number.to_string() } })
        };
        let body = json!({ "client": fields });
        app.call(Method::PUT, &path).json(&body).send_to(&router)
    });
    for answer in join_all(writes).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    assert_eq!(app.get(&path).await.json()["version"], 21);
}

#[tokio::test]
async fn a_new_database_file_is_for_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("clientele.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mode = |suffix: &str| {
        let name = format!("{}{suffix}", file.display());
        fs::metadata(name).unwrap().permissions().mode() & 0o777
    };
    let database = Database::connect(&url, 1, Clock::system()).await.unwrap();
    let transaction = database.begin_migration().await.unwrap();
    Database::migrate(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    // While somebody reads, it has files beside it.
    assert!(database.is_ready().await);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(suffix), 0o600, "{suffix}");
    }
    database.close();

    // One that is there keeps what its owner gave it.
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let database = Database::connect(&url, 1, Clock::system()).await.unwrap();
    assert!(database.is_ready().await);
    assert_eq!(mode(""), 0o640);
}

#[tokio::test]
async fn a_database_file_may_have_any_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let absolute = format!("sqlite://{}/in a path.db?mode=rwc", path.display());
    for (url, file) in [
        ("sqlite://a b.db?mode=rwc", "a b.db"),
        ("sqlite:c d.db?mode=rwc", "c d.db"),
        ("sqlite://e%20f.db?mode=rwc", "e f.db"),
        ("sqlite://g#h.db?mode=rwc", "g#h.db"),
        ("sqlite://größe [1].db?mode=rwc", "größe [1].db"),
        ("sqlite://50%25.db?mode=rwc", "50%.db"),
        (&absolute, "in a path.db"),
    ] {
        for command in ["migrate", "check"] {
            let done = run(path, &[command, "--database-url", url]).await;
            assert!(done.status.success(), "{url}: {}", stderr(&done));
            assert!(path.join(file).exists(), "{url}");
        }
        let token = ["token", "create", "--user", "ann", "--database-url", url];
        let token = run(path, &token).await;
        assert!(stdout(&token).starts_with("clt_"), "{}", stderr(&token));
    }
}
