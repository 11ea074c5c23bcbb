//! The program as an operator runs it: its commands, what they print, how they fail.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use chrono::TimeDelta;
use clientele::auth::tokens::{self, NewToken};
use entity::api_token::Scope;
use migration::{Migrator, MigratorTrait};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
};

use crate::support::{Engine, TestApp, TestClock};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_clientele");

#[tokio::test]
async fn the_committed_schema_is_the_printed_one() {
    let folder = TempDir::new().unwrap();
    let printed = run(folder.path(), &["schema"]).await;
    assert!(printed.status.success());
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let committed = std::fs::read_to_string(committed).unwrap();
    assert!(
        stdout(&printed) == committed,
        "schema.graphql is stale: cargo run -- schema >schema.graphql"
    );
}

#[rstest]
#[tokio::test]
async fn a_first_start_prints_a_link_once_and_a_signal_ends_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    empty(&app, engine).await;
    let folder = TempDir::new().unwrap();
    let mut first = Served::start(folder.path(), &app.database_url).await;
    first.lines.next_line().await.unwrap().unwrap();
    let link = first.lines.next_line().await.unwrap().unwrap();
    let (page, token) = link.split_once("/graphiql#token=").unwrap();
    assert_eq!(page, format!("http://{}", first.address));
    let query = json!({ "query": "{ clients { totalCount } }" });
    let answer = post(&first.address, "/graphql", token, &query).await;
    assert!(
        answer.ends_with("{\"data\":{\"clients\":{\"totalCount\":0}}}"),
        "{answer}"
    );
    first.stop().await;

    let second = Served::start(folder.path(), &app.database_url).await;
    let rest = second.stop().await;
    let hint = "/graphiql; 'clientele token create --user NAME' makes a token for it.";
    assert!(rest.ends_with(hint), "the link is printed once: {rest}");
    assert!(!rest.contains("#token"), "{rest}");
}

#[rstest]
#[tokio::test]
async fn serving_purges_old_idempotency_keys(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let old = "INSERT INTO idempotency_key \
               SELECT id, 'old', hash, '2026-01-31T09:15:00.250+00:00', 201, '[]', hash \
               FROM api_token";
    let done = app.database.writer().execute_unprepared(old).await;
    assert_eq!(done.unwrap().rows_affected(), 2);
    let folder = TempDir::new().unwrap();
    let served = Served::start(folder.path(), &app.database_url).await;
    let purged = async {
        while keys(&app).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, purged).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn with_no_options_it_makes_a_database_in_the_working_folder() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "LISTEN=127.0.0.1:0\n").unwrap();
    let child = command(folder.path(), &[]).spawn().unwrap();
    let served = Served::of(child).await;
    served.stop().await;
    assert!(folder.path().join("clientele.db").exists());
}

#[tokio::test]
async fn commands_for_a_gateway_s_database_make_none_and_name_the_one_they_use() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("clientele.db");
    for arguments in [
        &["token", "create", "--user", "ann"][..],
        &["token", "list"],
        &["token", "revoke", "0123456789ab"],
    ] {
        let output = run(folder.path(), arguments).await;
        assert_fails(&output, "there is no database at /");
        assert!(stderr(&output).contains("clientele.db"), "{output:?}");
        assert!(!file.exists(), "{arguments:?}");
    }
    // An address that is taken leaves nothing behind, and says what helps.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_fails(
        &run(folder.path(), &["--listen", &address]).await,
        "--listen",
    );
    assert!(!file.exists());

    assert!(run(folder.path(), &["migrate"]).await.status.success());
    let listed = run(folder.path(), &["token", "list"]).await;
    let named = format!("Database: {}\n", file.canonicalize().unwrap().display());
    assert_eq!(stderr(&listed), named);
}

#[rstest]
#[tokio::test]
async fn only_serve_and_migrate_change_a_schema(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let last = "DELETE FROM seaql_migrations WHERE version = \
                (SELECT max(version) FROM seaql_migrations)";
    let writer = app.database.writer();
    writer.execute_unprepared(last).await.unwrap();
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["token", "create", "--user", "ann"][..],
        &["token", "list"],
        &["seed", "--clients", "1"],
    ] {
        let url = ["--database-url", &app.database_url];
        let output = run(folder.path(), &[arguments, &url].concat()).await;
        let said = stderr(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("run 'clientele migrate'"), "{said}");
    }
}

