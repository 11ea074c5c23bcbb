//! The parameters of both lists: a typo must never return every row.

use axum::http::StatusCode;
use rstest::rstest;

use super::{CLIENTS, Record, ids, named, names, read, refused, refused_for, whole};
use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn parameters_at_fault_are_named_with_what_is_accepted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    named(&app, record, &["a"]).await;
    let too_long = format!("name={}", "x".repeat(1_001));
    for parameter in [
        "per_page=0",
        "per_page=501",
        "per_page=-1",
        "per_page=abc",
        "per_page=1e3",
        "per_page=1.0",
        "per_page=010",
        "per_page=%2B10",
        "per_page=%20",
        "per_page=1%200",
        "per_page=99999999999999999999",
        "page=0",
        "page=-1",
        "page=abc",
        "page=1.5",
        "page=01",
        "page=18446744073709551616",
        "dir=x",
        "dir=ascending",
        "mode=rows",
        "mode=COUNT",
        "id=abc",
        "id=01",
        "id=1.0",
        "id=0x1",
        "id=%2B1",
        "id=%20",
        "id=99999999999999999999",
        "id=1,2",
        "salesperson=Ann",
        "salesperson=1e3",
        "search=%00",
        "name=a%00",
        &too_long,
    ] {
        let answer = app.get(&format!("{}?{parameter}", record.path())).await;
        let problem = refused_for(parameter, &answer, StatusCode::BAD_REQUEST);
        let name = parameter.split_once('=').unwrap().0;
        let start = format!("The parameter '{name}' must ");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(&start), "{parameter}: {detail}");
    }
}

#[rstest]
#[tokio::test]
async fn a_typo_never_returns_every_row(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let accepted = match record {
        Record::Client => {
            "id, name, account_code, salesperson, case_manager, created_from, created_to, \
             updated_from, updated_to, search, dir, per_page, page, mode"
        }
        Record::Location => {
            "id, name, parent, salesperson, created_from, created_to, updated_from, updated_to, \
             search, dir, per_page, page, mode"
        }
    };
    let (code, owner) = match record {
        Record::Client => ("account_code", "id"),
        Record::Location => ("", "parent"),
    };
    for (query, name, meant) in [
        ("nme=Acme", "nme", "name"),
        ("nme=", "nme", "name"),
        ("nme", "nme", "name"),
        ("Name=Acme", "Name", "name"),
        ("name[]=Acme", "name[]", "name"),
        ("filter[name]=Acme", "filter[name]", ""),
        ("accountCode=1", "accountCode", code),
        ("client_id=1", "client_id", owner),
        ("_after=x", "_after", ""),
        ("first=1", "first", "per_page"),
        ("limit=1", "limit", "per_page"),
        ("offset=1", "offset", "page"),
        ("q=Acme", "q", "search"),
        ("sort=id", "sort", "dir"),
        ("order=asc", "order", "dir"),
        ("updated_since=2026-01-31", "updated_since", "updated_from"),
        ("=x", "", ""),
        ("name=Acme&;page=2", ";page", "page"),
        ("n%C3%A4me=x", "näme", "name"),
        ("colour=red", "colour", ""),
    ] {
        let answer = app.get(&format!("{}?{query}", record.path())).await;
        let problem = refused_for(query, &answer, StatusCode::BAD_REQUEST);
        let meant = match meant {
            "" => String::new(),
            meant => format!(" (did you mean {meant}?)"),
        };
        let expected =
            format!("The parameter '{name}'{meant} is not known. Accepted are: {accepted}.");
        assert_eq!(problem["detail"], expected, "{query}");
    }
    let (known, other) = match record {
        Record::Client => ("account_code", "parent"),
        Record::Location => ("parent", "account_code"),
    };
    assert_eq!(
        app.get(&format!("{}?{known}=1", record.path()))
            .await
            .status,
        StatusCode::OK
    );
    let answer = app.get(&format!("{}?{other}=1", record.path())).await;
    refused(&answer, StatusCode::BAD_REQUEST);
}

#[rstest]
#[tokio::test]
async fn all_parameters_at_fault_are_named_at_once_and_briefly(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let answer = app
        .get(&format!(
            "{CLIENTS}?per_page=0&nme=x&id=x&colour=red&page=1"
        ))
        .await;
    insta::assert_snapshot!("several_parameters_at_fault", whole(&answer));
    refused(&answer, StatusCode::BAD_REQUEST);

    let many: Vec<_> = (0..1_000).map(|number| format!("a{number}")).collect();
    let answer = app.get(&format!("{CLIENTS}?{}", many.join("&"))).await;
    refused(&answer, StatusCode::BAD_REQUEST);
    assert!(answer.body.len() < 16_384, "{}", answer.body.len());
}

#[rstest]
#[tokio::test]
async fn a_repeated_parameter_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    for query in [
        "name=a&name=b",
        "name=a&page=1&name=a",
        "name=&name=a",
        "name=a&n%61me=b",
    ] {
        let answer = app.get(&format!("{}?{query}", record.path())).await;
        let problem = refused_for(query, &answer, StatusCode::BAD_REQUEST);
        assert_eq!(problem["detail"], "The parameter 'name' is there twice.");
    }
}

#[rstest]
#[tokio::test]
async fn an_empty_value_counts_as_not_given(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let expected = named(&app, record, &["a", "b"]).await;
    let own = match record {
        Record::Client => "account_code=&case_manager=",
        Record::Location => "parent=",
    };
    let all = format!(
        "id=&name=&salesperson=&created_from=&created_to=&updated_from=&updated_to=&search=&dir=\
         &per_page=&page=&mode=&{own}"
    );
    for query in [all.as_str(), "name", "name&id", "&&", ""] {
        let list = read(&app, &format!("{}?{query}", record.path())).await;
        assert_eq!(ids(&list), expected, "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn escapes_that_are_not_utf_8_are_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    named(&app, record, &["\u{fffd}", "a"]).await;
    for query in [
        "name=%FF",
        "name=a%C3",
        "name=%ED%A0%80",
        "name=%C0%AF",
        "%FF=a",
        "name=%FF&search=%EF%BF%BD",
        "name=%EF%BF%BD%FF",
    ] {
        let answer = app.get(&format!("{}?{query}", record.path())).await;
        let problem = refused_for(query, &answer, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.ends_with("is not valid UTF-8."), "{query}: {detail}");
    }
    // The replacement character itself may be searched for.
    let found = names(&app, &format!("{}?name=%ef%bf%bd", record.path())).await;
    assert_eq!(found, ["\u{fffd}"]);
    // What is no escape stands for itself.
    let found = names(&app, &format!("{}?name=100%&search=%zz", record.path())).await;
    assert!(found.is_empty());
}
