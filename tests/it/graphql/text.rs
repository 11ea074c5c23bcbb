//! How texts compare: ignoring case by the rules of Unicode, every character for
//! itself, the same on both engines.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

/// Names in classes: those of a class are equal, ignoring case.
const CLASSES: [&[&str]; 12] = [
    &["Birch", "BIRCH", "birch"],
    &["Straße", "STRASSE", "strasse", "STRAẞE"],
    &["Café", "CAFE\u{301}", "cafe\u{301}", "CAFÉ"],
    &["Cafe", "CAFE"],
    // A capital I with a dot is an i with a combining dot, and no i.
    &["İstanbul", "i\u{307}stanbul"],
    &["Istanbul", "ISTANBUL"],
    &["ıstanbul"],
    &["ΟΔΟΣ", "οδος", "οδοσ"],
    &["ﬁnance", "FINANCE"],
    &["Ångström", "A\u{30a}NGSTRO\u{308}M", "\u{212b}ngström"],
    &["Ǆ", "ǅ", "ǆ"],
    &["日本", "日本"],
];

async fn names(app: &TestApp, filter: Value) -> Vec<String> {
    let query = "query ($filter: ClientFilter) {
        clients(filter: $filter, orderBy: { field: NAME }, first: 500) { nodes { name } } }";
    let data = app.data(query, json!({ "filter": filter })).await;
    let nodes = data["clients"]["nodes"].as_array().unwrap();
    let names = nodes
        .iter()
        .map(|node| node["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[rstest]
#[tokio::test]
async fn names_are_equal_ignoring_case(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    for name in CLASSES.concat() {
        app.create_client(json!({ "name": name, "accountCode": format!("x{name}") }))
            .await;
    }
    for class in CLASSES {
        for name in class {
            assert_eq!(names(&app, json!({ "name": name })).await, class, "{name}");
            let code = json!({ "accountCode": format!("X{name}") });
            assert_eq!(names(&app, code).await, class, "{name}");
        }
    }
    insta::assert_json_snapshot!("order_of_names", names(&app, json!({})).await);

    for (search, expected) in [
        ("TRASS", CLASSES[1]),
        ("aß", CLASSES[1]),
        ("AFÉ", CLASSES[2]),
        ("ΔΟς", CLASSES[7]),
        ("FIN", CLASSES[8]),
        ("本", CLASSES[11]),
    ] {
        assert_eq!(
            names(&app, json!({ "search": search })).await,
            expected,
            "{search}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn every_character_stands_for_itself(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let all = [
        "100%",
        "100x",
        "a_b",
        "axb",
        "back\\slash",
        "backslash",
        "O'Hara",
        "OHara",
        "wow!",
        "wow",
        "-- x",
        "x; DROP TABLE client",
        "${x}",
        "$1",
        "?",
        "\"quoted\"",
        "[a-z]",
        "*",
        "a\nb",
        "NULL",
        "!%",
        "!_",
        "!!",
        "\\%",
    ];
    for name in all {
        app.create_client(json!({ "name": name })).await;
    }
    let searches = [
        "%",
        "_",
        "\\",
        "'",
        "!",
        "--",
        ";",
        "$",
        "?",
        "\"",
        "[",
        "*",
        "\n",
        "null",
        "%%",
        "0%",
        "a_",
        "k\\s",
        "O'",
        "w!",
        "!%",
        "!_",
        "!!",
        "\\%",
        "''",
        "' OR 1=1 --",
        "%' --",
        "x",
    ];
    let mut sorted = all.map(str::to_lowercase).to_vec();
    sorted.sort();
    for text in searches.iter().chain(&all) {
        let key = text.to_lowercase();
        let expected: Vec<_> = sorted.iter().filter(|name| name.contains(&key)).collect();
        let found = names(&app, json!({ "search": text })).await;
        let found: Vec<_> = found.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{text}");
        let expected: Vec<_> = all
            .iter()
            .filter(|name| name.to_lowercase() == key.trim())
            .collect();
        let found = names(&app, json!({ "name": text })).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{text}");
    }
    assert_eq!(app.counts().await, [24, 24]);
}