#[rstest]
#[tokio::test]
async fn a_schema_of_a_newer_program_is_used_if_it_says_so(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let folder = TempDir::new().unwrap();
    let call = async |arguments: &[&str]| {
        let url = ["--database-url", &app.database_url];
        run(folder.path(), &[arguments, &url].concat()).await
    };
    let writer = app.database.writer();
    let step =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_later', 0)";
    writer.execute_unprepared(step).await.unwrap();
    let answer = app.get("/readyz").await;
    assert_eq!(answer.status, 200);
    let ready = "ready; the schema is newer than this program: m29991231_000001_later\n";
    assert_eq!(answer.text(), ready);
    assert!(call(&["token", "list"]).await.status.success());
    let migrated = call(&["migrate"]).await;
    assert_eq!(stdout(&migrated), "the schema is up to date\n");
    let served = Served::start(folder.path(), &app.database_url).await;
    let query = json!({ "query": "{ clients { totalCount } }" });
    let answer = post(&served.address, "/graphql", &app.token, &query).await;
    assert!(answer.contains("\"totalCount\":0"), "{answer}");
    served.stop().await;

    let support = "UPDATE schema_support SET oldest_program = '12.0.3'";
    writer.execute_unprepared(support).await.unwrap();
    assert_eq!(app.get("/readyz").await.status, 503);
    let refusal = "the last one m29991231_000001_later: start that program, 12.0.3 or later";
    for arguments in [&["token", "list"][..], &["migrate"], &["serve"]] {
        assert_fails(&call(arguments).await, refusal);
    }
}

