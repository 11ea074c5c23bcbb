//! Single pages of lists: what surrounds them, and which arguments are refused.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    codes, faults,
    lists::{FIELDS, LISTS, app_with_rows, page, reference},
    with,
};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn wrong_arguments_are_refused(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (app, _) = app_with_rows(engine).await;
    let mut cases = vec![
        (json!({ "first": -1 }), vec!["first"]),
        (json!({ "first": 501 }), vec!["first"]),
        (json!({ "first": i32::MAX }), vec!["first"]),
        (json!({ "last": -1 }), vec!["last"]),
        (json!({ "last": 501 }), vec!["last"]),
        (json!({ "first": 1, "last": 1 }), vec!["last"]),
        (
            json!({ "first": -1, "last": 501, "after": "x", "before": " " }),
            vec!["first", "last", "last", "after", "before"],
        ),
        (json!({ "first": 1_i64 << 31 }), vec!["first"]),
        (json!({ "first": "1" }), vec!["first"]),
        (json!({ "first": 1.5 }), vec!["first"]),
        (
            json!({ "first": true, "orderBy": { "field": "NAM" }, "before": 1 }),
            vec!["orderBy.field", "first", "before"],
        ),
    ];
    for cursor in [
        "x".to_owned(),
        "%%%".to_owned(),
        "ü".to_owned(),
        encoded("1"),
        encoded("ia:"),
        encoded("ia:x"),
        encoded("ia:9223372036854775808"),
        encoded("iaz:1"),
        encoded("iaxc:1"),
        encoded("xa:1"),
        encoded("o:18446744073709551615"),
        encoded("o:9223372036854775808"),
        BASE64_URL_SAFE_NO_PAD.encode([0xff, 0xfe]),
    ] {
        cases.push((json!({ "after": cursor }), vec!["after"]));
        cases.push((json!({ "before": cursor }), vec!["before"]));
    }
    for (order, cursor) in [
        (json!({ "field": "NAME" }), "na:1"),
        (json!({ "field": "NAME" }), "na:1:a\0"),
        (json!({ "field": "NAME" }), "nd:1:a"),
        (json!({ "field": "NAME", "direction": "DESC" }), "ia:1"),
        (json!({ "direction": "DESC" }), "ia:1"),
        (json!({ "field": "CREATED_AT" }), "ua:1:1769850900250"),
        (json!({ "field": "CREATED_AT" }), "ca:1:x"),
        (json!({ "field": "CREATED_AT" }), "ca:1:9223372036854775807"),
        // Years that chrono knows, and PostgreSQL or four digits do not.
        (json!({ "field": "CREATED_AT" }), "ca:1:-8334601228800000"),
        (json!({ "field": "UPDATED_AT" }), "ua:1:8210266876799999"),
        (json!({ "field": "UPDATED_AT" }), "ua:1:253402300800000"),
    ] {
        let arguments = json!({ "orderBy": order, "after": encoded(cursor) });
        cases.push((arguments, vec!["after"]));
    }
    for (field, order) in LISTS {
        for (variables, paths) in &cases {
            let query = format!(
                "query ($orderBy: {order}, $first: Int, $after: String, $last: Int,
                        $before: String) {{
                   {field}(orderBy: $orderBy, first: $first, after: $after, last: $last,
                           before: $before) {{ nodes {{ id }} totalCount }}
                 }}"
            );
            let answer = app.graphql(&query, variables.clone()).await;
            assert_eq!(
                codes(&answer),
                ["VALIDATION_FAILED"],
                "{variables} {answer:#}"
            );
            assert_eq!(&faults(&answer), paths, "{variables}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn rows_written_meanwhile_move_no_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    for field in FIELDS {
        for direction in ["ASC", "DESC"] {
            let (app, clock) = app_with_rows(engine).await;
            let order = json!({ "field": field, "direction": direction });
            let before = reference(&app, LISTS[0], field, direction).await;
            let mut seen = Vec::new();
            let mut cursor = Value::Null;
            let mut changed = Vec::new();
            loop {
                let arguments = json!({ "orderBy": order, "first": 3, "after": cursor });
                let page = page(&app, LISTS[0], arguments).await;
                seen.extend(
                    page["nodes"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|row| row["id"].clone()),
                );
                cursor = page["pageInfo"]["endCursor"].clone();
                if page["pageInfo"]["hasNextPage"] == false || seen.len() > 60 {
                    break;
                }
                clock.advance(TimeDelta::milliseconds(1));
                if changed.len() < 6 {
                    // One row on each side of the page takes another place.
                    for name in ["Aaa", "zzz"] {
                        app.create_client(json!({ "name": name })).await;
                        let row = &before[(changed.len() * 5 + 1) % before.len()]["id"];
                        app.update_client(row, json!({ "name": name, "notes": "moved" }))
                            .await;
                        changed.push(row.clone());
                    }
                }
            }
            let unchanged = |id: &Value| !changed.contains(id);
            let seen = seen.iter().filter(|id| {
                let id: i64 = id.as_str().unwrap().parse().unwrap();
                id <= 17
            });
            let seen: Vec<_> = seen.filter(|id| unchanged(id)).collect();
            let expected: Vec<_> = before
                .iter()
                .map(|row| &row["id"])
                .filter(|id| unchanged(id))
                .collect();
            assert_eq!(seen, expected, "{order}");
        }
    }
}
#[rstest]
#[tokio::test]
async fn lists_have_defaults_and_edges(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (app, _) = app_with_rows(engine).await;
    for list in LISTS {
        let all = page(&app, list, json!({})).await;
        assert_eq!(
            json!(reference(&app, list, "ID", "ASC").await),
            all["nodes"]
        );
        for order in [
            json!({}),
            json!({ "direction": "ASC" }),
            json!({ "field": null }),
            Value::Null,
        ] {
            assert_eq!(page(&app, list, json!({ "orderBy": order })).await, all);
        }
        let up = page(&app, list, json!({ "orderBy": { "field": "NAME" } })).await;
        assert_eq!(
            json!(reference(&app, list, "NAME", "ASC").await),
            up["nodes"]
        );

        let nothing = page(&app, list, json!({ "first": 0 })).await;
        let info = json!({ "hasNextPage": true, "hasPreviousPage": false, "startCursor": null,
            "endCursor": null });
        let expected = json!({ "edges": [], "nodes": [], "pageInfo": info, "totalCount": 17 });
        assert_eq!(nothing, expected);

        let last = &all["pageInfo"]["endCursor"];
        let beyond = page(&app, list, json!({ "after": last })).await;
        let info = json!({ "hasNextPage": false, "hasPreviousPage": true, "startCursor": null,
            "endCursor": null });
        let expected = json!({ "edges": [], "nodes": [], "pageInfo": info, "totalCount": 17 });
        assert_eq!(beyond, expected);

        let cursor = |number: usize| &all["edges"][number]["cursor"];
        let between = json!({ "after": cursor(2), "before": cursor(6) });
        let ids = |page: &Value| page["nodes"].as_array().unwrap().len();
        let page_between = page(&app, list, between.clone()).await;
        assert_eq!(
            page_between["nodes"],
            json!(&all["nodes"].as_array().unwrap()[3..6])
        );
        assert_eq!(
            ids(&page(&app, list, with(between, json!({ "last": 2 }))).await),
            2
        );
    }
}

#[rstest]
#[tokio::test]
async fn only_rows_of_the_same_list_lie_around_a_page(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _) = app_with_rows(engine).await;
    let zed = json!({ "filter": { "name": "zed" } });
    let query = "query ($filter: ClientFilter, $after: String) {
        clients(filter: $filter, after: $after, orderBy: { field: NAME }) {
          edges { cursor } pageInfo { hasPreviousPage hasNextPage } } }";
    let around = async |arguments: Value| {
        let data = app.data(query, with(zed.clone(), arguments)).await;
        let info = &data["clients"]["pageInfo"];
        let rows = data["clients"]["edges"].as_array().unwrap().len();
        let sides = ["hasPreviousPage", "hasNextPage"].map(|side| info[side].as_bool().unwrap());
        (rows, sides)
    };
    let cursors = async |filter: Value| -> Vec<Value> {
        let data = app.data(query, json!({ "filter": filter })).await;
        let edges = data["clients"]["edges"].as_array().unwrap();
        edges.iter().map(|edge| edge["cursor"].clone()).collect()
    };
    let before_all = &cursors(json!({ "name": "aspen" })).await[0];
    let [first, second] = &cursors(zed["filter"].clone()).await[..] else {
        panic!("two of this name");
    };
    for (arguments, expected) in [
        (json!({}), (2, [false, false])),
        (json!({ "after": before_all }), (2, [false, false])),
        (json!({ "after": first }), (1, [true, false])),
        (json!({ "after": second }), (0, [true, false])),
    ] {
        assert_eq!(around(arguments.clone()).await, expected, "{arguments}");
    }
    let one = json!({ "id": "4" });
    let data = app
        .data(query, json!({ "filter": one, "after": first }))
        .await;
    let info = json!({ "hasPreviousPage": true, "hasNextPage": false });
    assert_eq!(data["clients"], json!({ "edges": [], "pageInfo": info }));
}

