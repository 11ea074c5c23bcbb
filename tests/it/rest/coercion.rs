//! Single values as lenient systems send them: taken for what they mean, or
//! refused under their name, but never guessed.

use axum::http::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};

use super::{CLIENTS, Record, client_fields, counts, create_client, pointers, read, refused, url};
use crate::support::{Engine, TestApp};

/// What becomes of one value that is sent to a client.
async fn put(app: &TestApp, path: &str, pointer: &str, value: Value) -> Result<Value, Value> {
    let edit = match pointer.strip_prefix("/primary_location/") {
        Some(name) => json!({ "primary_location": { name: value } }),
        None => json!({ &pointer[1..]: value }),
    };
    let answer = app.put(path, json!({ "client": edit })).await;
    if answer.status == StatusCode::OK {
        let mut answered = answer.json();
        Ok(answered.pointer_mut(pointer).unwrap().take())
    } else {
        assert_eq!(pointers(&answer), [format!("/client{pointer}")], "{value}");
        let problem = refused(&answer, StatusCode::UNPROCESSABLE_ENTITY);
        Err(problem["errors"][0]["detail"].clone())
    }
}

#[rstest]
#[tokio::test]
async fn booleans_are_taken_as_forms_and_scripts_send_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("/has_invoice_reminders", "/show_location_on_invoice")] field: &str,
) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    for (no, yes) in [
        (json!(false), json!(true)),
        (json!(0), json!(1)),
        (json!("0"), json!("1")),
        (json!("false"), json!("true")),
        (json!("False"), json!("TRUE")),
        (json!(0.0), json!(1.0)),
        (json!("no"), json!("yes")),
        (json!("off"), json!("on")),
        (json!("OFF"), json!(" On ")),
    ] {
        assert_eq!(put(&app, &path, field, no).await, Ok(json!(false)));
        assert_eq!(put(&app, &path, field, yes).await, Ok(json!(true)));
    }
    let before = read(&app, &path).await;
    for value in [
        json!(2),
        json!(-1),
        json!(0.5),
        json!("y"),
        json!("maybe"),
        json!("01"),
        json!("1.0"),
        json!([]),
        json!({}),
        json!([true]),
        Value::Null,
    ] {
        let refused = put(&app, &path, field, value.clone()).await;
        assert!(refused.is_err(), "{value}: {refused:?}");
    }
    // A boolean is never null, so an empty one was not given.
    assert_eq!(before.pointer(field), Some(&json!(true)));
    for empty in [json!(""), json!(" ")] {
        assert_eq!(put(&app, &path, field, empty).await, Ok(json!(true)));
    }
    assert_eq!(read(&app, &path).await, before);
}