#[rstest]
#[tokio::test]
async fn a_gateway_that_waits_for_the_schema_is_live_and_not_ready(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let older = "DROP TABLE schema_support; \
                 DELETE FROM seaql_migrations WHERE version LIKE '%state_support'";
    let writer = app.database.writer();
    writer.execute_unprepared(older).await.unwrap();
    // What another gateway holds while it migrates.
    let lock = match engine {
        Engine::Postgres => "SELECT pg_advisory_xact_lock(7164216991605351788)",
        Engine::Sqlite => "UPDATE api_token SET label = label",
    };
    let transaction = app.database.begin_unhurried().await.unwrap();
    transaction.execute_unprepared(lock).await.unwrap();

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let folder = TempDir::new().unwrap();
    let arguments = ["--listen", &address, "--database-url", &app.database_url];
    let child = command(folder.path(), &arguments).spawn().unwrap();
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        loop {
            if let Ok(mut stream) = TcpStream::connect(&address).await {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200 "));
    for path in ["/readyz", "/api/v1/clients"] {
        let answer = get(path).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
    transaction.rollback().await.unwrap();
    let served = Served::of(child).await;
    assert!(get("/readyz").await.starts_with("HTTP/1.1 200 "));
    served.stop().await;
}

#[tokio::test]
async fn a_line_of_env_that_cannot_be_read_is_named_and_not_shown() {
    let folder = TempDir::new().unwrap();
    let env = folder.path().join(".env");
    std::fs::write(&env, "# ours\nLISTEN=127.0.0.1:0\nDATABASE_URL='secret\n").unwrap();
    let output = run(folder.path(), &["schema"]).await;
    assert_fails(
        &output,
        ".env, line 3: it must have lines such as NAME=VALUE",
    );
    assert!(!stderr(&output).contains("secret"), "{output:?}");

    std::fs::write(&env, "DATABASEURL=secret\nPATH_TO_SOMETHING=x\n").unwrap();
    let output = run(folder.path(), &["schema"]).await;
    assert!(output.status.success(), "{output:?}");
    let named = "clientele: .env: DATABASEURL is not known; did you mean DATABASE_URL?\n";
    assert_eq!(stderr(&output), named);
}

#[rstest]
#[tokio::test]
async fn migrate_says_what_it_did(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    empty(&app, engine).await;
    let folder = TempDir::new().unwrap();
    let migrate = ["migrate", "--database-url", &app.database_url];
    let first = run(folder.path(), &migrate).await;
    assert!(
        stdout(&first).starts_with("applied m20261123_000001_create_clients\n"),
        "{first:?}"
    );
    let second = run(folder.path(), &migrate).await;
    assert_eq!(stdout(&second), "the schema is up to date\n");
}

/// From a schema in which the rows of the log were numbered one by one, and searches had
/// no table.
#[tokio::test]
async fn an_upgrade_goes_on_with_what_is_there() {
    const STEPS_BEFORE: u32 = 6;
    const CLIENT: &str = "WITH client AS (INSERT INTO client (name, name_key, \
        has_invoice_reminders, show_location_on_invoice, created_at, updated_at, version) \
        VALUES ('Birch', 'birch', false, false, date_trunc('second', now()), date_trunc('second', now()), 1) RETURNING id) \
        INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
        created_at, updated_at, version) \
        SELECT id, true, 'Denver', 'denver', 'CO', 'US', date_trunc('second', now()), date_trunc('second', now()), 1 FROM client";
    // As they were made then.
    const TRIGRAMS: &str = "CREATE EXTENSION IF NOT EXISTS pg_trgm; \
        CREATE INDEX client_name_key_search_idx ON client USING gin (name_key gin_trgm_ops)";
    const CHANGE: &str = "INSERT INTO change (at, user_name, face, kind, client_id, old, new) \
        VALUES (date_trunc('second', now()), 'ann', 'REST', 'CLIENT_UPDATED', 1, '{}', '{}')";
    let app = TestApp::start(Engine::Postgres).await;
    empty(&app, Engine::Postgres).await;
    let transaction = app.database.begin_migration().await.unwrap();
    let before = Migrator::up(&transaction, Some(STEPS_BEFORE)).await;
    before.unwrap();
    for sql in [TRIGRAMS, CLIENT, CHANGE, CHANGE] {
        transaction.execute_unprepared(sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let folder = TempDir::new().unwrap();
    let migrate = ["migrate", "--database-url", &app.database_url];
    let migrated = run(folder.path(), &migrate).await;
    assert!(migrated.status.success(), "{migrated:?}");
    assert!(stdout(&migrated).contains("migrate --wait"));
    let wait = ["migrate", "--wait", "--database-url", &app.database_url];
    let filled = run(folder.path(), &wait).await;
    assert!(filled.status.success(), "{filled:?}");
    let check = ["check", "--database-url", &app.database_url];
    let checked = run(folder.path(), &check).await;
    assert!(checked.status.success(), "{checked:?}");
    let writer = app.database.writer();
    writer.execute_unprepared(CHANGE).await.unwrap();
    let ids = "SELECT id FROM change ORDER BY id";
    let ids = Statement::from_string(DbBackend::Postgres, ids);
    let rows = writer.query_all_raw(ids).await.unwrap();
    let ids: Vec<i64> = rows
        .iter()
        .map(|row| row.try_get("", "id").unwrap())
        .collect();
    assert_eq!(ids, [1, 2, 3]);

    let token = ["token", "create", "--user", "ann", "--database-url"];
    let token = run(folder.path(), &[&token[..], &[&app.database_url]].concat()).await;
    let token = stdout(&token);
    let query = "{ clients(filter: { search: \"BIRCH\" }) { nodes { id } }
        changes { nodes { id } } }";
    let call = app.call(axum::http::Method::POST, "/graphql");
    let call = call
        .bearer(token.trim_end())
        .json(&json!({ "query": query }));
    let data = &call.send().await.json()["data"];
    assert_eq!(data["clients"]["nodes"], json!([{ "id": "1" }]));
    let changes = json!([{ "id": "1" }, { "id": "2" }, { "id": "3" }]);
    assert_eq!(data["changes"]["nodes"], changes);
}

/// Databases that pretend to be what a gateway cannot use.
#[tokio::test]
async fn servers_that_are_not_postgresql_itself_are_refused() {
    let folder = TempDir::new().unwrap();
    for (pretence, expected) in [
        (
            "CREATE FUNCTION version() RETURNS text LANGUAGE sql AS \
             $$SELECT 'CockroachDB CCL v24.1.0'$$",
            "the server is CockroachDB",
        ),
        (
            "CREATE VIEW pg_locks AS SELECT * FROM pg_catalog.pg_locks WHERE locktype <> 'advisory'",
            "does not show advisory locks in pg_locks",
        ),
        (
            "CREATE SEQUENCE pid; CREATE FUNCTION pg_backend_pid() RETURNS int LANGUAGE sql AS \
             $$SELECT CASE WHEN current_query() LIKE '%pg_locks%' \
             THEN pg_catalog.pg_backend_pid() ELSE nextval('pid')::int END$$",
            "behind a pooler that shares sessions",
        ),
    ] {
        let app = TestApp::start(Engine::Postgres).await;
        let writer = app.database.writer();
        writer.execute_unprepared(pretence).await.unwrap();
        let shadow = "DO $do$ BEGIN EXECUTE format($sql$ALTER DATABASE %I SET search_path = \
                      public, pg_catalog$sql$, current_database()); END $do$";
        writer.execute_unprepared(shadow).await.unwrap();
        for command in ["serve", "check"] {
            let arguments = [command, "--database-url", &app.database_url];
            assert_fails(&run(folder.path(), &arguments).await, expected);
        }
    }
}

/// What the gateway calls a character must be one for the database.
#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let app = TestApp::start(Engine::Postgres).await;
    let name = format!("bytes_{}", std::process::id());
    let server = &app.database.reader;
    // The server of the tests has another provider, if it can.
    let provider = "SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 \
                    THEN 'LOCALE_PROVIDER libc' ELSE '' END AS provider";
    let provider = Statement::from_string(DbBackend::Postgres, provider);
    let row = server.query_one_raw(provider).await.unwrap().unwrap();
    let provider: String = row.try_get("", "provider").unwrap();
    let create = format!(
        "CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 \
         LC_COLLATE 'C' LC_CTYPE 'C' {provider}"
    );
    server.execute_unprepared(&create).await.unwrap();
    let mut url = url::Url::parse(&app.database_url).unwrap();
    url.set_path(&name);
    let folder = TempDir::new().unwrap();
    let refused = run(folder.path(), &["migrate", "--database-url", url.as_str()]).await;
    let drop = format!("DROP DATABASE {name}");
    server.execute_unprepared(&drop).await.unwrap();
    assert_fails(
        &refused,
        "the encoding of the database is SQL_ASCII, and must be UTF8",
    );
}

/// On PostgreSQL, where hosts give no more.
#[tokio::test]
async fn a_user_who_may_only_create_tables_is_enough() {
    let app = TestApp::start(Engine::Postgres).await;
    empty(&app, Engine::Postgres).await;
    let user = format!("poor_{}", std::process::id());
    let poor =
        format!("CREATE ROLE {user} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO {user}");
    app.database.reader.execute_unprepared(&poor).await.unwrap();
    let mut url = url::Url::parse(&app.database_url).unwrap();
    url.set_username(&user).unwrap();
    url.set_password(Some("x")).unwrap();

    let folder = TempDir::new().unwrap();
    let migrate = ["migrate", "--database-url", url.as_str()];
    let said = run(folder.path(), &migrate).await;
    assert!(said.status.success(), "{said:?}");
    let seed = ["seed", "--clients", "20", "--database-url", url.as_str()];
    let said = run(folder.path(), &seed).await;
    assert!(said.status.success(), "{said:?}");
    let token = [
        "token",
        "create",
        "--user",
        "tester",
        "--database-url",
        url.as_str(),
    ];
    let token = stdout(&run(folder.path(), &token).await);
    let found = app
        .call(axum::http::Method::GET, "/api/v1/clients?search=AC-000007")
        .bearer(token.trim_end())
        .send()
        .await
        .json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    let gone = format!("DROP OWNED BY {user}; DROP ROLE {user}");
    app.database.reader.execute_unprepared(&gone).await.unwrap();
}

/// Whoever reads the log has no business with what is stored.
#[rstest]
#[tokio::test]
async fn a_constraint_that_fails_is_logged_without_values(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let guard = match engine {
        Engine::Postgres => {
            "ALTER TABLE client ADD CONSTRAINT guard_of_notes CHECK (notes <> 'forbidden')"
        }
        Engine::Sqlite => {
            "CREATE TRIGGER guard BEFORE INSERT ON client WHEN NEW.notes = 'forbidden' \
             BEGIN SELECT RAISE(ABORT, 'guard_of_notes'); END"
        }
    };
    let writer = app.database.writer();
    writer.execute_unprepared(guard).await.unwrap();
    let folder = TempDir::new().unwrap();
    let mut served = Served::start(folder.path(), &app.database_url).await;
    let mut log = served.child.stderr.take().unwrap();
    let create = "mutation ($input: CreateClientInput!) {
        createClient(input: $input) { client { id } } }";
    let location = json!({ "name": "Hidden", "city": "Atlantis", "state": "CO", "country": "US" });
    let input = json!({ "name": "Unsaid", "notes": "forbidden", "primaryLocation": location });
    let query = json!({ "query": create, "variables": { "input": input } });
    let answer = post(&served.address, "/graphql", &app.token, &query).await;
    assert!(answer.contains("INTERNAL"), "{answer}");
    assert!(!answer.contains("guard"), "{answer}");
    served.stop().await;
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("guard_of_notes"), "{text}");
    for value in ["nsaid", "forbidden", "idden", "Atlantis"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
}

#[rstest]
#[tokio::test]
async fn the_log_says_who_asked_for_what(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let folder = TempDir::new().unwrap();
    let start = [
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--database-url",
    ];
    let child = command(folder.path(), &[&start[..], &[&app.database_url]].concat()).spawn();
    let mut served = Served::of(child.unwrap()).await;
    let mut log = served.child.stderr.take().unwrap();
    let query = json!({ "query": "query Everybody { clients { totalCount } }" });
    post(&served.address, "/graphql", &app.token, &query).await;
    let none = json!({ "client": {} });
    post(&served.address, "/api/v1/clients", &app.token, &none).await;
    post(&served.address, "/healthz", &app.token, &none).await;
    served.stop().await;
    let mut text = String::new();
    log.read_to_string(&mut text).await.unwrap();
    assert!(!text.contains(&app.token), "{text}");
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests: Vec<_> = lines.filter(|line| line["message"] == "request").collect();
    let [graphql, rest] = &requests[..] else {
        panic!("{requests:#?}");
    };
    let prefix = tokens::prefix_of(&app.token).unwrap();
    for (line, path, status) in [(graphql, "/graphql", 200), (rest, "/api/v1/clients", 422)] {
        assert_eq!(line["path"], path);
        assert_eq!(line["status"], status);
        assert_eq!(line["user"], "tester");
        assert_eq!(line["token"], prefix);
        assert!(line["bytes"].as_u64().unwrap() > 10, "{line}");
        // What is refused by its body asks the database nothing.
        let statements = u32::from(line["status"] != 422);
        assert_eq!(line["statements"], statements, "{line}");
        let tenths = line["milliseconds"].as_f64().unwrap() * 10.0;
        assert!((tenths - tenths.round()).abs() < 1e-6, "{line}");
    }
    assert_eq!(graphql["operation"], "Everybody");
    assert_eq!(rest.get("operation"), None);
}

#[rstest]
#[tokio::test]
async fn a_start_warns_of_an_instant_in_the_future(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let folder = TempDir::new().unwrap();
    let start = async || {
        let mut served = Served::start(folder.path(), &app.database_url).await;
        let mut log = served.child.stderr.take().unwrap();
        served.stop().await;
        let mut text = String::new();
        log.read_to_string(&mut text).await.unwrap();
        text
    };
    let warning = "the greatest updated_at is ahead of the clock";
    let text = start().await;
    assert!(!text.contains(warning), "{text}");
    let by_hand = "UPDATE client SET updated_at = '2100-01-01T00:00:00.000+00:00'";
    let writer = app.database.writer();
    writer.execute_unprepared(by_hand).await.unwrap();
    let text = start().await;
    assert!(text.contains(warning), "{text}");
}

#[rstest]
#[tokio::test]
async fn a_token_has_a_label_an_end_and_a_last_use(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let db = app.database.writer();
    let token = NewToken {
        user: "ann",
        scope: Scope::Admin,
        label: Some(" Nightly export "),
        lasts: Some(TimeDelta::days(90)),
    };
    let token = tokens::create(db, &app.database.clock, token)
        .await
        .unwrap();
    let create = json!({ "query": "mutation { createClient(input: { name: \"Acme\",
        primaryLocation: { name: \"Main\", state: \"CO\", country: \"US\" } }) { client { id } } }" });
    let call = async || {
        let call = app.call(axum::http::Method::POST, "/graphql");
        call.bearer(&token).json(&create).send().await.status
    };
    assert_eq!(call().await, 200);
    clock.advance(TimeDelta::days(89));
    assert_eq!(call().await, 200);
    app.gateway.authenticator.note_use().await.unwrap();

    let folder = TempDir::new().unwrap();
    let list = ["token", "list", "--database-url", &app.database_url];
    let listed = stdout(&run(folder.path(), &list).await);
    let line = listed.lines().find(|line| line.contains("ann")).unwrap();
    let fields: Vec<_> = line.split_whitespace().collect();
    let prefix = tokens::prefix_of(&token).unwrap();
    assert_eq!(
        fields,
        [
            prefix,
            "admin",
            "2026-01-31T09:15:00Z",
            "2026-04-30T09:15:00Z",
            "2026-05-01T09:15:00Z",
            "-",
            "ann",
            "Nightly",
            "export",
        ]
    );
    clock.advance(TimeDelta::days(1));
    assert_eq!(call().await, 401);
    let check = ["check", "--database-url", &app.database_url];
    let checked = run(folder.path(), &check).await;
    assert!(checked.status.success(), "{checked:?}");

    let url = ["--database-url", &app.database_url];
    for (wrong, expected) in [
        (["--expires", "soon"], "expected number"),
        (["--label", " "], "the label must have 1 to 255 characters"),
        (["--expires", "300000years"], "would last too long"),
    ] {
        let create = ["token", "create", "--user", "ann"];
        let output = run(folder.path(), &[&create[..], &wrong, &url].concat()).await;
        assert!(!output.status.success(), "{wrong:?}");
        assert!(stderr(&output).contains(expected), "{output:?}");
    }
}

#[rstest]
#[tokio::test]
async fn tokens_are_made_listed_and_revoked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let folder = TempDir::new().unwrap();
    let url = ["--database-url", &app.database_url];
    let call = async |arguments: &[&str]| run(folder.path(), &[arguments, &url].concat()).await;

    let made = call(&["token", "create", "--user", "Ann", "--scope", "read"]).await;
    let token = stdout(&made).trim_end().to_owned();
    assert_eq!(
        stdout(&made),
        format!("{token}\n"),
        "the token stands alone"
    );
    let answer = app
        .call(axum::http::Method::GET, "/api/v1/clients")
        .basic("Ann", &token);
    assert_eq!(answer.send().await.status, 200);

    let prefix = clientele::auth::tokens::prefix_of(&token).unwrap();
    let listed = stdout(&call(&["token", "list"]).await);
    let row = listed
        .lines()
        .find(|line| line.starts_with(prefix))
        .unwrap();
    assert!(row.contains("read") && row.ends_with("Ann"), "{row}");
    assert!(
        !listed.contains(&token[prefix.len() + 5..]),
        "the secret is nowhere"
    );

    assert!(call(&["token", "revoke", prefix]).await.status.success());
    let answer = app
        .call(axum::http::Method::GET, "/api/v1/clients")
        .basic("Ann", &token);
    assert_eq!(answer.send().await.status, 401);
    assert_fails(
        &call(&["token", "revoke", "nonsense"]).await,
        "no token with the prefix nonsense",
    );
    assert_fails(&call(&["token", "create", "--user", "a:b"]).await, "colons");
    for length in [255, 256] {
        let name = "é".repeat(length);
        for (user, label) in [(name.as_str(), "a"), ("a", name.as_str())] {
            let made = call(&["token", "create", "--user", user, "--label", label]).await;
            if length == 255 {
                assert!(made.status.success(), "{made:?}");
            } else {
                assert_fails(&made, "must have 1 to 255 characters");
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn seeding_gives_the_same_clients_on_every_database(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (one, other) = (
        TestApp::start(engine).await,
        TestApp::start(Engine::Sqlite).await,
    );
    let folder = TempDir::new().unwrap();
    // In two steps here, in one there.
    for (app, clients) in [(&one, "200"), (&one, "103"), (&other, "303")] {
        let url = &app.database_url;
        let seeded = run(
            folder.path(),
            &["seed", "--clients", clients, "--database-url", url],
        )
        .await;
        assert!(
            stdout(&seeded).starts_with(&format!("added {clients} clients")),
            "{seeded:?}"
        );
    }
    let all = "{ clients(first: 500) { totalCount nodes { id name accountCode website emailInvoice
        notes salesperson caseManager createdAt updatedAt version
        locations { nodes { id isPrimary name city state zip country } } } } }";
    let seeded = one.data(all, json!({})).await;
    assert_eq!(seeded["clients"]["totalCount"], 303);
    assert_eq!(seeded, other.data(all, json!({})).await);
    // What is seeded keeps to the rules: it can be written back.
    let id = seeded["clients"]["nodes"][7]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let record = one.get(&format!("/api/v1/clients/{id}")).await.json();
    let answer = one
        .put(
            &format!("/api/v1/clients/{id}"),
            json!({ "client": record }),
        )
        .await;
    assert_eq!(answer.json(), record);
}

#[tokio::test]
async fn what_cannot_work_is_said_in_one_line() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free_address = free.local_addr().unwrap();
    let nobody = format!("postgres://user:secret@{free_address}/x");
    let in_query = format!("postgres://{free_address}/x?user=user&password=secret");
    drop(free);
    std::fs::write(
        folder.path().join("text.db"),
        "not a database, but long enough to see that",
    )
    .unwrap();
    for (arguments, expected) in [
        (
            vec!["--database-url", "mysql://x/y"],
            "must begin with sqlite: or postgres:",
        ),
        (vec!["--database-url", "postgres://["], "cannot be read"),
        (
            vec!["--database-url", &nobody],
            "cannot reach the database at postgres://127.0.0.1:",
        ),
        (
            vec!["--database-url", &in_query],
            "cannot reach the database at postgres://127.0.0.1:",
        ),
        (
            vec!["--database-url", "sqlite://missing/x.db"],
            "cannot open the SQLite database",
        ),
        (
            vec!["--database-url", "sqlite://text.db"],
            "cannot open the SQLite database",
        ),
        (vec!["--database-url", "sqlite::memory:"], "must be a file"),
        (vec!["--listen", &taken], "cannot listen on"),
        (vec!["--listen", "nonsense"], "cannot listen on"),
        (vec!["--log", "="], "log filter"),
        (
            vec!["--log", "verbose"],
            "log level \"verbose\" is not known",
        ),
    ] {
        let output = run(folder.path(), &arguments).await;
        assert_fails(&output, expected);
        assert!(!stderr(&output).contains("secret"), "{arguments:?}");
    }
    for arguments in [
        vec!["--allow-origin", "nonsense"],
        vec!["--max-body-bytes", "many"],
        vec!["--workers", "99999"],
        vec!["seed", "--clients", "0"],
        vec!["token", "create"],
        vec!["dance"],
    ] {
        let output = run(folder.path(), &arguments).await;
        assert!(!output.status.success(), "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[tokio::test]
async fn origins_that_no_browser_sends_are_refused() {
    let folder = TempDir::new().unwrap();
    let bare = "must be a scheme and a host, perhaps with a port, and nothing after them";
    for (origin, expected) in [
        ("https://*.example.com", "wildcards are not supported"),
        ("*", "wildcards are not supported"),
        ("null", "every page in a sandbox"),
        ("app.example.com", bare),
        ("localhost:3000", bare),
        ("https://app.example.com/path", bare),
        ("https://app.example.com?a", bare),
        ("https://app.example.com#a", bare),
        ("https://user@app.example.com", bare),
        ("https://", bare),
        ("https://a.example,b.example", "b.example: must be a scheme"),
        ("wss://app.example.com", "begins with http or https"),
        ("file:///index.html", bare),
    ] {
        let output = run(folder.path(), &["--allow-origin", origin]).await;
        assert!(!output.status.success(), "{origin}");
        let said = stderr(&output);
        assert!(said.contains(expected), "{origin}: {said}");
    }
    let output = run(folder.path(), &["--trusted-proxies", "10.0.0.0/33"]).await;
    let said = stderr(&output);
    assert!(
        said.contains("must be an IP address or a network"),
        "{said}"
    );
}

/// As an operator writes them, and as browsers send them.
#[tokio::test]
async fn origins_are_allowed_however_they_are_written() {
    let folder = TempDir::new().unwrap();
    let origins = "HTTPS://App.Example.COM:443/, http://localhost:3000,http://a.example:80,\
                   capacitor://localhost,,tauri://LOCALHOST/,app://-, ";
    let arguments = ["--listen", "127.0.0.1:0", "--allow-origin", origins];
    let served = Served::of(command(folder.path(), &arguments).spawn().unwrap()).await;
    for origin in [
        "https://app.example.com",
        "http://localhost:3000",
        "http://a.example",
        "capacitor://localhost",
        "tauri://localhost",
        "app://-",
    ] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        let request = format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let allowed = format!("access-control-allow-origin: {origin}\r\n");
        assert!(answer.contains(&allowed), "{origin}: {answer}");
    }
    served.stop().await;
}

/// As after a fail-over, where a standby answers.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_served_as_it_is() {
    let app = TestApp::start(Engine::Postgres).await;
    let read_only = "DO $do$ BEGIN EXECUTE format($sql$ALTER DATABASE %I \
                     SET default_transaction_read_only = on$sql$, current_database()); END $do$";
    let writer = app.database.writer();
    writer.execute_unprepared(read_only).await.unwrap();
    let folder = TempDir::new().unwrap();
    let served = Served::start(folder.path(), &app.database_url).await;
    let query = json!({ "query": "{ clients { totalCount } }" });
    let answer = post(&served.address, "/graphql", &app.token, &query).await;
    assert!(
        answer.ends_with("{\"data\":{\"clients\":{\"totalCount\":0}}}"),
        "{answer}"
    );
    let client = json!({ "client": { "name": "New", "primary_location": {
        "name": "Main", "state": "CO", "country": "US" } } });
    let answer = post(&served.address, "/api/v1/clients", &app.token, &client).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(!served.stop().await.contains("#token"));
}

/// Clap would blame the option.
#[tokio::test]
async fn a_variable_that_is_wrong_is_named() {
    let folder = TempDir::new().unwrap();
    let refused = command(folder.path(), &["serve"])
        .env("WORKERS", "many")
        .output()
        .await
        .unwrap();
    let told = stderr(&refused);
    assert!(told.contains("'many' for the variable WORKERS"), "{told}");
    let refused = command(folder.path(), &["serve", "--workers", "many"])
        .env("WORKERS", "2")
        .output()
        .await
        .unwrap();
    let told = stderr(&refused);
    assert!(told.contains("'many' for '--workers <N>'"), "{told}");
}

#[tokio::test]
async fn shells_and_manuals_know_the_commands() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let printed = run(folder.path(), arguments).await;
        assert!(printed.status.success(), "{printed:?}");
        for known in ["migrate", "erase", "keep"] {
            assert!(stdout(&printed).contains(known), "{arguments:?}: {known}");
        }
    }
}

