//! What holds for both lists: order, pages, and the links from one to the next.

use std::collections::HashMap;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header::AUTHORIZATION},
};
use clientele::{
    config::{Network, Settings},
    http::host::Peer,
};
use entity::{client, client_location as location};
use rstest::rstest;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;

use super::{Record, ids, named, read, whole};
use crate::support::{Answer, Engine, TestApp};

/// Adds clients with one location each, the quick way, and returns the ids that
/// the records of this kind got.
async fn fill(app: &TestApp, record: Record, number: usize) -> Vec<i64> {
    let now = app.database.clock.now();
    let transaction = app.database.begin().await.unwrap();
    let clients = (0..number).map(|_| client::ActiveModel {
        name: Set("Zoë & Co".to_owned()),
        name_key: Set("zoë & co".to_owned()),
        has_invoice_reminders: Set(false),
        show_location_on_invoice: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
        version: Set(1),
        ..Default::default()
    });
    let mut clients = client::Entity::insert_many(clients)
        .exec_with_returning_keys(&transaction)
        .await
        .unwrap();
    clients.sort_unstable();
    let locations = clients.iter().map(|id| location::ActiveModel {
        client_id: Set(*id),
        is_primary: Set(true),
        name: Set("Zoë & Co".to_owned()),
        name_key: Set("zoë & co".to_owned()),
        state: Set("CO".to_owned()),
        country: Set("US".to_owned()),
        created_at: Set(now),
        updated_at: Set(now),
        version: Set(1),
        ..Default::default()
    });
    let mut locations = location::Entity::insert_many(locations)
        .exec_with_returning_keys(&transaction)
        .await
        .unwrap();
    locations.sort_unstable();
    transaction.commit().await.unwrap();
    match record {
        Record::Client => clients,
        Record::Location => locations,
    }
}

/// The targets in a `Link` header, by relation.
fn links(answer: &Answer) -> HashMap<String, String> {
    let header = answer.header("link").unwrap();
    let link = |link: &str| {
        let (target, relation) = link.split_once(">; rel=\"").unwrap();
        let target = target.strip_prefix('<').unwrap();
        (
            relation.strip_suffix('"').unwrap().to_owned(),
            target.to_owned(),
        )
    };
    header.split(", ").map(link).collect()
}

#[rstest]
#[tokio::test]
async fn an_empty_list_is_an_empty_array(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let answer = app.get(record.path()).await;
    insta::assert_snapshot!(format!("empty_list_{}", record.wrapper()), whole(&answer));
    let counted = read(&app, &format!("{}?mode=count", record.path())).await;
    assert_eq!(counted, json!({ "record_count": 0, "page_count": 0 }));
}

#[rstest]
#[tokio::test]
async fn rows_come_by_id_in_either_direction(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let expected = named(&app, record, &["b", "c", "a"]).await;
    let reversed: Vec<_> = expected.iter().rev().copied().collect();
    let path = record.path();
    for (parameters, expected) in [
        ("", &expected),
        ("?dir=asc", &expected),
        ("?dir=ASC", &expected),
        ("?dir=", &expected),
        ("?dir=desc", &reversed),
        ("?dir=Desc", &reversed),
    ] {
        let list = read(&app, &format!("{path}{parameters}")).await;
        assert_eq!(&ids(&list), expected, "{parameters}");
    }
    // Pages are cut from the list in its order.
    let list = read(&app, &format!("{path}?dir=desc&per_page=2&page=2")).await;
    assert_eq!(ids(&list), [expected[0]]);
}

#[rstest]
#[tokio::test]
async fn a_page_has_100_rows_unless_told_otherwise_and_500_at_most(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let all = fill(&app, record, 501).await;
    let path = record.path();
    for (query, expected) in [
        ("", &all[..100]),
        ("per_page=", &all[..100]),
        ("per_page=1", &all[..1]),
        ("per_page=500", &all[..500]),
        ("page=2", &all[100..200]),
        ("page=6", &all[500..]),
        ("per_page=500&page=2", &all[500..]),
        ("per_page=1&page=501", &all[500..]),
    ] {
        let answer = app.get(&format!("{path}?{query}")).await;
        assert_eq!(ids(&answer.json()), expected, "{query}");
        assert_eq!(answer.header("x-total-count"), Some("501"));
    }
}

