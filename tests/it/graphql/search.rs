//! Searches find what LIKE finds, whatever index helps them.

use axum::http::StatusCode;
use clientele::{
    app::router, clock::Clock, config::Settings, gateway::Gateway, storage::database::Database,
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

/// Gives each client a location of its name.
fn location_of_each() -> String {
    format!(
        "INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
         created_at, updated_at, version) SELECT id, true, name, name_key, 'CO', 'US', '{AT}', \
         '{AT}', 1 FROM client"
    )
}

/// Has the app use one connection, whose prepared statements can be asked for.
async fn with_one_connection(app: &mut TestApp) -> Database {
    let database = Database::connect(&app.database_url, 1, Clock::system())
        .await
        .unwrap();
    app.router = router(Gateway::new(database.clone(), Settings::default()));
    database
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
    // Most with 'common', which no index is asked for.
    let rows: Vec<_> = (1..=1_040_u32)
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
    raw(&app, &[&clients, &location_of_each()]).await;

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
    check("", &[]).await;
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

/// What the indexes are asked for is not quite the text: what they find is compared.
#[rstest]
#[tokio::test]
async fn a_search_finds_the_text_itself_and_nothing_like_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const NAMES: [&str; 20] = [
        "ac-12345",
        "ac 0 12345",
        "ac12345",
        "ac--12345 ac-12345",
        "12345-ac",
        "harbour & sons trading",
        "harbour sons & trading",
        "harbour and sons trading",
        "50% of everything",
        "50 or 60% of everything",
        "under_scores everywhere",
        "under scores_everywhere",
        "back\\slashes everywhere",
        "back\\\\slashes",
        "say \"quoted\" words",
        "o'keefe & o''brien:*",
        "👩‍👩‍👧 family éclair",
        "not a \u{fffd} character",
        "not a \u{ffff} character",
        "größte übersicht ١٢٣٤٥ 東京都庁舎",
    ];
    let app = TestApp::start(engine).await;
    for name in NAMES {
        app.create_client(json!({ "name": name, "accountCode": null }))
            .await;
    }
    let mut found_by_index = 0;
    for name in NAMES {
        let letters: Vec<_> = name.chars().collect();
        for length in [1, 2, 3, 5, 7, 10, letters.len()] {
            for text in letters.windows(length).step_by(2) {
                let text: String = text.iter().collect();
                let query = "query ($search: String!) {
                    clients(filter: { search: $search }) { totalCount nodes { id } } }";
                app.take_statements();
                let data = app.data(query, json!({ "search": text })).await;
                let expected = (1..).zip(NAMES).filter(|(_, name)| name.contains(&text));
                let expected: Vec<_> = expected.map(|(id, _)| id.to_string()).collect();
                assert_eq!(
                    found(&data, "clients"),
                    (expected.len(), expected),
                    "{text:?}"
                );
                let statements = app.take_statements().join("\n");
                found_by_index += i32::from(looks_for(&statements));
            }
        }
    }
    assert!(found_by_index > 100, "{found_by_index}");
}

