//! The rules for single fields, the same for creating and updating.

use rstest::rstest;
use serde_json::{Value, json};

use super::{CREATE_CLIENT, UPDATE_CLIENT, faults, location};
use crate::support::{Engine, TestApp};

/// An input with nothing but the value at the path.
fn input(path: &str, value: &Value) -> Value {
    match path.split_once('.') {
        None => json!({ path: value }),
        Some((outer, inner)) => json!({ outer: { inner: value } }),
    }
}

/// The same with what a new client must have.
fn new_client(path: &str, value: &Value) -> Value {
    let mut whole = json!({ "name": "Acme", "primaryLocation": location() });
    match path.split_once('.') {
        None => whole[path] = value.clone(),
        Some((outer, inner)) => whole[outer][inner] = value.clone(),
    }
    whole
}

async fn assert_refused(app: &TestApp, path: &str, value: &str) {
    let value = json!(value);
    let expected = [format!("input.{path}")];
    let create = json!({ "input": new_client(path, &value) });
    let answer = app.graphql(CREATE_CLIENT, create).await;
    assert_eq!(faults(&answer), expected, "{value:?}");
    let update = json!({ "id": 1, "input": input(path, &value) });
    let answer = app.graphql(UPDATE_CLIENT, update).await;
    assert_eq!(faults(&answer), expected, "{value:?}");
}

/// Names of which nobody sees anything.
const INVISIBLE: &[&str] = &[
    "\u{200b}",
    "\u{200b}\u{200d}\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{3164}",
    "\u{115f}\u{1160}",
    "\u{ffa0}",
    "\u{2800}",
    "\u{fe0f}",
    "\u{e0041}\u{e007f}",
    "\u{202e}\u{202c}",
    "\u{1}\u{7f}\u{85}\u{9f}",
    " \u{200b} \u{34f}",
];

#[rstest]
#[tokio::test]
async fn wrong_values_are_refused(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let wrong: [(&str, &[&str]); 8] = [
        ("name", &["", " ", "a\0"]),
        (
            "website",
            &[
                "example.com",
                "//example.com",
                "https://",
                "https:///x",
                "https:example.com",
                "ftp://example.com",
                "javascript:alert(1)",
                "https://exa mple.com",
                "https://a\nb.example.com",
                "https:\\\\example.com",
                "http://example.com/\0",
                "https://..",
                "https://.",
                "https://.com",
                "https://a..b",
                "https://example.com..",
                "https://-a.com",
                "https://a-.com",
                "https://a_b.com",
                "https://%zz",
                "https://example.com/%zz",
                "https://example.com/100%",
                "https://example.com/\"><script>alert(1)</script>",
                "https://example.com/{x}",
                "https://example.com/a|b",
                "https://1.2.3",
                "https://127.1",
                "https://0x7f000001",
                "https://1.2.3.4.5",
                "https://256.1.1.1",
                "https://[::1",
                "https://example.com:99999",
            ],
        ),
        (
            "emailInvoice",
            &[
                "nobody",
                "@example.com",
                "a@",
                "a b@example.com",
                "A <a@example.com>",
                "a@b",
                "a\0@example.com",
                "a@b@example.com",
                "a@1.2.3.4",
                "a@[1.2.3.4]",
                "a@example.123",
                "a@-x.com",
                "a@x-.com",
                "a@x..com",
                "a@.x.com",
                "a@x.com.",
                "a@x_y.com",
                "a@ex%61mple.com",
                ".a@example.com",
                "a.@example.com",
                "a..b@example.com",
            ],
        ),
        (
            "salesperson",
            &["1.0", "1 ", "+1", "01", "0x1", "-0", "9223372036854775808"],
        ),
        ("primaryLocation.name", &["", "\u{a0}"]),
        (
            "primaryLocation.state",
            &["", "C", "COL", "C\u{301}", "ÄÖ", "C-", "\0\0"],
        ),
        (
            "primaryLocation.country",
            &[
                "", "U", "USA", "ZZ", "ÜS", "U\0", "UK", "EU", "SU", "AN", "XA", "XX", "QM", "XKX",
            ],
        ),
        ("primaryLocation.emailInvoice", &["nobody"]),
    ];
    for (path, values) in wrong {
        for value in values {
            assert_refused(&app, path, value).await;
        }
    }
    for path in ["name", "primaryLocation.name"] {
        for name in INVISIBLE {
            assert_refused(&app, path, name).await;
        }
    }
    assert_eq!(app.client(&client["id"]).await, client);
    assert_eq!(app.counts().await, [1, 1]);
}

#[rstest]
#[tokio::test]
async fn every_text_has_its_longest_and_takes_no_nul(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    for (path, longest) in [
        ("name", 255),
        ("accountCode", 255),
        ("notes", 65_535),
        ("primaryLocation.name", 255),
        ("primaryLocation.address1", 255),
        ("primaryLocation.address2", 255),
        ("primaryLocation.address3", 255),
        ("primaryLocation.city", 255),
        ("primaryLocation.zip", 255),
        ("primaryLocation.phonePrimary", 255),
        ("primaryLocation.phoneSecondary", 255),
        ("primaryLocation.phoneFax", 255),
        ("primaryLocation.notes", 65_535),
    ] {
        // Characters count, not bytes.
        let text = json!("🌳".repeat(longest));
        let updated = app.update_client(&client["id"], input(path, &text)).await;
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(updated.pointer(&pointer), Some(&text), "{path}");
        assert_refused(&app, path, &"🌳".repeat(longest + 1)).await;
        assert_refused(&app, path, "a\0b").await;
    }
    let website = |length: usize| format!("https://example.com/{:x<1$}", "", length - 20);
    let text = json!(website(2_048));
    let updated = app
        .update_client(&client["id"], json!({ "website": text }))
        .await;
    assert_eq!(updated["website"], text);
    assert_refused(&app, "website", &website(2_049)).await;
}

