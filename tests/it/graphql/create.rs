//! What a new client and its primary location keep, and what they refuse.

use rstest::rstest;
use serde_json::{Value, json};

use super::{CREATE_CLIENT, CREATE_LOCATION, with};
use crate::support::{Engine, TestApp, TestClock};

/// An emoji of several code points, combining marks, right-to-left letters with
/// marks of direction, line ends, quotes. It ends with white space.
const ANY_TEXT: &str =
    "👩‍👩‍👧 e\u{301} é \u{202e}שָׁלוֹם\u{202c} العربية \u{1d11e}\r\n\t\"'\\ \u{7f}\u{feff}\u{ffff} ";

#[rstest]
#[tokio::test]
async fn every_field_is_kept(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let created = app
        .create_client(json!({
            "name": "Birch Dental",
            "accountCode": "BD-001",
            "website": "https://birch.example.com/about?x=1#y",
            "emailInvoice": "billing@birch.example.com",
            "notes": "Pays late.",
            "hasInvoiceReminders": true,
            "showLocationOnInvoice": true,
            "salesperson": "9223372036854775807",
            "caseManager": 7,
            "primaryLocation": {
                "name": "Denver",
                "emailInvoice": "denver@birch.example.com",
                "address1": "1 Main St",
                "address2": "Suite 2",
                "address3": "Door 3",
                "city": "Denver",
                "state": "co",
                "zip": "00501",
                "country": "us",
                "phonePrimary": "+1 303 555 0100",
                "phoneSecondary": "303-555-0101 x2",
                "phoneFax": "none",
                "notes": "Ring twice.",
            },
        }))
        .await;
    insta::assert_json_snapshot!("every_field_is_kept", created);
    assert_eq!(app.client(&created["id"]).await, created);
}

#[rstest]
#[tokio::test]
async fn what_is_left_out_or_null_is_empty(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let least = app.create_client(json!({})).await;
    insta::assert_json_snapshot!("what_is_left_out_is_empty", least);

    let members = |kept: &[&str]| -> Value {
        let nulls = least.as_object().unwrap().keys();
        let nulls = nulls.filter(|name| !kept.contains(&name.as_str()));
        nulls.map(|name| (name.clone(), Value::Null)).collect()
    };
    let client = members(&[
        "id",
        "name",
        "createdAt",
        "updatedAt",
        "version",
        "primaryLocation",
    ]);
    let nulls = app.create_client(client).await;
    let ids = json!({ "id": "1", "primaryLocation": least["primaryLocation"] });
    assert_eq!(with(nulls, ids), least);
}

#[rstest]
#[tokio::test]
async fn text_is_kept_byte_for_byte(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let text = |name: &str| format!(" \t{name} {ANY_TEXT}\u{2003}\r\n");
    let kept = |name: &str| format!("{name} {ANY_TEXT}").trim_end().to_owned();
    let client = app
        .create_client(json!({
            // Only what surrounds a text is taken away.
            "name": format!(" \u{a0}\t{ANY_TEXT}\u{2003}\n"),
            "accountCode": text("code"),
            "notes": text("notes"),
            "primaryLocation": {
                "name": format!("\r\n{ANY_TEXT}"),
                "address1": text("1"),
                "address2": text("2"),
                "address3": text("3"),
                "city": text("city"),
                "zip": text("zip"),
                "phonePrimary": text("primary"),
                "phoneSecondary": text("secondary"),
                "phoneFax": text("fax"),
                "notes": text("notes"),
            },
        }))
        .await;
    assert_eq!(client["name"], ANY_TEXT.trim());
    assert_eq!(client["accountCode"], kept("code"));
    assert_eq!(client["notes"], kept("notes"));
    let location = &client["primaryLocation"];
    assert_eq!(location["name"], ANY_TEXT.trim());
    for (field, name) in [
        ("address1", "1"),
        ("address2", "2"),
        ("address3", "3"),
        ("city", "city"),
        ("zip", "zip"),
        ("phonePrimary", "primary"),
        ("phoneSecondary", "secondary"),
        ("phoneFax", "fax"),
        ("notes", "notes"),
    ] {
        assert_eq!(location[field], kept(name), "{field}");
    }
    assert_eq!(app.client(&client["id"]).await, client);
}

