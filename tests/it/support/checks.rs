//! Tests of the support itself: what it promises, the other tests rely on.

use axum::http::{Method, StatusCode, header::ACCEPT};
use chrono::TimeDelta;
use clientele::{clock::Clock, config::Settings, storage::database::Database};
use rstest::rstest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Engine, TestApp, TestClock};

#[rstest]
#[tokio::test]
async fn apps_share_no_rows(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (one, other) = tokio::join!(TestApp::start(engine), TestApp::start(engine));
    let client = one
        .create_client(json!({ "name": "Birch", "primaryLocation": { "zip": "01234" } }))
        .await;
    assert_eq!(client["name"], "Birch");
    assert_eq!(client["primaryLocation"]["zip"], "01234");
    assert_eq!(client["primaryLocation"]["state"], "CO");
    let location = one
        .create_location(json!({ "clientId": client["id"] }))
        .await;
    assert_eq!(location["clientId"], client["id"]);

    let count = "{ clients { totalCount } clientLocations { totalCount } }";
    let counts = [
        one.data(count, json!({})).await,
        other.data(count, json!({})).await,
    ];
    insta::allow_duplicates! {
        insta::assert_json_snapshot!(counts, @r#"
        [
          {
            "clients": {
              "totalCount": 1
            },
            "clientLocations": {
              "totalCount": 2
            }
          },
          {
            "clients": {
              "totalCount": 0
            },
            "clientLocations": {
              "totalCount": 0
            }
          }
        ]
        "#);
    }
}

#[rstest]
#[tokio::test]
async fn databases_go_with_their_app(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let url = app.database_url.clone();
    assert!(app.database.is_ready().await);
    let connect = async || Database::connect(&url, 1, Clock::system()).await;
    assert!(connect().await.is_ok());
    drop(app);
    assert!(connect().await.is_err());
}

#[rstest]
#[tokio::test]
async fn an_app_serves_until_it_is_dropped(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");

    drop(app);
    // The server ends the connection, which it would keep otherwise.
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn statements_are_recorded_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    assert_eq!(app.take_statements(), Vec::<String>::new());
    app.get("/api/v1/clients").await;
    let statements = app.take_statements();
    assert!(
        statements
            .iter()
            .any(|sql| sql.contains(r#"FROM "client""#)),
        "{statements:?}"
    );
    assert_eq!(app.take_statements(), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn the_clock_is_the_tests(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let first = app.create_client(json!({})).await;
    assert_eq!(first["createdAt"], "2026-01-31T09:15:00.250Z");
    clock.advance(TimeDelta::minutes(45));
    let second = app.create_client(json!({})).await;
    assert_eq!(second["createdAt"], "2026-01-31T10:00:00.250Z");
}

#[rstest]
#[tokio::test]
async fn settings_are_the_tests(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let settings = Settings {
        max_body_bytes: 10,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let answer = app
        .post("/graphql", json!({ "query": "{ __typename }" }))
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[rstest]
#[tokio::test]
async fn calls_are_signed_as_they_say(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let path = "/api/v1/clients";
    let location = json!({ "name": "Head office", "state": "CO", "country": "US" });
    let body = json!({ "client": { "name": "Acme", "primary_location": location } });

    assert_eq!(app.get(path).await.status, StatusCode::OK);
    let created = app.post(path, body.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let path_of_client = format!("{path}/{}", created.json()["id"]);
    let updated = app.put(&path_of_client, body.clone()).await;
    assert_eq!(updated.status, StatusCode::OK, "{updated:?}");

    let post = || app.call(Method::POST, path).json(&body);
    let refused = post().bearer(&app.read_token).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let unknown = post().anonymous().header(ACCEPT, "*/*").send().await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert!(unknown.header("www-authenticate").is_some());
    let broken = post().body("{").send().await;
    assert_eq!(broken.status, StatusCode::BAD_REQUEST);
}
