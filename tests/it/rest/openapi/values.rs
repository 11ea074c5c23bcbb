//! Values to try, from what people send and from what schemas say.

use serde_json::{Value, json};

use super::schema::bound;

/// What forms, scripts and mistakes send.
pub fn habits() -> Vec<Value> {
    let texts = [
        "",
        " ",
        " \t\r\n\u{a0}\u{2003}",
        "0",
        "1",
        "7",
        "01",
        "+1",
        "-1",
        "-0",
        "1.0",
        "1e3",
        " 1 ",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "a",
        "ab",
        "CO",
        " ny\n",
        "U S",
        "us",
        " De ",
        "XK",
        "UK",
        "ZZ",
        "USA",
        "ÄÖ",
        "true",
        "FALSE",
        " Yes ",
        "oN",
        "off",
        "no",
        "y",
        "a\0b",
        "\0",
        "\u{200b}",
        "\u{feff}\u{2060}",
        "\u{e0041}",
        "🌳",
        "two\nlines",
        "billing@birch.example",
        "first.last+tag@mail.birch.example",
        "a@b",
        "@birch.example",
        "a..b@birch.example",
        ".a@birch.example",
        "a@1.2.3.4",
        "a@birch..example",
        "a@-birch.example",
        "https://birch.example",
        "HTTP://birch.example:8080/a%20b?c=[d]#e",
        "http://127.0.0.1/",
        "http://localhost",
        "https://",
        "https:///a",
        "https://a..b",
        "https://.com",
        "https://birch.example:99999",
        "https://birch.example/%zz",
        "https://birch.example/a b",
        "https://birch.example/\"><script>",
        "ftp://birch.example",
        "birch.example",
    ];
    let others = json!([
        null, true, false, [], ["a"], {}, { "a": 1 }, 0, 1, 2, -1, 7.0, -7.0, 0.5, 9, 10, 99, 100,
        80202, i64::MAX, i64::MIN, u64::MAX, 1e30
    ]);
    let texts = texts.map(Value::from).into_iter();
    texts.chain(others.as_array().unwrap().clone()).collect()
}

/// Values at the limits that a schema names, and just beyond them.
pub fn limits(schema: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    for (keyword, step) in [("minimum", -1), ("maximum", 1)] {
        if let Some(rule) = schema.get(keyword) {
            let beyond = (bound(rule) + step).to_string();
            values.extend([rule.clone(), serde_json::from_str(&beyond).unwrap()]);
        }
    }
    if let Some(rule) = schema.get("maxLength") {
        let longest = usize::try_from(bound(rule)).unwrap();
        values.extend([longest, longest + 1].map(|length| json!(text_of(schema, length))));
        if schema.get("format").is_none() {
            // Characters are counted, not bytes.
            values.push(json!("🌳".repeat(longest)));
        }
    }
    if let Some(rule) = schema.get("minLength") {
        let shortest = usize::try_from(bound(rule)).unwrap();
        values.push(json!("x".repeat(shortest)));
    }
    for rule in ["enum", "examples"] {
        let named = schema.get(rule).and_then(Value::as_array);
        values.extend(named.into_iter().flatten().cloned());
    }
    values.extend(schema.get("const").cloned());
    values
}

/// A text of this length in the format of a schema.
fn text_of(schema: &Value, length: usize) -> String {
    let start = match schema["format"].as_str() {
        Some("email") => {
            let label = format!("{}a.", "a-".repeat(30));
            format!("{}@{}", "x".repeat(64), label.repeat(3))
        }
        Some("uri") => "https://birch.example/".to_owned(),
        _ => String::new(),
    };
    format!("{start}{}", "x".repeat(length - start.len()))
}

/// Timestamps, and what comes near them.
pub const MOMENTS: &[&str] = &[
    "2026-01-31",
    "2026-02-28",
    "2026-02-29",
    "2024-02-29",
    "2000-02-29",
    "1900-02-29",
    "2026-04-30",
    "2026-04-31",
    "2026-12-31",
    "2026-13-01",
    "2026-00-10",
    "2026-01-00",
    "0000-01-01",
    "9999-12-31",
    "2026-1-31",
    "20260131",
    "2026-01-31T09:15:00",
    "2026-01-31 09:15:00",
    "2026-01-31t09:15:00z",
    "2026-01-31T09:15:00.250Z",
    "2026-01-31T09:15:00,25",
    "2026-01-31T09:15:00.Z",
    "2026-01-31T09:15",
    "2026-01-31T24:00:00",
    "2026-01-31T23:59:59+02:00",
    "2026-01-31T09:15:00+0200",
    "2026-01-31T09:15:00 -02",
    "2026-01-31T09:15:00+2",
    "2026-01-31T09:15:00+24:00",
    "2026-01-31T09:15:00+02:60",
    "9999-12-31T23:59:59-01:00",
    "0000-01-01T00:00:00+01:00",
    "2026-01-31T09:15:00 Z",
    "now",
];
