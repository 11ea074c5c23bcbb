//! The contract of every list: each row once, in the order asked for, forwards and
//! backwards, whatever the sizes of the pages.

use chrono::TimeDelta;
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestCaseError, TestRunner},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Engine, TestApp, TestClock};

pub const FIELDS: [&str; 4] = ["ID", "NAME", "CREATED_AT", "UPDATED_AT"];
pub const LISTS: [(&str, &str); 2] = [
    ("clients", "ClientOrder"),
    ("clientLocations", "ClientLocationOrder"),
];

/// Clients and locations of few names, created and changed at few instants.
pub async fn app_with_rows(engine: Engine) -> (TestApp, TestClock) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let names = ["birch", "Aspen", "BIRCH", "zed", "aspen", "Ähre", "Birch"];
    for number in 0..17 {
        let name = names[number % names.len()];
        let location = json!({ "name": names[number / 3 % names.len()] });
        let input = json!({ "name": name, "primaryLocation": location });
        let client = app.create_client(input).await;
        if number % 4 == 0 {
            clock.advance(TimeDelta::milliseconds(1));
        }
        if number % 5 == 0 {
            let notes = json!({ "notes": "n", "primaryLocation": { "notes": "n" } });
            app.update_client(&client["id"], notes).await;
        }
    }
    (app, clock)
}

/// One page: ids, cursors and what lies around it.
pub async fn page(app: &TestApp, list: (&str, &str), arguments: Value) -> Value {
    let (field, order) = list;
    let query = format!(
        "query ($orderBy: {order}, $first: Int, $after: String, $last: Int, $before: String) {{
           list: {field}(
             orderBy: $orderBy, first: $first, after: $after, last: $last, before: $before
           ) {{
             edges {{ cursor node {{ id name createdAt updatedAt }} }}
             nodes {{ id name createdAt updatedAt }}
             pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
             totalCount
           }}
         }}"
    );
    app.data(&query, arguments).await["list"].take()
}

/// All rows in the order asked for, sorted here.
pub async fn reference(
    app: &TestApp,
    list: (&str, &str),
    field: &str,
    direction: &str,
) -> Vec<Value> {
    let all = page(app, list, json!({ "first": 500 })).await["nodes"].take();
    let mut rows: Vec<Value> = serde_json::from_value(all).unwrap();
    let key = |row: &Value| {
        let id: i64 = row["id"].as_str().unwrap().parse().unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_lowercase();
        let key = match field {
            "ID" => String::new(),
            "NAME" => text("name"),
            "CREATED_AT" => text("createdAt"),
            "UPDATED_AT" => text("updatedAt"),
            _ => panic!("{field}"),
        };
        (key, id)
    };
    rows.sort_by_key(key);
    if direction == "DESC" {
        rows.reverse();
    }
    rows
}

/// Walks through the whole list and returns its rows in its order. Page sizes are
/// taken in turn.
async fn walk(
    app: &TestApp,
    list: (&str, &str),
    order: &Value,
    backwards: bool,
    sizes: &[usize],
) -> Vec<Value> {
    let total = page(app, list, json!({ "first": 0 })).await["totalCount"].take();
    let (size_name, cursor_name) = [("first", "after"), ("last", "before")][usize::from(backwards)];
    let mut pages: Vec<Value> = Vec::new();
    let mut cursor = Value::Null;
    for size in sizes.iter().cycle() {
        let arguments = json!({ "orderBy": order, size_name: size, cursor_name: cursor });
        let page = page(app, list, arguments).await;
        let edges = page["edges"].as_array().unwrap();
        let nodes: Vec<_> = edges.iter().map(|edge| edge["node"].clone()).collect();
        assert_eq!(page["nodes"], json!(nodes));
        assert_eq!(page["totalCount"], total);
        assert!(edges.len() <= *size);

        let info = &page["pageInfo"];
        let (near, far, far_cursor) = if backwards {
            ("hasNextPage", "hasPreviousPage", "startCursor")
        } else {
            ("hasPreviousPage", "hasNextPage", "endCursor")
        };
        assert_eq!(info["startCursor"], edges[0]["cursor"]);
        assert_eq!(info["endCursor"], edges.last().unwrap()["cursor"]);
        assert_eq!(info[near], !pages.is_empty(), "the near side of {page:#}");
        let more = info[far].as_bool().unwrap();
        assert!(!more || edges.len() == *size, "a short page before the end");
        cursor = info[far_cursor].clone();
        pages.push(page);
        if !more {
            break;
        }
    }
    if backwards {
        pages.reverse();
    }
    let rows = pages
        .iter()
        .flat_map(|page| page["nodes"].as_array().unwrap());
    rows.cloned().collect()
}

#[rstest]
#[tokio::test]
async fn every_order_visits_each_row_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _) = app_with_rows(engine).await;
    for list in LISTS {
        for field in FIELDS {
            for direction in ["ASC", "DESC"] {
                let order = json!({ "field": field, "direction": direction });
                let reference = reference(&app, list, field, direction).await;
                assert_eq!(reference.len(), 17);
                for backwards in [false, true] {
                    let rows = walk(&app, list, &order, backwards, &[4]).await;
                    assert_eq!(rows, reference, "{list:?} {order} backwards: {backwards}");
                }
            }
        }
    }
}

#[rstest]
fn pages_of_any_size_visit_each_row_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = Runtime::new().unwrap();
    let (app, _) = runtime.block_on(app_with_rows(engine));
    let strategy = (
        0..LISTS.len(),
        0..FIELDS.len(),
        any::<[bool; 2]>(),
        vec(1_usize..8, 1..5),
    );
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&strategy, |(list, field, [up, backwards], sizes)| {
        let direction = if up { "ASC" } else { "DESC" };
        let order = json!({ "field": FIELDS[field], "direction": direction });
        runtime.block_on(async {
            let reference = reference(&app, LISTS[list], FIELDS[field], direction).await;
            let rows = walk(&app, LISTS[list], &order, backwards, &sizes).await;
            let same = rows == reference;
            same.then_some(())
                .ok_or_else(|| TestCaseError::fail(format!("{rows:#?}")))
        })
    });
    result.unwrap();
    runtime.block_on(async move { drop(app) });
}