/// A database that the user may not read is not an empty one.
#[tokio::test]
async fn missing_rights_are_told_from_emptiness() {
    let app = TestApp::start(Engine::Postgres).await;
    let user = format!("guest_{}", std::process::id());
    let grants = format!(
        "DROP ROLE IF EXISTS {user}; CREATE ROLE {user} LOGIN; \
         REVOKE USAGE ON SCHEMA public FROM public"
    );
    let writer = app.database.writer();
    writer.execute_unprepared(&grants).await.unwrap();
    let url = app.database_url.replace("postgres@", &format!("{user}@"));
    let folder = TempDir::new().unwrap();
    let check = ["check", "--database-url", &url];
    let refused = run(folder.path(), &check).await;
    let told = stderr(&refused);
    assert!(told.contains("may use no schema"), "{told}");
    let usage = format!("GRANT USAGE ON SCHEMA public TO {user}");
    writer.execute_unprepared(&usage).await.unwrap();
    let refused = run(folder.path(), &check).await;
    let told = stderr(&refused);
    assert!(
        told.contains("permission denied for table seaql_migrations: grant"),
        "{told}"
    );
    assert!(!told.contains("at line"), "{told}");
    let all = format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}");
    writer.execute_unprepared(&all).await.unwrap();
    let drop = format!("DROP OWNED BY {user}; DROP ROLE {user}");
    writer.execute_unprepared(&drop).await.unwrap();
}