#[rstest]
#[tokio::test]
async fn postal_codes_may_be_numbers_and_come_back_as_text(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    let field = "/primary_location/zip";
    for (sent, kept) in [
        (json!(80202), json!("80202")),
        (json!("80202"), json!("80202")),
        (json!("01234"), json!("01234")),
        (json!("80202-1234"), json!("80202-1234")),
        (json!("SW1A 1AA"), json!("SW1A 1AA")),
        (json!(0), json!("0")),
        (json!(u64::MAX), json!("18446744073709551615")),
        (json!(80203.0), json!("80203")),
        (json!(" 80204 "), json!("80204")),
        (Value::Null, Value::Null),
    ] {
        assert_eq!(put(&app, &path, field, sent).await, Ok(kept));
    }
    for value in [
        json!(-1),
        json!(-1.0),
        json!(1.5),
        json!(1e30),
        json!(true),
        json!([80202]),
    ] {
        let refused = put(&app, &path, field, value.clone()).await;
        assert_eq!(
            refused,
            Err(json!("must be a string or a whole number")),
            "{value}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn texts_may_be_whole_numbers_whose_digits_are_kept(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    for field in ["/account_code", "/notes", "/primary_location/phone_primary"] {
        for (sent, kept) in [
            (json!(123_456), "123456"),
            (json!(0), "0"),
            (json!(-5), "-5"),
            (json!(5_555_555_555_u64), "5555555555"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(7.0), "7"),
            (json!(1e3), "1000"),
        ] {
            assert_eq!(put(&app, &path, field, sent).await, Ok(json!(kept)));
        }
        for value in [json!(true), json!([]), json!({ "a": 1 })] {
            let refused = put(&app, &path, field, value.clone()).await;
            assert!(refused.is_err(), "{value}: {refused:?}");
        }
    }
    let before = read(&app, &path).await;
    // Others would come back with other digits than were sent.
    for number in [
        "1.10",
        "1e-2",
        "12345678901234567890123",
        "9007199254740993.0",
    ] {
        let body = format!("{{\"client\":{{\"account_code\":{number}}}}}");
        let answer = app
            .call(axum::http::Method::PUT, &path)
            .body(body)
            .send()
            .await;
        assert_eq!(pointers(&answer), ["/client/account_code"], "{number}");
    }
    assert_eq!(read(&app, &path).await, before);
}

#[rstest]
#[tokio::test]
async fn ids_may_be_numbers_or_text(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    for (sent, kept) in [
        (json!(7), json!(7)),
        (json!("7"), json!(7)),
        (json!(i64::MAX), json!(i64::MAX)),
        (json!(i64::MAX.to_string()), json!(i64::MAX)),
        (json!(8.0), json!(8)),
        (json!(-9e0), json!(-9)),
        (json!(" 7\n"), json!(7)),
        (json!("7.0"), json!(7)),
        (json!("-9.00"), json!(-9)),
        (json!("900719925474099.0"), json!(900_719_925_474_099_i64)),
        (Value::Null, Value::Null),
    ] {
        assert_eq!(put(&app, &path, "/salesperson", sent).await, Ok(kept));
    }
    for value in [
        json!(9_223_372_036_854_775_808_u64),
        json!(1e30),
        json!(1.5),
        json!(9_007_199_254_740_992.0),
        json!("9007199254740992.0"),
        json!("9223372036854775808"),
        json!("1.5"),
        json!("1 0"),
        json!("01"),
        json!("+1"),
        json!("0x1"),
        json!("١"),
        json!("Ann"),
        json!(true),
        json!([7]),
    ] {
        let refused = put(&app, &path, "/salesperson", value.clone()).await;
        let expected = "must be a whole number that fits into 64 bits";
        assert_eq!(refused, Err(json!(expected)), "{value}");
    }
}

#[rstest]
#[tokio::test]
async fn null_clears_what_is_optional_and_is_refused_elsewhere(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    let required = [
        "/name",
        "/has_invoice_reminders",
        "/show_location_on_invoice",
        "/primary_location/name",
        "/primary_location/is_primary",
        "/primary_location/state",
        "/primary_location/country",
    ];
    for field in required {
        let refused = put(&app, &path, field, Value::Null).await;
        assert_eq!(
            refused,
            Err(json!("is required and cannot be null")),
            "{field}"
        );
    }
    assert_eq!(read(&app, &path).await, created);

    for (prefix, record) in [
        ("", &created),
        ("/primary_location", &created["primary_location"]),
    ] {
        for (name, value) in record.as_object().unwrap() {
            let field = format!("{prefix}/{name}");
            let is_read_only =
                ["id", "root_id", "created_at", "updated_at", "version"].contains(&name.as_str());
            if is_read_only || value.is_object() || required.contains(&field.as_str()) {
                continue;
            }
            assert_eq!(put(&app, &path, &field, Value::Null).await, Ok(Value::Null));
        }
    }
}

/// Forms send their empty fields, too.
#[rstest]
#[tokio::test]
async fn an_empty_text_is_null_wherever_null_may_be(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("", " ", " \t\r\n\u{a0}\u{2003}")] empty: &str,
) {
    let app = TestApp::start(engine).await;
    let created = create_client(&app, client_fields()).await;
    let path = url(Record::Client, &created);
    for field in ["/name", "/primary_location/name", "/primary_location/state"] {
        let refused = put(&app, &path, field, json!(empty)).await;
        assert!(refused.is_err(), "{field}: {refused:?}");
    }
    for field in [
        "/account_code",
        "/website",
        "/email_invoice",
        "/notes",
        "/salesperson",
        "/case_manager",
        "/primary_location/email_invoice",
        "/primary_location/address_1",
        "/primary_location/address_2",
        "/primary_location/address_3",
        "/primary_location/city",
        "/primary_location/zip",
        "/primary_location/phone_primary",
        "/primary_location/phone_secondary",
        "/primary_location/phone_fax",
        "/primary_location/notes",
    ] {
        assert_ne!(created.pointer(field), Some(&Value::Null), "{field}");
        let cleared = put(&app, &path, field, json!(empty)).await;
        assert_eq!(cleared, Ok(Value::Null), "{field}");
    }

    let mut fields = client_fields();
    for (name, value) in fields.as_object_mut().unwrap() {
        if !["name", "primary_location"].contains(&name.as_str()) {
            *value = json!(empty);
        }
    }
    let client = create_client(&app, fields).await;
    assert_eq!(client["account_code"], Value::Null);
    assert_eq!(client["salesperson"], Value::Null);
    assert_eq!(client["has_invoice_reminders"], false);
    let location = json!({ "root_id": empty, "name": "A", "state": "CO", "country": "US" });
    let answer = app
        .post(super::LOCATIONS, Record::Location.body(location))
        .await;
    assert_eq!(pointers(&answer), ["/client_location/root_id"]);
}