/// Reading rows in order until there are enough is no good where all before are others.
#[rstest]
#[tokio::test]
async fn rows_far_behind_the_first_are_looked_for(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let rows: Vec<_> = (1..=2_000)
        .map(|id| {
            let key = if id > 1_955 { "late" } else { "early" };
            format!("({id}, '{key}', '{key}', false, false, '{AT}', '{AT}', 1)")
        })
        .collect();
    let clients = format!(
        "INSERT INTO client (id, name, name_key, has_invoice_reminders, \
         show_location_on_invoice, created_at, updated_at, version) VALUES {}",
        rows.join(", ")
    );
    raw(&app, &[&clients, &location_of_each()]).await;
    let query = "query ($search: String!, $order: ClientOrder) {
        clients(filter: { search: $search }, orderBy: $order, first: 2) { nodes { id } } }";
    for (text, direction, expected, is_looked_for) in [
        ("late", "ASC", ["1956", "1957"], true),
        ("late", "DESC", ["2000", "1999"], false),
        ("early", "ASC", ["1", "2"], false),
    ] {
        let order = json!({ "field": "ID", "direction": direction });
        let variables = json!({ "search": text, "order": order });
        app.data(query, variables.clone()).await;
        app.take_statements();
        let data = app.data(query, variables).await;
        let nodes = expected.map(|id| json!({ "id": id }));
        assert_eq!(data["clients"]["nodes"], json!(nodes));
        let statements = app.take_statements().join("\n");
        assert_eq!(looks_for(&statements), is_looked_for, "{statements}");
    }
    // A total of few rows is that of the index, and one of many is counted row by row.
    let query = "query ($search: String!) { clients(filter: { search: $search }) { totalCount } }";
    for (text, expected) in [("late", 45), ("early", 1_955)] {
        app.take_statements();
        let data = app.data(query, json!({ "search": text })).await;
        assert_eq!(data["clients"]["totalCount"], expected);
        let statements = app.take_statements().join("\n");
        assert_eq!(looks_for(&statements), text == "late", "{statements}");
    }
}

/// Whether rows with a text are looked for first.
fn looks_for(statements: &str) -> bool {
    statements.contains("ARRAY") || statements.contains("MATCH")
}

/// Whichever way rows are found, filters, cursors and pages take their part of them.
#[rstest]
#[tokio::test]
async fn what_is_found_is_filtered_and_paged(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for number in 1..40 {
        let name = match number % 4 {
            0 => format!("Cedarwood & Koch Group {number}"),
            _ => format!("Koch Group {number}"),
        };
        let input = json!({ "name": name, "salesperson": (number % 3).to_string() });
        app.create_client(input).await;
    }
    // One more, with an id far from the others.
    let far = format!(
        "INSERT INTO client (id, name, name_key, has_invoice_reminders, \
         show_location_on_invoice, created_at, updated_at, version) VALUES \
         (1000000000000, 'Cedarwood', 'cedarwood & koch', false, false, '{AT}', '{AT}', 1)"
    );
    let location = location_of_each() + " WHERE id = 1000000000000";
    raw(&app, &[&far, &location]).await;
    let ids = |numbers: &[i64]| {
        let nodes = numbers.iter().map(|id| json!({ "id": id.to_string() }));
        json!(nodes.collect::<Vec<_>>())
    };
    let all = [4, 8, 12, 16, 20, 24, 28, 32, 36, 1_000_000_000_000];
    for (text, first) in [
        ("cedarwood & koch", 100),
        ("Cedarwood", 3),
        ("wood & ko", 1),
    ] {
        let query = "query ($search: String!, $first: Int) {
            all: clients(filter: { search: $search }, first: 100) { totalCount nodes { id } }
            sold: clients(filter: { search: $search, salesperson: 2 }, first: $first) {
              totalCount nodes { id } }
            start: clients(filter: { search: $search }, first: $first) {
              pageInfo { endCursor hasPreviousPage } nodes { id } }
            end: clients(filter: { search: $search }, last: 2) {
              pageInfo { startCursor hasNextPage } nodes { id } } }";
        let data = app
            .data(query, json!({ "search": text, "first": first }))
            .await;
        assert_eq!(data["all"], json!({ "totalCount": 10, "nodes": ids(&all) }));
        let of_two = [8, 20, 32];
        assert_eq!(data["sold"]["totalCount"], 3);
        assert_eq!(data["sold"]["nodes"], ids(&of_two[..first.min(3)]));
        assert_eq!(data["start"]["nodes"], ids(&all[..first.min(10)]));
        assert_eq!(data["end"]["nodes"], ids(&all[8..]));

        let query = "query ($search: String!, $after: String, $before: String) {
            clients(filter: { search: $search }, first: 100, after: $after, before: $before) {
              pageInfo { hasPreviousPage hasNextPage } nodes { id } } }";
        let variables = json!({
            "search": text,
            "after": data["start"]["pageInfo"]["endCursor"],
            "before": data["end"]["pageInfo"]["startCursor"],
        });
        let between = app.data(query, variables).await;
        assert_eq!(
            between["clients"]["nodes"],
            ids(all.get(first..8).unwrap_or_default())
        );
    }
    let answer = app
        .get("/api/v1/clients?search=cedarwood&per_page=4&page=3")
        .await;
    assert_eq!(answer.json()[0]["id"], 36);
    assert_eq!(answer.json()[1]["id"], 1_000_000_000_000_i64);
    assert_eq!(answer.header("x-total-count"), Some("10"));
}