/// So container files and service managers write what is not set.
#[tokio::test]
async fn an_empty_variable_is_one_that_is_not_set() {
    const VARIABLES: [&str; 16] = [
        "ALLOW_ORIGIN",
        "DATABASE_MAX_CONNECTIONS",
        "DATABASE_URL",
        "KEEP_ALIVE_SECONDS",
        "MAX_BODY_BYTES",
        "MAX_QUERY_ALIASES",
        "MAX_QUERY_BYTES",
        "MAX_QUERY_DEPTH",
        "MAX_QUERY_FIELDS",
        "MAX_QUERY_RECORDS",
        "MAX_QUERY_TOKENS",
        "MAX_QUERY_VALUES",
        "RUST_LOG",
        "TOKEN_CACHE_MS",
        "TRUSTED_PROXIES",
        "WORKERS",
    ];
    let folder = TempDir::new().unwrap();
    let mut serve = command(folder.path(), &["--listen", "127.0.0.1:0"]);
    let served = Served::of(
        serve
            .envs(VARIABLES.map(|name| (name, "")))
            .spawn()
            .unwrap(),
    );
    served.await.stop().await;
    assert!(folder.path().join("clientele.db").exists());
    // For every command, and in the file, too.
    std::fs::write(folder.path().join(".env"), "DATABASE_URL=\nLISTEN=\n").unwrap();
    let listed = run(folder.path(), &["token", "list"]).await;
    assert!(listed.status.success(), "{listed:?}");
}