#[rstest]
#[tokio::test]
async fn every_text_is_stored_without_what_surrounds_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let path = url(Record::Client, &create_client(&app, client_fields()).await);
    for field in [
        "/name",
        "/account_code",
        "/notes",
        "/primary_location/name",
        "/primary_location/address_1",
        "/primary_location/city",
        "/primary_location/zip",
        "/primary_location/phone_fax",
        "/primary_location/notes",
    ] {
        let sent = json!(" \t\u{a0}two  words\nand a line\u{2003}\r\n");
        let kept = put(&app, &path, field, sent).await;
        assert_eq!(kept, Ok(json!("two  words\nand a line")), "{field}");
    }
    for (field, sent, kept) in [
        ("/website", " https://a.example\n", "https://a.example"),
        ("/email_invoice", "\ta@b.example ", "a@b.example"),
        ("/primary_location/state", " ny ", "NY"),
        ("/primary_location/country", "\u{a0}de ", "DE"),
    ] {
        assert_eq!(put(&app, &path, field, json!(sent)).await, Ok(json!(kept)));
    }
    put(&app, &path, "/account_code", json!(" C-1 "))
        .await
        .unwrap();
    let found = read(&app, &format!("{CLIENTS}?account_code=%20c-1%20")).await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let found = read(&app, &format!("{CLIENTS}?account_code=%20")).await;
    assert_eq!(found, json!([]));
}

#[rstest]
#[tokio::test]
async fn null_and_nothing_are_the_same_to_a_new_client(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::builder(engine)
        .clock(super::still().clock())
        .start()
        .await;
    let least = json!({ "name": "Least", "primary_location": {
        "name": "Main", "state": "CO", "country": "US" } });
    let mut nulls = least.clone();
    for (prefix, fields) in [
        ("", client_fields()),
        ("/primary_location", super::location_fields()),
    ] {
        let record = nulls.pointer_mut(prefix).unwrap().as_object_mut().unwrap();
        for name in fields.as_object().unwrap().keys() {
            record.entry(name.clone()).or_insert(Value::Null);
        }
    }
    let by_nothing = create_client(&app, least).await;
    let mut by_null = create_client(&app, nulls).await;
    assert_ne!(by_null["id"], by_nothing["id"]);
    by_null["id"] = by_nothing["id"].clone();
    for name in ["id", "root_id"] {
        by_null["primary_location"][name] = by_nothing["primary_location"][name].clone();
    }
    assert_eq!(by_null, by_nothing);
}

#[rstest]
#[tokio::test]
async fn the_character_nul_is_refused_in_every_text(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let location = super::location_fields();
    for (prefix, fields) in [("", client_fields()), ("/primary_location", location)] {
        for (name, value) in fields.as_object().unwrap() {
            if !value.is_string() {
                continue;
            }
            let field = format!("{prefix}/{name}");
            let mut client = client_fields();
            *client.pointer_mut(&field).unwrap() = json!("a\0b");
            let answer = app.post(CLIENTS, json!({ "client": client })).await;
            assert_eq!(pointers(&answer), [format!("/client{field}")]);
        }
    }
    assert_eq!(counts(&app).await, [0, 0]);
}
