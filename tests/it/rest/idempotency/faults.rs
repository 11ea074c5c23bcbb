//! Failures that pass are not kept: the same request may do better soon.

use axum::http::StatusCode;
use rstest::rstest;
use sea_orm::ConnectionTrait;

use super::{
    super::refused, assert_created, assert_replays, client, clients_and_keys, execute, is_replayed,
    post, rows,
};
use crate::support::{Engine, TestApp};

/// Makes the database refuse locations: the half of a new client that is written last.
async fn refuse_locations(app: &TestApp, engine: Engine) {
    let sql = match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON client_location \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        // As if the disk was full.
        Engine::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON client_location \
             FOR EACH ROW EXECUTE FUNCTION refuse()"
        }
    };
    execute(app, sql).await;
}

async fn accept_locations(app: &TestApp, engine: Engine) {
    let sql = match engine {
        Engine::Sqlite => "DROP TRIGGER refuse",
        Engine::Postgres => "DROP TRIGGER refuse ON client_location",
    };
    execute(app, sql).await;
}

#[rstest]
#[tokio::test]
async fn what_the_database_failed_is_done_by_the_retry(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    refuse_locations(&app, engine).await;
    for _ in 0..2 {
        let failed = post(&app, "a", &client("Birch")).await;
        assert!(!is_replayed(&failed));
        match engine {
            Engine::Sqlite => refused(&failed, StatusCode::INTERNAL_SERVER_ERROR),
            Engine::Postgres => refused(&failed, StatusCode::INSUFFICIENT_STORAGE),
        };
        assert_eq!(clients_and_keys(&app).await, [0, 0]);
    }
    accept_locations(&app, engine).await;
    let first = post(&app, "a", &client("Birch")).await;
    assert_created(&first);
    assert_replays(&first, &post(&app, "a", &client("Birch")).await);
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
}

#[rstest]
#[tokio::test]
async fn what_waited_for_a_lock_too_long_is_done_by_the_retry(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let other = app.database.begin().await.unwrap();
    if engine == Engine::Postgres {
        let lock = "LOCK TABLE client IN EXCLUSIVE MODE";
        other.execute_unprepared(lock).await.unwrap();
    }
    let failed = post(&app, "a", &client("Birch")).await;
    refused(&failed, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failed.header("retry-after"), Some("1"));
    assert_eq!(rows(&app, "idempotency_key").await, 0);
    other.rollback().await.unwrap();
    assert_created(&post(&app, "a", &client("Birch")).await);
    assert_eq!(clients_and_keys(&app).await, [1, 1]);
}
