//! Prices: a request that would have the database touch too many rows is refused before it does.

use axum::http::StatusCode;
use clientele::config::{Limits, Settings};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

const CLIENTS: u32 = 6_000;
const MAX: u64 = 275;
/// What a list alone may cost.
const ALONE: u64 = 4 * MAX;

/// An app with clients that were created a second apart, and with samples of them.
async fn start(engine: Engine) -> TestApp {
    start_with(engine, CLIENTS, MAX).await
}

async fn start_with(engine: Engine, clients: u32, max_query_price: u64) -> TestApp {
    let settings = Settings {
        limits: Limits {
            max_query_price,
            ..Limits::default()
        },
        token_cache_ms: 60_000,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let (numbers, at) = match engine {
        Engine::Postgres => (
            format!("SELECT n FROM generate_series(1, {clients}) AS n"),
            "timestamptz '2020-01-01T00:00:00Z' + n * interval '1 second'",
        ),
        Engine::Sqlite => (
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL \
                 SELECT n + 1 FROM numbers WHERE n < {clients}) SELECT n FROM numbers"
            ),
            "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1577836800 + n, 'unixepoch')",
        ),
    };
    let sql = format!(
        "BEGIN; INSERT INTO client (name, name_key, account_code, account_code_key, \
         has_invoice_reminders, show_location_on_invoice, salesperson, created_at, updated_at, \
         version) SELECT 'Client ' || n, 'client ' || n, 'C' || n, 'c' || n, false, false, \
         n % 100, {at}, {at}, 1 FROM ({numbers}) AS numbers ORDER BY n; \
         INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
         created_at, updated_at, version) SELECT id, true, 'Main', 'main', 'CO', 'US', \
         created_at, updated_at, 1 FROM client ORDER BY id; COMMIT"
    );
    let writer = app.database.writer();
    writer.execute_unprepared(&sql).await.unwrap();
    let store = &app.gateway.store;
    while store.lists.samples.clients.get().is_none() {
        store.sample_lists().await;
    }
    // The token is known from here on.
    app.data("{ client(id: 1) { id } }", json!({})).await;
    app.take_statements();
    app
}