/// The number of all rows is found on the way to the page if it is small, and counted by
/// itself if not.
#[rstest]
#[tokio::test]
async fn a_page_tells_how_many_there_are_whether_few_or_many(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const QUERY: &str = "query($filter: ClientFilter, $orderBy: ClientOrder, $first: Int,
            $last: Int, $after: String) {
        clients(filter: $filter, orderBy: $orderBy, first: $first, last: $last, after: $after) {
            totalCount nodes { id } withPrimary: nodes { primaryLocation { name } }
            pageInfo { hasNextPage hasPreviousPage endCursor } } }";
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "name": "Other" })).await;
    let mut ids = Vec::new();
    for total in 0..=103 {
        if total > 0 {
            let client = app.create_client(json!({ "name": "Same" })).await;
            ids.push(client["id"].clone());
        }
        if !matches!(total, 0 | 1 | 20 | 99..) {
            continue;
        }
        for size in [0, 1, 20, 99, 100, 101, 102, 200] {
            for (field, first) in [("ID", true), ("ID", false), ("NAME", true)] {
                let size_name = if first { "first" } else { "last" };
                let variables = json!({
                    "filter": { "name": "same" },
                    "orderBy": { "field": field },
                    size_name: size,
                });
                let mut data = app.data(QUERY, variables).await;
                let page = data["clients"].take();
                assert_eq!(page["totalCount"], total, "{size_name} {size}");
                let shown = size.min(total);
                let expected = if first {
                    &ids[..shown]
                } else {
                    &ids[total - shown..]
                };
                let nodes = page["nodes"].as_array().unwrap().iter();
                assert!(nodes.map(|node| &node["id"]).eq(expected), "{page}");
                let more = if first {
                    "hasNextPage"
                } else {
                    "hasPreviousPage"
                };
                assert_eq!(page["pageInfo"][more], total > size);
                // What follows counts by itself.
                if first && size > 0 && total > 0 {
                    let variables = json!({
                        "filter": { "name": "same" },
                        "orderBy": { "field": field },
                        "first": 1,
                        "after": page["pageInfo"]["endCursor"],
                    });
                    let data = app.data(QUERY, variables).await;
                    assert_eq!(data["clients"]["totalCount"], total);
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// Every list, by a query with the variable `$after`.
const ALL_LISTS: [(&str, &str); 6] = [
    ("/clients", "clients(after: $after)"),
    ("/clientLocations", "clientLocations(after: $after)"),
    (
        "/client/locations",
        "client(id: 1) { locations(after: $after)",
    ),
    ("/client/history", "client(id: 1) { history(after: $after)"),
    ("/changes", "changes(after: $after)"),
    (
        "/clients",
        "clients(after: $after, filter: { search: \"acme\" })",
    ),
];

#[rstest]
#[tokio::test]
async fn a_cursor_is_for_the_list_that_it_came_from(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    // The first is written from columns, the second resolved field by field.
    #[values("", "x: nodes { id ... on Client { history { totalCount } } }")] more: &str,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "name": "Acme" })).await;
    let query = |list: &str| {
        let more = if list.starts_with("clients(") {
            more
        } else {
            ""
        };
        let ends = "}".repeat(list.matches('{').count() - list.matches("{ search").count());
        format!(
            "query ($after: String) {{ {list} {{ pageInfo {{ endCursor }} nodes {{ id }} {more} }} {ends} }}"
        )
    };
    for (pointer, from) in ALL_LISTS {
        // An empty cursor is none.
        let data = app.data(&query(from), json!({ "after": "" })).await;
        let cursor = data.pointer(pointer).unwrap()["pageInfo"]["endCursor"].clone();
        for (other, list) in ALL_LISTS {
            let answer = app.graphql(&query(list), json!({ "after": cursor })).await;
            if other == pointer {
                assert_eq!(answer.get("errors"), None, "{from} {list} {answer:#}");
            } else {
                assert_eq!(faults(&answer), ["after"], "{from} {list}");
                let message = &answer["errors"][0]["extensions"]["fields"][0]["message"];
                let expected = "is a cursor of another list: use it in the list that it came from";
                assert_eq!(message, expected, "{from} {list}");
            }
        }
    }
    // Who has kept a cursor from before they told of their lists can go on.
    let data = app
        .data(&query(ALL_LISTS[4].1), json!({ "after": encoded("ia:1") }))
        .await;
    assert_eq!(data["changes"]["nodes"], json!([{ "id": "2" }]));
}

/// However the page is cut from the list, and whether it has all of the rest or not.
#[rstest]
#[tokio::test]
async fn a_total_is_that_of_the_whole_list_around_a_cursor(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const QUERY: &str = "query($first: Int, $last: Int, $after: String, $before: String) {
        clients(filter: { name: \"same\" }, first: $first, last: $last, after: $after,
            before: $before) { totalCount nodes { id } edges { cursor } } }";
    let app = TestApp::start(engine).await;
    for name in ["Same", "Other", "Same", "Same", "Other", "Same", "Same"] {
        app.create_client(json!({ "name": name })).await;
    }
    let all = app.data(QUERY, json!({})).await;
    let edges = all["clients"]["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 5);
    for (index, edge) in edges.iter().enumerate() {
        let sides = [("before", index), ("after", edges.len() - index - 1)];
        for (side, rows) in sides {
            for (size, limit) in [("first", 1), ("last", 1), ("first", 50), ("last", 50)] {
                let variables = json!({ side: edge["cursor"], size: limit });
                let page = app.data(QUERY, variables.clone()).await;
                let page = &page["clients"];
                assert_eq!(page["totalCount"], 5, "{variables}");
                let nodes = page["nodes"].as_array().unwrap();
                assert_eq!(nodes.len(), rows.min(limit), "{variables}");
            }
        }
    }
}