/// A server that was started as a program of its own.
struct Served {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Served {
    async fn start(folder: &Path, url: &str) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", url];
        Self::of(command(folder, &arguments).spawn().unwrap()).await
    }

    async fn of(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        let address = line
            .strip_prefix("Listening on http://")
            .expect(&line)
            .to_owned();
        Self {
            child,
            lines,
            address,
        }
    }

    /// Sends SIGTERM, waits for the end, and returns what else was printed.
    async fn stop(mut self) -> String {
        let id = self.child.id().unwrap().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(killed.unwrap().success());
        let mut rest = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push_str(&line);
        }
        assert!(self.child.wait().await.unwrap().success());
        rest
    }
}

pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub async fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().await.unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub fn assert_fails(output: &Output, expected: &str) {
    let text = stderr(output);
    assert!(!output.status.success(), "{text}");
    let errors: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("clientele: "))
        .collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(errors[0].contains(expected), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

async fn post(address: &str, path: &str, token: &str, body: &Value) -> String {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// How many idempotency keys are kept.
async fn keys(app: &TestApp) -> i64 {
    let db = &app.database.reader;
    let count = "SELECT count(*) AS count FROM idempotency_key";
    let count = Statement::from_string(db.get_database_backend(), count);
    let row = db.query_one_raw(count).await.unwrap().unwrap();
    row.try_get("", "count").unwrap()
}

/// Takes every table away.
pub async fn empty(app: &TestApp, engine: Engine) {
    let transaction = app.database.begin().await.unwrap();
    match engine {
        Engine::Postgres => {
            let schema = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
            transaction.execute_unprepared(schema).await.unwrap();
        }
        Engine::Sqlite => {
            let tables = "SELECT name FROM sqlite_master WHERE type = 'table' \
                          AND name NOT LIKE 'sqlite_%'";
            let tables = Statement::from_string(DbBackend::Sqlite, tables);
            transaction
                .execute_unprepared("PRAGMA defer_foreign_keys = ON")
                .await
                .unwrap();
            for row in transaction.query_all_raw(tables).await.unwrap() {
                let name: String = row.try_get("", "name").unwrap();
                // Some go along with others.
                let drop = format!("DROP TABLE IF EXISTS {name}");
                transaction.execute_unprepared(&drop).await.unwrap();
            }
        }
    }
    transaction.commit().await.unwrap();
}
