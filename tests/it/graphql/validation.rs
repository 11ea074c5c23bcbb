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
            ],
        ),
        (
            "salesperson",
            &[
                "",
                "1.0",
                "1 ",
                "+1",
                "01",
                "0x1",
                "-0",
                "9223372036854775808",
            ],
        ),
        ("primaryLocation.name", &["", "\u{a0}"]),
        (
            "primaryLocation.state",
            &["", "C", "COL", "C\u{301}", "ÄÖ", "C-", "\0\0"],
        ),
        (
            "primaryLocation.country",
            &["", "U", "USA", "ZZ", "ÜS", "U\0"],
        ),
        ("primaryLocation.emailInvoice", &["nobody"]),
    ];
    for (path, values) in wrong {
        for value in values {
            assert_refused(&app, path, value).await;
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
