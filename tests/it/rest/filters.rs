//! The filters of both lists, and how texts are compared.

use rstest::rstest;
use serde_json::{Value, json};

use super::{CLIENTS, LOCATIONS, Record, ids, named, names, read};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn names_are_compared_whole_and_without_regard_to_case(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    named(
        &app,
        record,
        &[
            "Straße 1",
            "ÅNGSTRÖM",
            "ΣΊΣΥΦΟΣ",
            "A&B + C=D",
            "Acme",
            "Acme 2",
        ],
    )
    .await;
    for (value, expected) in [
        ("STRASSE%201", vec!["Straße 1"]),
        ("stra%C3%9Fe+1", vec!["Straße 1"]),
        ("a%CC%8Angstro%CC%88m", vec!["ÅNGSTRÖM"]),
        (
            "%CF%83%CE%AF%CF%83%CF%85%CF%86%CE%BF%CF%82",
            vec!["ΣΊΣΥΦΟΣ"],
        ),
        ("a%26b%20%2B%20c%3Dd", vec!["A&B + C=D"]),
        ("acme", vec!["Acme"]),
        ("%20Acme%20", vec!["Acme"]),
        ("Acm", vec![]),
        ("Acme%25", vec![]),
        ("A_me", vec![]),
        ("'%20OR%20''='", vec![]),
        ("null", vec![]),
    ] {
        let found = names(&app, &format!("{}?name={value}", record.path())).await;
        assert_eq!(found, expected, "{value}");
    }
}

#[rstest]
#[tokio::test]
async fn search_finds_its_text_anywhere_and_literally(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let all = [
        "100% Juice",
        "100 Juice",
        "a_b",
        "axb",
        "c\\d!e'f",
        "Große Straße",
    ];
    named(&app, record, &all).await;
    for (value, expected) in [
        ("JUICE", vec!["100% Juice", "100 Juice"]),
        ("0%25", vec!["100% Juice"]),
        ("%25", vec!["100% Juice"]),
        ("_", vec!["a_b"]),
        ("A_B", vec!["a_b"]),
        ("%5C", vec!["c\\d!e'f"]),
        ("!e'", vec!["c\\d!e'f"]),
        ("!", vec!["c\\d!e'f"]),
        ("OSSE%20STRASS", vec!["Große Straße"]),
        ("*", vec![]),
        ("%22", vec![]),
    ] {
        let found = names(&app, &format!("{}?search={value}", record.path())).await;
        assert_eq!(found, expected, "{value}");
    }
}

#[rstest]
#[tokio::test]
async fn filters_of_one_list_combine_with_and(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut clients = Vec::new();
    for (name, code, salesperson) in [("Acme", "X-1", 1), ("Acme", "x-2", 2), ("Zeta", "ACME", 1)] {
        let input = json!({ "name": name, "accountCode": code, "salesperson": salesperson });
        clients.push(app.create_client(input).await);
    }
    let id = |client: &Value| client["id"].as_str().unwrap().parse::<i64>().unwrap();
    let clients: Vec<i64> = clients.iter().map(id).collect();
    let [first, second, third] = clients[..] else {
        panic!("{clients:?}")
    };
    for (query, expected) in [
        ("name=acme&salesperson=1".to_owned(), vec![first]),
        ("name=acme&account_code=X-2".to_owned(), vec![second]),
        ("search=acme".to_owned(), vec![first, second, third]),
        (
            "search=acme&salesperson=1&dir=desc".to_owned(),
            vec![third, first],
        ),
        ("search=acme&name=zeta".to_owned(), vec![third]),
        (format!("id={first}&salesperson=2"), vec![]),
        (
            format!("id={first}&name=ACME&account_code=x-1"),
            vec![first],
        ),
    ] {
        let list = read(&app, &format!("{CLIENTS}?{query}")).await;
        assert_eq!(ids(&list), expected, "{query}");
    }

    // Of locations, the parent and its salesperson.
    let input = json!({ "clientId": first.to_string(), "name": "Branch" });
    let branch = app.create_location(input).await;
    let branch: i64 = branch["id"].as_str().unwrap().parse().unwrap();
    let all = ids(&read(&app, LOCATIONS).await);
    for (query, expected) in [
        (format!("parent={first}"), vec![all[0], branch]),
        (format!("parent={first}&name=branch"), vec![branch]),
        ("salesperson=1".to_owned(), vec![all[0], all[2], branch]),
        (format!("salesperson=1&parent={third}"), vec![all[2]]),
        (format!("salesperson=2&parent={third}"), vec![]),
        ("parent=4711".to_owned(), vec![]),
        ("parent=-1".to_owned(), vec![]),
        ("search=RANC".to_owned(), vec![branch]),
    ] {
        let list = read(&app, &format!("{LOCATIONS}?{query}")).await;
        assert_eq!(ids(&list), expected, "{query}");
    }
}
