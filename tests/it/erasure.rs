//! Erasing a client: nothing of its texts is left anywhere, and everything else is.

use axum::http::{Method, StatusCode};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::{run, stderr, stdout},
    support::{Engine, TestApp},
};

const ERASE: &str = "mutation ($id: ID!) { eraseClient(id: $id) { client {
    id name accountCode website emailInvoice notes salesperson hasInvoiceReminders version
    locations { nodes { name emailInvoice city state zip country phonePrimary isPrimary version } }
} } }";
const HISTORY: &str = "{ changes { nodes { id kind by face fields { field old new } } } }";
/// What no table may hold afterwards.
const SECRETS: [&str; 6] = [
    "Quincy",
    "quincy",
    "QX-1",
    "quince.example",
    "Hidden",
    "303-555-0199",
];

/// A client with texts in every place, whose creation has an idempotency key.
async fn client_with_a_past(app: &TestApp) -> Value {
    let created = create(app).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let client = created.json();
    let path = format!("/api/v1/clients/{}", client["id"]);
    for notes in ["Hidden once", "Hidden again"] {
        let body = json!({ "client": { "notes": notes } });
        app.put(&path, body).await;
    }
    app.create_location(json!({ "clientId": client["id"], "name": "Quincy North" }))
        .await;
    client
}

/// The request that is sent twice.
fn first_request() -> Value {
    json!({ "client": {
        "name": "Quincy", "account_code": "QX-1", "website": "https://quince.example",
        "email_invoice": "a@quince.example", "notes": "Hidden", "salesperson": 42,
        "has_invoice_reminders": true,
        "primary_location": { "name": "Quincy Main", "city": "Hidden Falls", "state": "CO",
            "zip": "80202", "country": "US", "phone_primary": "303-555-0199" } } })
}

async fn create(app: &TestApp) -> crate::support::Answer {
    app.call(Method::POST, "/api/v1/clients")
        .header("idempotency-key", "first")
        .json(&first_request())
        .send()
        .await
}

async fn erase(app: &TestApp, token: &str, id: &Value) -> Value {
    let body = json!({ "query": ERASE, "variables": { "id": id } });
    let call = app.call(Method::POST, "/graphql").bearer(token);
    call.json(&body).send().await.json()
}

/// Every value of every table, as text.
async fn all_values(app: &TestApp, engine: Engine) -> String {
    let db = &app.database.reader;
    let texts = match engine {
        Engine::Postgres => [
            "client",
            "client_location",
            "change",
            "client_search",
            "client_location_search",
        ]
        .map(|table| format!("SELECT row_to_json({table})::text FROM {table}"))
        .into_iter()
        .chain(["SELECT encode(body, 'escape') FROM idempotency_key".to_owned()])
        .collect::<Vec<_>>(),
        Engine::Sqlite => vec![
            "SELECT json_array(name, name_key, account_code, account_code_key, website, \
             email_invoice, notes) FROM client"
                .to_owned(),
            "SELECT json_array(name, name_key, email_invoice, city, state, zip, country, \
             phone_primary) FROM client_location"
                .to_owned(),
            "SELECT old || new FROM change".to_owned(),
            "SELECT CAST(body AS text) FROM idempotency_key".to_owned(),
        ],
    };
    let mut all = String::new();
    for sql in texts {
        let backend = match engine {
            Engine::Postgres => DbBackend::Postgres,
            Engine::Sqlite => DbBackend::Sqlite,
        };
        for row in db
            .query_all_raw(Statement::from_string(backend, sql))
            .await
            .unwrap()
        {
            all.push_str(&row.try_get_by_index::<String>(0).unwrap());
            all.push('\n');
        }
    }
    all
}

async fn assert_sound(app: &TestApp) {
    let folder = TempDir::new().unwrap();
    let check = ["check", "--database-url", &app.database_url];
    let checked = run(folder.path(), &check).await;
    assert!(checked.status.success(), "{checked:?}");
}