fn assert_refused(app: &TestApp, answer: &Value, max: u64, query: &str) {
    let error = &answer["errors"][0];
    assert_eq!(
        error["extensions"]["code"], "LIMIT_EXCEEDED",
        "{query}: {answer}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("have a price of "), "{message}");
    assert!(
        message.contains(&format!("and {max} are allowed")),
        "{message}"
    );
    assert_eq!(app.take_statements(), [] as [String; 0], "{query}");
}

/// Most rows meet the filter, and have to be counted or passed one by one.
const WIDE: [&str; 2] = [
    "clients(orderBy: { field: NAME }, filter: { createdFrom: \"2019-01-01T00:00:00Z\",
        updatedTo: \"2030-01-01T00:00:00Z\" }) { totalCount nodes { id } }",
    "clients(filter: { search: \"nt 1\" }) { totalCount nodes { id } }",
];
const ORDINARY: [&str; 8] = [
    "clients(first: 500) { totalCount nodes { id name } }",
    "clients(first: 500, orderBy: { field: NAME }) { totalCount nodes { id } }",
    "clients(filter: { name: \"Client 77\" }) { totalCount nodes { id } }",
    "clients(filter: { salesperson: 7 }) { totalCount nodes { id } }",
    "clients(filter: { updatedFrom: \"2020-01-01T01:20:00Z\" }) { nodes { id } }",
    "clients(filter: { createdFrom: \"2019-01-01T00:00:00Z\" }) { totalCount }",
    "clients(filter: { search: \"4321\" }) { totalCount nodes { id } }",
    "clientLocations(filter: { clientId: 7 }) { totalCount nodes { id } }",
];

#[rstest]
#[tokio::test]
async fn a_wide_list_is_refused_before_it_is_read(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    for field in ORDINARY {
        app.data(&format!("{{ {field} }}"), json!({})).await;
    }
    app.take_statements();
    for field in WIDE {
        let query = format!("{{ {field} }}");
        let answer = app.graphql(&query, json!({})).await;
        assert_refused(&app, &answer, ALONE, &query);
    }
}

/// The lists of a query count together, and none of them is read.
#[rstest]
#[tokio::test]
async fn lists_are_refused_together_and_over_rest(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = start(engine).await;
    let field = "clients(first: 200, filter: { createdFrom: \"2020-01-01T00:00:00Z\" })
        { nodes { id } }";
    app.data(&format!("{{ {field} }}"), json!({})).await;
    app.take_statements();
    let fields = (0..20).map(|number| format!("a{number}: {field}"));
    let query = format!("{{ {} }}", fields.collect::<Vec<_>>().join(" "));
    let answer = app.graphql(&query, json!({})).await;
    assert_refused(&app, &answer, MAX, &query);

    let refused = app.get("/api/v1/clients?search=nt+1").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(refused.text().contains("have a price of"), "{refused:?}");
    let polled = app
        .get("/api/v1/clients?updated_from=2020-01-01T01:20:00Z")
        .await;
    assert_eq!(polled.status, StatusCode::OK, "{polled:?}");
}

/// What is foreseen of a list, as the weights of each engine have it: half of the clients were
/// created in the last 2,000 seconds, and each salesperson has 40. They are so few that the
/// sample has them all.
#[rstest]
#[case::sqlite(Engine::Sqlite, 0)]
#[case::postgres(Engine::Postgres, 1)]
#[tokio::test]
async fn a_price_tells_how_many_rows_are_touched(#[case] engine: Engine, #[case] of_engine: usize) {
    const HALF: &str = "createdFrom: \"2020-01-01T00:33:20Z\"";
    const FIRST_HALF: &str = "createdTo: \"2020-01-01T00:33:20Z\"";
    let app = start_with(engine, 4_000, 0).await;
    let mut wrong = Vec::new();
    for (arguments, fields, prices) in [
        // Half of an index is counted; with two conditions, the rows are looked at.
        (format!("filter: {{ {HALF} }}"), "totalCount", [120, 200]),
        (
            format!("filter: {{ {HALF}, updatedTo: \"2030-01-01T00:00:00Z\" }}"),
            "totalCount",
            [3_000, 500],
        ),
        (
            format!("filter: {{ {HALF}, salesperson: 7 }}"),
            "totalCount",
            [60, 10],
        ),
        // The first half of the ids is passed over, unless they are read from the end.
        (
            format!("first: 100, filter: {{ {HALF} }}"),
            "nodes { id }",
            [420, 600],
        ),
        (
            format!("last: 100, filter: {{ {HALF} }}"),
            "nodes { id }",
            [132, 150],
        ),
        (
            format!("first: 100, orderBy: {{ field: ID, direction: DESC }}, filter: {{ {HALF} }}"),
            "nodes { id }",
            [132, 150],
        ),
        (
            format!("last: 100, filter: {{ {FIRST_HALF} }}"),
            "nodes { id }",
            [420, 600],
        ),
        (
            format!("first: 100, filter: {{ {FIRST_HALF} }}"),
            "nodes { id }",
            [132, 150],
        ),
        // In another order twice as many are read, or none but those of the page.
        (
            format!("first: 100, orderBy: {{ field: NAME }}, filter: {{ {HALF} }}"),
            "nodes { id }",
            [400, 220],
        ),
        (
            format!("first: 100, orderBy: {{ field: CREATED_AT }}, filter: {{ {HALF} }}"),
            "nodes { id }",
            [250, 160],
        ),
        // The rows of one value are found by an index, and are sorted by others.
        (
            "first: 100, filter: { salesperson: 7 }".to_owned(),
            "nodes { id }",
            [160, 124],
        ),
        (
            "first: 100, orderBy: { field: NAME }, filter: { salesperson: 7 }".to_owned(),
            "nodes { id }",
            [132, 132],
        ),
        // A text is looked for in all rows, in the index of texts, or in the order of the page.
        (
            "filter: { search: \"nt 1\" }".to_owned(),
            "totalCount",
            [800, 800],
        ),
        (
            "first: 100, filter: { search: \"nt 1\" }".to_owned(),
            "nodes { id }",
            [160, 160],
        ),
        (
            "first: 100, filter: { search: \"qx\" }".to_owned(),
            "nodes { id }",
            [900, 100],
        ),
        (
            format!("first: 100, filter: {{ search: \"nt 1\", {HALF} }}"),
            "nodes { id }",
            [220, 220],
        ),
    ] {
        let query = format!("{{ clients({arguments}) {{ {fields} }} }}");
        let answer = app.graphql(&query, json!({})).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        let told = message.split("have a price of ").nth(1);
        let told = told.and_then(|rest| rest.split(' ').next());
        let told: f64 = told.and_then(|told| told.parse().ok()).unwrap_or_default();
        let expected = f64::from(prices[of_engine]);
        if (told / expected - 1.0).abs() > 0.02 {
            wrong.push(format!("{query}: {told} for {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