/// The sample only tells the faster way. Without the tally none can be taken.
#[rstest]
#[tokio::test]
async fn a_search_does_without_a_sample(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for name in ["Maple & Sons", "Oak & Sons"] {
        app.create_client(json!({ "name": name })).await;
    }
    raw(&app, &["DROP TABLE client_tally"]).await;
    for (text, ids) in [
        ("sons", &["1", "2"][..]),
        ("OAK", &["2"]),
        ("& ", &["1", "2"]),
        ("e", &["1"]),
        ("", &["1", "2"]),
        ("absent", &[]),
    ] {
        let query = "query ($search: String!) {
            clients(filter: { search: $search }) { totalCount nodes { id } } }";
        let data = app.data(query, json!({ "search": text })).await;
        let (total, found) = found(&data, "clients");
        assert_eq!((total, found.len()), (ids.len(), ids.len()), "{text}");
        assert_eq!(found, ids, "{text}");
    }
}

/// PostgreSQL plans each of the two ways to search once for all texts, and neither can be
/// taken for the other's.
#[tokio::test]
async fn searches_keep_their_plans() {
    let mut app = TestApp::start(Engine::Postgres).await;
    for _ in 0..4 {
        app.create_client(json!({})).await;
    }
    let database = with_one_connection(&mut app).await;
    for _ in 0..12 {
        for (text, expected) in [("acm", &["1", "2", "3", "4"][..]), ("absent", &[])] {
            let query = "query ($search: String!) {
                clients(filter: { search: $search }) { totalCount nodes { id } } }";
            let data = app.data(query, json!({ "search": text })).await;
            let (total, ids) = found(&data, "clients");
            assert_eq!(total, expected.len());
            assert_eq!(ids, expected);
        }
    }
    let sql = "SELECT generic_plans, custom_plans, statement FROM pg_prepared_statements \
               WHERE statement LIKE '%CASE WHEN%' AND statement NOT LIKE '%pg_prepared%'";
    let statement = Statement::from_string(database.reader.get_database_backend(), sql);
    let rows = database.reader.query_all_raw(statement).await.unwrap();
    // A page of a common text, a page of a rare one, and its total.
    assert_eq!(rows.len(), 3);
    for row in rows {
        let plans = |column| row.try_get::<i64>("", column).unwrap();
        let statement: String = row.try_get("", "statement").unwrap();
        assert_eq!(
            (plans("custom_plans"), plans("generic_plans")),
            (5, 7),
            "{statement}"
        );
    }
}

/// A range may leave few rows or many, and PostgreSQL must know which.
#[tokio::test]
async fn ranges_are_planned_for_their_values() {
    let mut app = TestApp::start(Engine::Postgres).await;
    app.create_client(json!({})).await;
    let database = with_one_connection(&mut app).await;
    for _ in 0..7 {
        for search in [None, Some("acm"), Some("absent")] {
            let query = "query ($search: String) {
                clients(filter: { search: $search, createdFrom: \"2100-01-01T00:00:00Z\" }) {
                  nodes { id } } }";
            let data = app.data(query, json!({ "search": search })).await;
            assert_eq!(data["clients"]["nodes"], json!([]));
        }
    }
    let sql = "SELECT statement FROM pg_prepared_statements \
               WHERE statement LIKE '%\"created_at\" >=%' AND statement NOT LIKE '%pg_prepared%'";
    let statement = Statement::from_string(database.reader.get_database_backend(), sql);
    let kept = database.reader.query_all_raw(statement).await.unwrap();
    assert!(kept.is_empty());
}