#[rstest]
#[tokio::test]
async fn an_erased_client_leaves_no_text(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let admin = app.admin_token().await;
    let other = app
        .create_client(json!({ "name": "Birch", "notes": "Hidden" }))
        .await;
    let client = client_with_a_past(&app).await;
    let before = all_values(&app, engine).await;
    assert!(SECRETS.iter().all(|secret| before.contains(secret)));
    let polled = app
        .data("{ clients(orderBy: { field: UPDATED_AT, direction: DESC }, first: 1) { nodes { updatedAt } } }", json!({}))
        .await;
    let since = &polled["clients"]["nodes"][0]["updatedAt"];

    let erased = erase(&app, &admin, &client["id"]).await;
    let version = client["version"].as_i64().unwrap() + 3;
    assert_eq!(
        erased["data"]["eraseClient"]["client"],
        json!({ "id": client["id"].to_string(), "name": "", "accountCode": null,
            "website": null, "emailInvoice": null, "notes": null, "salesperson": "42",
            "hasInvoiceReminders": true, "version": version, "locations": { "nodes": [
                { "name": "", "emailInvoice": null, "city": null, "state": "", "zip": null,
                  "country": "", "phonePrimary": null, "isPrimary": true, "version": 2 },
                { "name": "", "emailInvoice": null, "city": null, "state": "", "zip": null,
                  "country": "", "phonePrimary": null, "isPrimary": false, "version": 2 }
            ] } }),
        "{erased}"
    );
    let after = all_values(&app, engine).await;
    for secret in SECRETS {
        let is_of_other = secret == "Hidden";
        assert_eq!(after.contains(secret), is_of_other, "{secret}: {after}");
    }
    let untouched = app
        .data("{ client(id: 1) { name notes version } }", json!({}))
        .await;
    assert_eq!(
        untouched["client"],
        json!({ "name": "Birch", "notes": "Hidden", "version": other["version"] })
    );
    // Who follows or polls sees it, and the log tells who did it.
    let changes = app.data(HISTORY, json!({})).await;
    let changes = changes["changes"]["nodes"].as_array().unwrap().clone();
    let last = changes.last().unwrap();
    assert_eq!(last["kind"], "CLIENT_ERASED");
    assert_eq!(last["face"], "GRAPHQL");
    assert_eq!(last["fields"], json!([]));
    let updated = &changes[4];
    let nothing = json!([{ "field": "notes", "old": null, "new": null }]);
    assert_eq!(
        (&updated["kind"], &updated["fields"]),
        (&json!("CLIENT_UPDATED"), &nothing)
    );
    let poll =
        "query ($since: DateTime) { clients(filter: { updatedFrom: $since }) { nodes { id } } }";
    let polled = app.data(poll, json!({ "since": since })).await;
    let ids = polled["clients"]["nodes"].as_array().unwrap();
    assert!(
        ids.contains(&json!({ "id": client["id"].to_string() })),
        "{polled}"
    );
    let found = app
        .data(
            "{ clients(filter: { search: \"quin\" }) { totalCount } }",
            json!({}),
        )
        .await;
    assert_eq!(found["clients"]["totalCount"], 0);

    // A retry creates nothing, and the answer that it missed is gone.
    let again = create(&app).await;
    assert_eq!(again.status, StatusCode::GONE, "{again:?}");
    assert!(again.text().contains("Its answer was erased"), "{again:?}");
    let total = app.data("{ clients { totalCount } }", json!({})).await;
    assert_eq!(total["clients"]["totalCount"], 2);

    // Once more there is nothing to erase.
    let again = erase(&app, &admin, &client["id"]).await;
    assert_eq!(again["data"]["eraseClient"]["client"]["version"], version);
    assert_sound(&app).await;
    // It may live again.
    let path = format!("/api/v1/clients/{}", client["id"]);
    let revived = app
        .put(&path, json!({ "client": { "name": "Rowan" } }))
        .await;
    assert_eq!(revived.status, StatusCode::OK, "{revived:?}");
    assert_sound(&app).await;
}