#[rstest]
#[tokio::test]
async fn required_fields_cannot_be_null(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let input = json!({
        "name": null,
        "hasInvoiceReminders": null,
        "showLocationOnInvoice": null,
        "primaryLocation": { "name": null, "state": null, "country": null, "isPrimary": null },
    });
    let variables = json!({ "id": client["id"], "input": input });
    let answer = app.graphql(UPDATE_CLIENT, variables).await;
    insta::assert_json_snapshot!("required_fields_cannot_be_null", answer);

    let variables = json!({ "id": client["id"], "input": { "primaryLocation": null } });
    let answer = app.graphql(UPDATE_CLIENT, variables).await;
    assert_eq!(faults(&answer), ["input.primaryLocation"]);
    assert_eq!(app.client(&client["id"]).await, client);
}

#[rstest]
#[tokio::test]
async fn right_values_are_kept_as_they_are_sent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let client = app.create_client(json!({})).await;
    let right: [(&str, &[&str]); 4] = [
        (
            "name",
            &[
                "a\u{200b}",
                "\u{202e}שלום\u{202c}",
                "👩\u{200d}👧",
                "\u{fffe}",
                "!",
            ],
        ),
        (
            "website",
            &[
                "https://localhost:8080",
                "https://example.com.",
                "https://127.0.0.1:8080/a",
                "https://user:pass@10.0.0.1?x=%2F#y",
                "https://[::1]:8080/",
                "https://xn--mnchen-3ya.example",
                "https://münchen.example/straße?x=ä#ö",
                "https://example.com/a(b)[c]'~;,!$&*+=:@%20%C3%A4",
            ],
        ),
        (
            "emailInvoice",
            &[
                "a@example.co",
                "a@x.c",
                "a@münchen.example",
                "o'hara+x@4.example",
            ],
        ),
        ("primaryLocation.country", &["XK", "GB", "BQ"]),
    ];
    for (path, values) in right {
        for value in values {
            let value = json!(value);
            let updated = app.update_client(&client["id"], input(path, &value)).await;
            let pointer = format!("/{}", path.replace('.', "/"));
            assert_eq!(updated.pointer(&pointer), Some(&value), "{path}");
        }
    }
    let kosovo = json!({ "filter": { "country": "xk" } });
    let query = "query ($filter: ClientLocationFilter) {
        clientLocations(filter: $filter) { totalCount } }";
    app.update_client(
        &client["id"],
        input("primaryLocation.country", &json!("xk")),
    )
    .await;
    let found = app.data(query, kosovo).await;
    assert_eq!(found["clientLocations"]["totalCount"], 1);
}

#[rstest]
#[tokio::test]
async fn a_country_that_is_called_otherwise_is_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for (sent, meant) in [("UK", "GB"), ("usa", "US"), (" EL ", "GR"), ("DEU", "DE")] {
        let variables = json!({ "input": new_client("primaryLocation.country", &json!(sent)) });
        let answer = app.graphql(CREATE_CLIENT, variables).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["fields"],
            json!([{
                "path": "input.primaryLocation.country",
                "message": format!(
                    "must be an ISO 3166-1 alpha-2 country code (did you mean {meant}?)"
                ),
            }]),
            "{sent}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn an_empty_text_is_null_wherever_null_may_be(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let optional = [
        "accountCode",
        "website",
        "emailInvoice",
        "notes",
        "salesperson",
        "caseManager",
        "primaryLocation.emailInvoice",
        "primaryLocation.address1",
        "primaryLocation.address2",
        "primaryLocation.address3",
        "primaryLocation.city",
        "primaryLocation.zip",
        "primaryLocation.phonePrimary",
        "primaryLocation.phoneSecondary",
        "primaryLocation.phoneFax",
        "primaryLocation.notes",
    ];
    for path in optional {
        let pointer = format!("/{}", path.replace('.', "/"));
        let value = match path {
            "website" => "https://example.com",
            "salesperson" | "caseManager" => "7",
            path if path.ends_with("emailInvoice") => "a@example.com",
            _ => "x",
        };
        for empty in ["", " ", "\n\u{3000}"] {
            let created = app.create_client(new_client(path, &json!(empty))).await;
            assert_eq!(created.pointer(&pointer), Some(&Value::Null), "{path}");
            let id = &created["id"];
            let filled = app.update_client(id, input(path, &json!(value))).await;
            assert_eq!(filled.pointer(&pointer), Some(&json!(value)), "{path}");
            let cleared = app.update_client(id, input(path, &json!(empty))).await;
            assert_eq!(cleared.pointer(&pointer), Some(&Value::Null), "{path}");
        }
    }
}
