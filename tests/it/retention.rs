//! The log in the long run: a long one costs no more than a short one, and old changes go.

use async_graphql::connection::CursorType;
use axum::http::{Method, StatusCode};
use chrono::TimeDelta;
use clientele::{
    graphql::schema::cursor::{Cursor, ListKind, Place},
    records::{changes::prune, list::Position},
};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp, TestClock};

/// Adds changes that look like others, a second apart, from the year 2020 on.
async fn add_changes(app: &TestApp, engine: Engine, count: u32) {
    let (numbers, at) = match engine {
        Engine::Postgres => (
            format!("SELECT n FROM generate_series(1, {count}) AS n"),
            "timestamptz '2020-01-01T00:00:00Z' + n * interval '1 second'",
        ),
        Engine::Sqlite => (
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL \
                 SELECT n + 1 FROM numbers WHERE n < {count}) SELECT n FROM numbers"
            ),
            "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1577836800 + n, 'unixepoch')",
        ),
    };
    let sql = format!(
        "INSERT INTO change (at, user_name, face, kind, client_id, old, new) \
         SELECT {at}, 'robot', 'REST', 'CLIENT_UPDATED', 1, '{{\"notes\":null}}', \
         '{{\"notes\":\"x\"}}' FROM ({numbers}) AS numbers ORDER BY n"
    );
    let writer = app.database.writer();
    writer.execute_unprepared(&sql).await.unwrap();
}

async fn changes(app: &TestApp, arguments: &str) -> Value {
    let query = format!(
        "{{ changes({arguments}) {{ nodes {{ id at kind }} \
         pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }}"
    );
    app.data(&query, json!({})).await["changes"].clone()
}

fn ids(page: &Value) -> Vec<i64> {
    let nodes = page["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| node["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[rstest]
#[case("filter: { face: GRAPHQL }", "ASC")]
#[case("filter: { kind: CLIENT_CREATED }", "ASC")]
#[case("filter: { face: GRAPHQL, clientId: 1 }", "DESC")]
#[tokio::test]
async fn a_sparse_filter_goes_on_page_by_page(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[case] filter: &str,
    #[case] direction: &str,
) {
    let app = TestApp::start(engine).await;
    // Among many others there are few, at both ends.
    app.create_client(json!({})).await;
    add_changes(&app, engine, 45_000).await;
    app.create_client(json!({})).await;
    let mut expected = match filter {
        text if text.contains("CREATED") => vec![1, 45_003],
        text if text.contains("clientId") => vec![1, 2],
        _ => vec![1, 2, 45_003, 45_004],
    };
    if direction == "DESC" {
        expected.reverse();
    }
    let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let arguments = format!("{filter}, direction: {direction}, after: \"{after}\"");
        let page = changes(&app, &arguments).await;
        found.extend(ids(&page));
        pages += 1;
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    }
    assert_eq!(found, expected);
    assert!((2..=4).contains(&pages), "{pages} pages");
}

#[rstest]
#[tokio::test]
async fn instants_are_found_without_an_index(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let empty = changes(&app, "filter: { from: \"2020-01-01T00:00:00Z\" }").await;
    assert_eq!(ids(&empty), [] as [i64; 0]);
    add_changes(&app, engine, 50_000).await;
    let page = changes(
        &app,
        "first: 3, filter: { from: \"2020-01-01T12:00:00Z\", to: \"2020-01-01T12:00:02Z\" }",
    )
    .await;
    assert_eq!(ids(&page), [43_200, 43_201, 43_202]);
    assert_eq!(page["pageInfo"]["hasNextPage"], false);
    let last = changes(
        &app,
        "direction: DESC, first: 1, filter: { to: \"2020-01-01T01:00:00.5Z\" }",
    )
    .await;
    assert_eq!(ids(&last), [3_600]);
    let ever = changes(
        &app,
        "direction: DESC, first: 1, filter: { to: \"9999-12-31T23:59:59.999Z\" }",
    )
    .await;
    assert_eq!(ids(&ever), [50_000]);
    for filter in [
        "from: \"2030-01-01T00:00:00Z\"",
        "to: \"2010-01-01T00:00:00Z\"",
    ] {
        let none = changes(&app, &format!("filter: {{ {filter} }}")).await;
        assert_eq!(ids(&none), [] as [i64; 0], "{filter}");
        assert_eq!(none["pageInfo"]["hasNextPage"], false, "{filter}");
    }
}

#[rstest]
#[tokio::test]
async fn a_total_looks_at_so_many_changes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    add_changes(&app, engine, 100_000).await;
    let total = "{ changes { totalCount } }";
    let counted = app.data(total, json!({})).await;
    assert_eq!(counted["changes"]["totalCount"], 100_000);
    app.create_client(json!({})).await;
    let refused = app.graphql(total, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("100000"), "{message}");
    let narrow = "{ changes(filter: { by: \"tester\", face: GRAPHQL }) { totalCount } }";
    let counted = app.data(narrow, json!({})).await;
    assert_eq!(counted["changes"]["totalCount"], 2);
    let short = "{ changes(filter: { from: \"2020-01-02T00:00:00Z\" }) { totalCount } }";
    let counted = app.data(short, json!({})).await;
    assert_eq!(counted["changes"]["totalCount"], 100_000 - 86_400 + 1 + 2);
}

