//! Searches find what LIKE finds, whatever index helps them.

use axum::http::StatusCode;
use clientele::{
    clock::Clock,
    config::Settings,
    database::Database,
    http::{Gateway, router},
    search::FEW_FOR_A_PAGE,
};
use rstest::rstest;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

const AT: &str = "2026-01-31T09:15:00.250+00:00";

async fn raw(app: &TestApp, statements: &[&str]) {
    let transaction = app.database.begin().await.unwrap();
    for statement in statements {
        transaction.execute_unprepared(statement).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

/// The ids that a statement of our own selects.
async fn ids(app: &TestApp, sql: &str) -> Vec<String> {
    let db = &app.database.reader;
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    let ids = rows.iter().map(|row| row.try_get::<i64>("", "id").unwrap());
    ids.map(|id| id.to_string()).collect()
}

/// How many the list has, and the ids of its first page.
fn found(data: &Value, list: &str) -> (usize, Vec<String>) {
    let list = &data[list];
    let nodes = list["nodes"].as_array().unwrap().iter();
    let ids = nodes.map(|node| node["id"].as_str().unwrap().to_owned());
    let total = list["totalCount"].as_u64().unwrap();
    (usize::try_from(total).unwrap(), ids.collect())
}

#[rstest]
#[tokio::test]
async fn rare_common_and_absent_texts_find_what_they_are_in(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    // As many with 'common' as an index is not asked for, and one more.
    let rows: Vec<_> = (1..=FEW_FOR_A_PAGE + 40)
        .map(|id| {
            let key = match id % 1000 {
                7 => format!("rare äß {id}"),
                20 | 21 => format!("middling \"{id}\" mon com"),
                _ => format!("common {}", u64::from(id) * 7919 % 3001),
            };
            let code = if id % 500 == 3 { "'rare-3'" } else { "NULL" };
            format!("({id}, '{key}', '{key}', {code}, {code}, false, false, '{AT}', '{AT}', 1)")
        })
        .collect();
    let clients = format!(
        "INSERT INTO client (id, name, name_key, account_code, account_code_key, \
         has_invoice_reminders, show_location_on_invoice, created_at, updated_at, version) \
         VALUES {}",
        rows.join(", ")
    );
    let locations = format!(
        "INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
         created_at, updated_at, version) SELECT id, true, name, name_key, 'CO', 'US', '{AT}', \
         '{AT}', 1 FROM client"
    );
    raw(&app, &[&clients, &locations]).await;

    for text in [
        "common", "Rare", "RARE Ä", "rare-", "mon", "mon com", "g \"1", "om", "R", "absent",
    ] {
        let key = text.to_lowercase();
        for (field, by) in [
            ("ID", "id"),
            ("NAME", "name_key"),
            ("CREATED_AT", "created_at"),
        ] {
            for direction in ["ASC", "DESC"] {
                let sql = |table, matches: &str| {
                    format!(
                        "SELECT id FROM {table} WHERE {matches} ORDER BY {by} {direction}, id {direction}"
                    )
                };
                let in_name = format!("name_key LIKE '%{key}%'");
                let in_code = format!("{in_name} OR account_code_key LIKE '%{key}%'");
                let order = json!({ "field": field, "direction": direction });
                let variables = json!({ "search": text, "order": order });
                let query = "query ($search: String!, $order: ClientOrder) {
                    clients(filter: { search: $search }, orderBy: $order, first: 500) {
                      totalCount nodes { id } } }";
                let data = app.data(query, variables.clone()).await;
                let mut expected = ids(&app, &sql("client", &in_code)).await;
                let total = expected.len();
                expected.truncate(500);
                assert_eq!(found(&data, "clients"), (total, expected), "{text} {order}");

                let query = query
                    .replace("client", "clientLocation")
                    .replace("Client", "ClientLocation");
                let data = app.data(&query, variables).await;
                let mut expected = ids(&app, &sql("client_location", &in_name)).await;
                let total = expected.len();
                expected.truncate(500);
                assert_eq!(
                    found(&data, "clientLocations"),
                    (total, expected),
                    "{text} {order}"
                );
            }
        }
    }
    // With another filter, and page by page.
    let filtered =
        "{ clients(filter: { search: \"common\", id: 1005 }) { totalCount nodes { id } } }";
    let data = app.data(filtered, json!({})).await;
    assert_eq!(found(&data, "clients"), (1, vec!["1005".to_owned()]));
    let answer = app
        .get("/api/v1/clients?search=MIDDLING&per_page=2&page=2")
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()[1]["id"], 1021);
    assert_eq!(answer.header("x-total-count"), Some("4"));
}