#[rstest]
#[tokio::test]
async fn a_page_past_the_end_is_empty(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    fill(&app, record, 2).await;
    let path = record.path();
    for page in [
        "2",
        "3",
        "2147483648",
        "92233720368547758",
        "92233720368547759",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
    ] {
        let answer = app.get(&format!("{path}?page={page}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.text());
        assert_eq!(answer.text(), "[]");
        assert_eq!(answer.header("x-total-count"), Some("2"));
        let expected = [("first", 1), ("prev", 1), ("last", 1)]
            .map(|(relation, page)| (relation.to_owned(), format!("{path}?page={page}")));
        assert_eq!(links(&answer), HashMap::from(expected));
    }
}

#[rstest]
#[tokio::test]
async fn links_lead_once_to_every_row_in_either_direction(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
    #[values("asc", "desc")] direction: &str,
) {
    let app = TestApp::start(engine).await;
    let mut expected = fill(&app, record, 7).await;
    if direction == "desc" {
        expected.reverse();
    }
    // What has to be escaped must come through, too.
    let query = format!("name=Zo%C3%AB+%26+Co&per_page=3&dir={direction}&search=");
    let first = format!("{}?{query}", record.path());

    let (mut rows, mut pages) = (Vec::new(), Vec::new());
    let mut next = Some(first.clone());
    while let Some(path) = next {
        let answer = app.get(&path).await;
        rows.extend(ids(&answer.json()));
        let links = links(&answer);
        let page = |number: usize| format!("{first}&page={number}");
        assert_eq!(links["first"], page(1));
        assert_eq!(links["last"], page(3));
        let before = pages.len();
        let previous = (before > 0).then(|| page(before));
        assert_eq!(links.get("prev"), previous.as_ref());
        next = links.get("next").cloned();
        pages.push(path);
    }
    assert_eq!(rows, expected);
    assert_eq!(pages.len(), 3);
    assert_eq!(read(&app, &pages[2]).await.as_array().unwrap().len(), 1);
}

/// Many clients know no links but absolute ones.
#[rstest]
#[tokio::test]
async fn links_begin_with_the_url_that_the_caller_called(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let path = record.path();
    for (host, expected) in [
        ("example.com", "http://example.com"),
        ("Example.com:8080", "http://Example.com:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ] {
        let call = app.call(Method::GET, path).header("host", host);
        let links = links(&call.send().await);
        assert_eq!(links["first"], format!("{expected}{path}?page=1"));
        assert_eq!(links["last"], links["first"]);
    }
    let call = app.call(Method::GET, path).header("host", "inner");
    let behind = links(&call.header("via", "1.1 proxy").send().await);
    assert_eq!(behind["first"], format!("{path}?page=1"));
    let absolute = format!("http://target.example{path}");
    let call = app.call(Method::GET, &absolute).header("host", "other");
    let links = links(&call.send().await);
    assert_eq!(links["first"], format!("{absolute}?page=1"));
}

/// What a proxy says, and which URL the caller has called then.
const SAID: &[(&[(&str, &str)], &str)] = &[
    (&[], "http://inner:8080"),
    (&[("x-forwarded-proto", "https")], "https://inner:8080"),
    (
        &[
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.com"),
        ],
        "https://example.com",
    ),
    (
        &[
            ("x-forwarded-proto", "HTTPS, http"),
            ("x-forwarded-host", "a.example:8443, b"),
        ],
        "https://a.example:8443",
    ),
    (
        &[("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")],
        "https://inner:8443",
    ),
    (
        &[
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "[2001:db8::1]"),
            ("x-forwarded-port", "443"),
        ],
        "https://[2001:db8::1]",
    ),
    (
        &[(
            "forwarded",
            "for=192.0.2.1;Proto=https;host=\"example.com:8443\", for=10.0.0.1;host=b",
        )],
        "https://example.com:8443",
    ),
    // What is no scheme and no host is passed over.
    (
        &[
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-host", "a b/c"),
        ],
        "http://inner:8080",
    ),
    (&[("forwarded", "proto=\"\";host=a/b")], "http://inner:8080"),
    // What one header leaves out another one may say.
    (
        &[
            ("forwarded", "for=192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.com"),
        ],
        "https://example.com",
    ),
    (
        &[
            ("forwarded", "proto=https"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "example.com"),
            ("x-forwarded-port", "8443"),
        ],
        "https://example.com:8443",
    ),
    (&[("x-forwarded-port", "443")], "https://inner"),
    (&[("x-forwarded-port", "8080")], "http://inner:8080"),
];

#[rstest]
#[tokio::test]
async fn a_trusted_proxy_says_what_the_caller_called(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let trusted = [
        "10.0.0.0/8",
        "192.0.2.7",
        "2001:db8::/32",
        "::ffff:198.51.100.0/120",
    ];
    let settings = Settings {
        trusted_proxies: trusted
            .map(|network| vec![Network::parse(network).unwrap()])
            .to_vec(),
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let path = Record::Client.path();
    let first = async |peer: &str, headers: &[(&'static str, &str)]| {
        let mut request = Request::get(path)
            .extension(Peer(peer.parse().unwrap()))
            .header(AUTHORIZATION, format!("Bearer {}", app.token))
            .header("host", "inner:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = app.request(request.body(Body::empty()).unwrap()).await;
        let first = links(&answer).remove("first").unwrap();
        let url = first.strip_suffix(&format!("{path}?page=1"));
        url.unwrap_or_else(|| panic!("{first}")).to_owned()
    };
    for (headers, expected) in SAID {
        for peer in [
            "10.1.2.3",
            "192.0.2.7",
            "::ffff:10.1.2.3",
            "2001:db8::7",
            "198.51.100.7",
        ] {
            assert_eq!(first(peer, headers).await, *expected, "{peer}: {headers:?}");
        }
        for peer in [
            "11.0.0.1",
            "192.0.2.8",
            "::1",
            "2001:db9::1",
            "198.51.101.7",
        ] {
            // Whoever has a proxy that is not trusted would be told http for https.
            let expected = if headers.is_empty() {
                "http://inner:8080"
            } else {
                ""
            };
            assert_eq!(first(peer, headers).await, expected, "{peer}: {headers:?}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_exact_number_of_full_pages_has_no_empty_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    fill(&app, record, 4).await;
    let answer = app
        .get(&format!("{}?page=2&per_page=2", record.path()))
        .await;
    let links = links(&answer);
    assert_eq!(links.get("next"), None);
    assert_eq!(
        links["last"],
        format!("{}?per_page=2&page=2", record.path())
    );
}

#[rstest]
#[tokio::test]
async fn mode_count_answers_numbers_instead_of_rows(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let app = TestApp::start(engine).await;
    let all = fill(&app, record, 101).await;
    for (query, records, pages) in [
        (String::new(), 101, 2),
        ("&per_page=500".to_owned(), 101, 1),
        ("&per_page=1".to_owned(), 101, 101),
        ("&page=7".to_owned(), 101, 2),
        (format!("&id={}", all[5]), 1, 1),
        ("&name=Nobody".to_owned(), 0, 0),
    ] {
        let answer = app
            .get(&format!("{}?mode=count{query}", record.path()))
            .await;
        let expected = json!({ "record_count": records, "page_count": pages });
        assert_eq!(answer.text(), expected.to_string(), "{query}");
        assert_eq!(answer.header("x-total-count"), Some(&*records.to_string()));
        assert_eq!(answer.header("link"), None);
    }
}
