//! JSON text inside answers. A [projection](crate::graphql::projection) writes a list as text.
//! In the answer's value the text stands as a binary value, which JSON does not have: the
//! schema has no binary values, so nothing else can be meant.

use async_graphql::{ServerError, Value};
use axum::body::Bytes;
use serde::Serialize;

/// A value that is JSON text already.
#[must_use]
pub fn raw(text: impl Into<Bytes>) -> Value {
    Value::Binary(text.into())
}

/// Writes `value` as JSON. JSON text in it is copied.
///
/// # Errors
/// If a number has no form in JSON.
pub fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Binary(text) => out.extend_from_slice(text),
        Value::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name.as_str())?;
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        leaf => serde_json::to_writer(&mut *out, leaf)?,
    }
    Ok(())
}

/// Writes an answer: its data, if there is any, and its errors.
///
/// # Errors
/// If a number has no form in JSON.
pub fn write_answer(data: Option<&Value>, errors: &[ServerError]) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Errors<'a> {
        errors: &'a [ServerError],
    }
    let Some(data) = data else {
        return serde_json::to_vec(&Errors { errors });
    };
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"data\":");
    write(data, &mut out)?;
    if !errors.is_empty() {
        out.extend_from_slice(b",\"errors\":");
        serde_json::to_writer(&mut out, errors)?;
    }
    out.push(b'}');
    Ok(out)
}

/// Parses the JSON text in `value` back into values, for writers that do not know it.
///
/// # Errors
/// If the text is no JSON.
pub fn expand(value: &mut Value) -> serde_json::Result<()> {
    match value {
        Value::Binary(text) => *value = serde_json::from_slice(text)?,
        Value::Object(members) => members.values_mut().try_for_each(expand)?,
        Value::List(items) => items.iter_mut().try_for_each(expand)?,
        _ => {}
    }
    Ok(())
}