#[rstest]
#[tokio::test]
async fn texts_are_stored_in_their_form(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let in_client = [
        ("name", json!("  Birch  "), json!("Birch")),
        ("website", json!(""), Value::Null),
        (
            "website",
            json!(" http://example.com "),
            json!("http://example.com"),
        ),
        (
            "website",
            json!("HTTPS://münchen.example:8443/ä"),
            json!("HTTPS://münchen.example:8443/ä"),
        ),
        ("emailInvoice", json!(" "), Value::Null),
        (
            "emailInvoice",
            json!("O'Hara+x@sub.example.co.uk"),
            json!("O'Hara+x@sub.example.co.uk"),
        ),
        ("salesperson", json!(i64::MAX), json!("9223372036854775807")),
        (
            "salesperson",
            json!(i64::MIN),
            json!("-9223372036854775808"),
        ),
        ("caseManager", json!("0"), json!("0")),
        ("accountCode", json!(""), Value::Null),
        ("accountCode", json!(" 0042 "), json!("0042")),
    ];
    for (field, sent, kept) in in_client {
        let client = app.create_client(json!({ field: sent })).await;
        assert_eq!(client[field], kept, "{field}: {sent}");
    }
    let in_location = [
        ("name", json!(" Branch\n"), json!("Branch")),
        ("state", json!(" on "), json!("ON")),
        ("state", json!("75"), json!("75")),
        ("country", json!(" ca "), json!("CA")),
        ("zip", json!(80202), json!("80202")),
        ("zip", json!("80202"), json!("80202")),
        ("zip", json!("01234"), json!("01234")),
        ("zip", json!(0), json!("0")),
        ("zip", json!(u64::MAX), json!("18446744073709551615")),
        ("zip", json!("K1A 0B1"), json!("K1A 0B1")),
        ("zip", json!(80202.0), json!("80202")),
        ("country", json!("xk"), json!("XK")),
    ];
    for (field, sent, kept) in in_location {
        let client = app
            .create_client(json!({ "primaryLocation": { field: sent } }))
            .await;
        assert_eq!(client["primaryLocation"][field], kept, "{field}: {sent}");
    }
}

#[rstest]
#[tokio::test]
async fn literals_mean_what_variables_mean(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let query = r#"mutation {
        createClient(input: {
          name: "Birch \u{62}lock", salesperson: 9223372036854775807, caseManager: "8", notes: """
            two
              lines
          """, hasInvoiceReminders: null
          primaryLocation: { name: "A", state: "co", country: "us", zip: 80202 }
        }) { client {
          id name salesperson caseManager notes hasInvoiceReminders primaryLocation { zip } } }
    }"#
    .replace("\\u{62}", "\\u0062");
    let data = app.data(&query, json!({})).await;
    let client = json!({
        "id": "1", "name": "Birch block", "salesperson": "9223372036854775807", "caseManager": "8",
        "notes": "two\n  lines", "hasInvoiceReminders": false, "primaryLocation": { "zip": "80202" },
    });
    assert_eq!(data["createClient"]["client"], client);
}

#[rstest]
#[tokio::test]
async fn all_faults_are_named_at_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let input = json!({
        "name": " \t\u{2003}",
        "accountCode": "a\0b",
        "website": "example.com",
        "emailInvoice": "nobody",
        "notes": "\0",
        "salesperson": "x",
        "caseManager": "9223372036854775808",
        "primaryLocation": {
            "name": "",
            "emailInvoice": "a@b@example.com",
            "address1": "\0",
            "address2": "x".repeat(256),
            "address3": "x".repeat(256),
            "city": "x".repeat(256),
            "state": "COL",
            "zip": "x".repeat(256),
            "country": "USA",
            "phonePrimary": "x".repeat(256),
            "phoneSecondary": "x".repeat(256),
            "phoneFax": "x".repeat(256),
            "notes": "x".repeat(65_536),
        },
    });
    let answer = app.graphql(CREATE_CLIENT, json!({ "input": input })).await;
    insta::assert_json_snapshot!("all_faults_of_a_client", answer);

    let input = with(input["primaryLocation"].clone(), json!({ "clientId": 7 }));
    let answer = app
        .graphql(CREATE_LOCATION, json!({ "input": input }))
        .await;
    insta::assert_json_snapshot!("all_faults_of_a_location", answer);
    assert_eq!(app.counts().await, [0, 0]);
}