/// An answer is kept as a whole: a text may stand anywhere in it.
#[rstest]
#[tokio::test]
async fn a_kept_answer_is_erased_for_a_text_in_a_list(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let admin = app.admin_token().await;
    let create = async |key: &str, name: &str| {
        let query = "mutation ($name: String!) { createClient(input: { name: \"Elm\",
            primaryLocation: { name: $name, state: \"CO\", country: \"US\" } }) {
            client { id locations { nodes { name } } } } }";
        let body = json!({ "query": query, "variables": { "name": name } });
        let call = app.call(Method::POST, "/graphql");
        let answer = call.header("idempotency-key", key).json(&body).send().await;
        answer.json()
    };
    let first = create("first", "Quincy Main").await;
    let other = create("other", "Rowan Main").await;
    let id = &first["data"]["createClient"]["client"]["id"];
    let erased = erase(&app, &admin, id).await;
    assert_eq!(erased["data"]["eraseClient"]["client"]["id"], *id);
    let again = create("first", "Quincy Main").await;
    assert_eq!(
        again["errors"][0]["extensions"]["code"], "ERASED",
        "{again}"
    );
    assert_eq!(create("other", "Rowan Main").await, other);
}

#[rstest]
#[tokio::test]
async fn only_admins_erase(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let refused = erase(&app, &app.token, &client["id"]).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("'admin'"), "{message}");
    let admin = app.admin_token().await;
    let unknown = erase(&app, &admin, &json!("77")).await;
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND");
    let kept = app.data("{ client(id: 1) { name } }", json!({})).await;
    assert_eq!(kept["client"]["name"], client["name"]);
}

#[rstest]
#[tokio::test]
async fn a_command_erases(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    client_with_a_past(&app).await;
    let folder = TempDir::new().unwrap();
    let erase = ["erase", "--database-url", &app.database_url, "--client"];
    let erased = run(folder.path(), &[&erase[..], &["1"]].concat()).await;
    assert!(erased.status.success(), "{erased:?}");
    assert_eq!(
        stdout(&erased),
        "erased the client 1: its locations: 2, changes that had texts: 5\n"
    );
    let after = all_values(&app, engine).await;
    assert!(
        !SECRETS.iter().any(|secret| after.contains(secret)),
        "{after}"
    );
    if engine == Engine::Sqlite {
        // The index has runs of three characters of names, in the order of the texts.
        let runs = "SELECT count(*) FROM client_search_data WHERE instr(block, 'qui') > 0";
        let runs = Statement::from_string(DbBackend::Sqlite, runs);
        let found = app.database.reader.query_one_raw(runs).await.unwrap();
        assert_eq!(found.unwrap().try_get_by_index::<i64>(0).unwrap(), 0);
    }
    let changes = app.data(HISTORY, json!({})).await;
    let last = &changes["changes"]["nodes"][5];
    assert_eq!(
        (&last["by"], &last["face"]),
        (&json!("operator"), &json!("COMMAND"))
    );
    let unknown = run(folder.path(), &[&erase[..], &["77"]].concat()).await;
    assert!(stderr(&unknown).contains("There is no client with the id 77."));
    assert_sound(&app).await;
}

/// The triggers allow an erasure, and nothing that looks like one.
#[rstest]
#[tokio::test]
async fn the_log_takes_erasures_alone(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "name": "Birch" })).await;
    app.data(
        "mutation { updateClient(id: 1, input: { name: \"Rowan\", salesperson: 7 }) { client { id } } }",
        json!({}),
    )
    .await;
    let update = |new: &str| {
        format!(
            "UPDATE change SET old = '{{\"name\":null,\"salesperson\":null}}', new = '{new}' WHERE id = 3"
        )
    };
    for new in [
        r#"{"name":"Other","salesperson":7}"#,
        r#"{"name":null}"#,
        r#"{"salesperson":7}"#,
        r#"{"name":null,"salesperson":8}"#,
        r#"{"name":null,"salesperson":null}"#,
        "{}",
    ] {
        let transaction = app.database.begin().await.unwrap();
        let refused = transaction.execute_unprepared(&update(new)).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{new}: {refused}");
        transaction.rollback().await.unwrap();
    }
    let erased = update(r#"{"name":null,"salesperson":7}"#);
    let writer = app.database.writer();
    writer.execute_unprepared(&erased).await.unwrap();
}