#[rstest]
#[tokio::test]
async fn a_search_sees_every_write(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let check = async |text: &str, expected: &[&str]| {
        let query = "query ($search: String!) {
            clients(filter: { search: $search }) { totalCount nodes { id } } }";
        let data = app.data(query, json!({ "search": text })).await;
        let expected = expected
            .iter()
            .map(|id| (*id).to_owned())
            .collect::<Vec<_>>();
        assert_eq!(
            found(&data, "clients"),
            (expected.len(), expected),
            "{text}"
        );
    };
    check("birch", &[]).await;
    let client = app
        .create_client(json!({ "name": "Birch & Sons", "accountCode": "B-007" }))
        .await;
    let id = &client["id"];
    app.create_client(json!({ "name": "Other", "accountCode": "X birch" }))
        .await;
    check("birch", &["1", "2"]).await;
    check("b-00", &["1"]).await;

    app.update_client(id, json!({ "name": "Oak & Sons" })).await;
    check("birch", &["2"]).await;
    check("oak", &["1"]).await;
    app.update_client(id, json!({ "accountCode": null, "notes": "birch" }))
        .await;
    check("b-007", &[]).await;
    app.update_client(id, json!({ "name": "OAK & Sons", "accountCode": "B-008" }))
        .await;
    check("oak", &["1"]).await;
    check("b-008", &["1"]).await;

    raw(&app, &["UPDATE client SET name_key = 'maple' WHERE id = 1"]).await;
    check("maple", &["1"]).await;
    check("oak", &[]).await;
    let transaction = app.database.begin().await.unwrap();
    let undone = "UPDATE client SET name_key = 'elm'";
    transaction.execute_unprepared(undone).await.unwrap();
    transaction.rollback().await.unwrap();
    check("elm", &[]).await;
    let delete = ["client_location WHERE client_id = 2", "client WHERE id = 2"]
        .map(|rows| format!("DELETE FROM {rows}"));
    raw(&app, &delete.each_ref().map(String::as_str)).await;
    check("birch", &[]).await;
    check("maple", &["1"]).await;
}

/// A plan that fits all texts fits none: PostgreSQL must not fall back on it.
#[tokio::test]
async fn every_search_is_planned_for_its_text() {
    let mut app = TestApp::start(Engine::Postgres).await;
    app.create_client(json!({})).await;
    // With one connection, whose prepared statements can be asked for.
    let database = Database::connect(&app.database_url, 1, Clock::system())
        .await
        .unwrap();
    app.router = router(Gateway::new(database.clone(), Settings::default()));
    for _ in 0..12 {
        let data = app
            .data(
                "{ clients(filter: { search: \"acm\" }) { totalCount nodes { id } } }",
                json!({}),
            )
            .await;
        assert_eq!(found(&data, "clients"), (1, vec!["1".to_owned()]));
    }
    let sql = "SELECT count(*) AS statements FROM pg_prepared_statements \
               WHERE statement LIKE '%LIKE%' AND statement NOT LIKE '%pg_prepared%'";
    let statement = Statement::from_string(database.reader.get_database_backend(), sql);
    let row = database.reader.query_one_raw(statement).await.unwrap();
    let kept: i64 = row.unwrap().try_get("", "statements").unwrap();
    // What is not kept is planned each time.
    assert_eq!(kept, 0);
}