#[rstest]
#[tokio::test]
async fn old_changes_go_and_whoever_comes_too_late_is_told(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-01T00:00:00Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let admin = app.admin_token().await;
    app.create_client(json!({})).await;
    app.create_client(json!({})).await;
    let erase = json!({ "query": "mutation { eraseClient(id: 2) { client { id } } }" });
    let call = app.call(Method::POST, "/graphql").bearer(&admin);
    assert_eq!(call.json(&erase).send().await.status, StatusCode::OK);
    let revive = "mutation { updateClient(id: 2, input: { name: \"Revived\" }) { client { id } } }";
    app.data(revive, json!({})).await;
    for _ in 0..600 {
        clock.advance(TimeDelta::hours(1));
        add_change(&app).await;
    }
    let whole = changes(&app, "first: 4").await;
    assert_eq!(ids(&whole), [1, 2, 3, 4]);
    let beginning = "{ logBeginning { after at } }";
    let none = app.data(beginning, json!({})).await;
    assert_eq!(none["logBeginning"], json!({ "after": null, "at": null }));
    let early = whole["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let late = changes(&app, "first: 1, direction: DESC").await;
    let late_id = ids(&late)[0];

    let (_, first) = first_of_history(&app, 1).await;

    // The first ones are 25 days old.
    let deleted = prune(&app.database, TimeDelta::hours(48)).await.unwrap();
    let deleted = i64::try_from(deleted).unwrap();
    let kept = changes(&app, "first: 500").await;
    // But for the erasure and what followed it, all up to there are gone.
    let beginning_id = deleted + 2;
    let expected: Vec<_> = (beginning_id + 1..=late_id).collect();
    assert_eq!(ids(&kept), expected);
    let told = app.data(beginning, json!({})).await;
    assert_eq!(told["logBeginning"]["after"], beginning_id.to_string());
    assert_ne!(told["logBeginning"]["at"], Value::Null);
    assert_eq!(prune(&app.database, TimeDelta::hours(48)).await.unwrap(), 0);

    // Whoever has read the last one of those that were deleted has missed none.
    let cursor_of = |id| {
        let place = Place {
            list: Some(ListKind::Changes),
            ..Place::default()
        };
        Cursor::Row(place, Position { key: None, id }).encode_cursor()
    };
    let next = format!("first: 1, after: \"{}\"", cursor_of(beginning_id));
    assert_eq!(ids(&changes(&app, &next).await), [beginning_id + 1]);
    let missed_one = cursor_of(beginning_id - 1);
    for query in [
        format!("{{ changes(after: \"{early}\") {{ nodes {{ id }} }} }}"),
        format!("{{ changes(after: \"{missed_one}\") {{ nodes {{ id }} }} }}"),
        format!("{{ client(id: 1) {{ history(after: \"{first}\") {{ nodes {{ id }} }} }} }}"),
    ] {
        let lost = app.graphql(&query, json!({})).await;
        let error = &lost["errors"][0];
        assert_eq!(error["extensions"]["code"], "POSITION_LOST", "{lost}");
    }
    // In the history of the client the erasure stays, with what followed, and one goes on from it.
    let (erasure, cursor) = first_of_history(&app, 2).await;
    assert_eq!(erasure, "CLIENT_ERASED");
    let next = format!(
        "{{ client(id: 2) {{ history(first: 1, after: \"{cursor}\") {{ nodes {{ fields {{ new }} }} }} }} }}"
    );
    let next = app.data(&next, json!({})).await;
    let revived = &next["client"]["history"]["nodes"][0]["fields"][0]["new"];
    assert_eq!(*revived, "Revived");
    // Whoever has read a later one goes on.
    let on = changes(&app, "first: 500").await;
    let cursor = on["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    add_change(&app).await;
    let next = changes(&app, &format!("after: \"{cursor}\"")).await;
    assert_eq!(ids(&next), [late_id + 1]);
    let back = changes(
        &app,
        &format!("direction: DESC, first: 1, after: \"{}\"", {
            let newest = changes(&app, "direction: DESC, first: 1").await;
            newest["pageInfo"]["endCursor"].as_str().unwrap().to_owned()
        }),
    )
    .await;
    assert_eq!(ids(&back), [late_id]);
    // By itself, nobody deletes.
    let transaction = app.database.begin().await.unwrap();
    let newest = format!("DELETE FROM change WHERE id = {late_id}");
    let refused = transaction.execute_unprepared(&newest).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
    transaction.rollback().await.unwrap();
}

/// The kind of the first change in the history of a client, and its cursor.
async fn first_of_history(app: &TestApp, id: u32) -> (String, String) {
    let query = "query ($id: ID!) { client(id: $id) {
        history(first: 1) { edges { cursor node { kind } } } } }";
    let data = app.data(query, json!({ "id": id })).await;
    let edge = &data["client"]["history"]["edges"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&edge["node"]["kind"]), text(&edge["cursor"]))
}

async fn add_change(app: &TestApp) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let notes = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let update = "mutation ($notes: String) { updateClient(id: 1, input: { notes: $notes })
                  { client { id } } }";
    let notes = json!({ "notes": format!("note {notes}") });
    app.data(update, notes).await;
}
