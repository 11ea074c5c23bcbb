//! JSON Schema, as far as the document has it.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use regress::Regex;
use serde_json::{Number, Value};

/// Whether `value` is valid by `schema`.
pub fn is_valid(schema: &Value, value: &Value) -> bool {
    let keywords = schema.as_object().unwrap();
    keywords
        .iter()
        .all(|(keyword, rule)| holds(keyword, rule, value))
}

fn holds(keyword: &str, rule: &Value, value: &Value) -> bool {
    match (keyword, value) {
        ("type", _) => match rule {
            Value::Array(types) => types.iter().any(|name| is_of_type(name, value)),
            name => is_of_type(name, value),
        },
        ("const", _) => rule == value,
        ("enum", _) => rule.as_array().unwrap().contains(value),
        ("not", _) => !is_valid(rule, value),
        ("minimum", Value::Number(number)) => {
            whole(number).is_none_or(|number| number >= bound(rule))
        }
        ("maximum", Value::Number(number)) => {
            whole(number).is_none_or(|number| number <= bound(rule))
        }
        ("minLength", Value::String(text)) => length(text) >= bound(rule),
        ("maxLength", Value::String(text)) => length(text) <= bound(rule),
        ("pattern", Value::String(text)) => matches(rule.as_str().unwrap(), text),
        // Limits of other types.
        // Some of these are looked at with the type, others are told and not asked for.
        (
            "minimum" | "maximum" | "minLength" | "maxLength" | "pattern" | "description"
            | "examples" | "default" | "format" | "readOnly",
            _,
        ) => true,
        _ => panic!("{keyword} is not known here"),
    }
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if whole(number).is_some() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    name == own
}

/// Whether a text matches a regular expression, which is compiled once.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap();
    let regex = compiled
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::with_flags(pattern, "u").expect(pattern));
    regex.find(text).is_some()
}

/// The number, if it has no fraction. A double of 2^53 or more stands for others, too.
fn whole(number: &Number) -> Option<i128> {
    if !number.is_f64() {
        return number.to_string().parse().ok();
    }
    let whole: i128 = number.as_f64()?.to_string().parse().ok()?;
    (whole.abs() < 1 << 53).then_some(whole)
}

/// A limit that a schema names.
pub fn bound(rule: &Value) -> i128 {
    whole(rule.as_number().unwrap()).unwrap()
}

fn length(text: &str) -> i128 {
    i128::try_from(text.chars().count()).unwrap()
}
