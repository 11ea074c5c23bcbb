//! JSON text inside answers. A [projection](crate::graphql::projection) writes a list as text.
//! In the answer's value the text stands as a binary value, which JSON does not have: the
//! schema has no binary values, so nothing else can be meant.

use std::io::{self, Write};

use async_graphql::{ServerError, Value};
use axum::body::Bytes;
use serde::Serialize;

/// A value that is JSON text already.
#[must_use]
pub fn raw(text: impl Into<Bytes>) -> Value {
    Value::Binary(text.into())
}

/// Writes `value` as JSON. JSON text in it is copied. Returns how many bytes were copied.
///
/// # Errors
/// If a number has no form in JSON.
pub fn write(value: &Value, out: &mut impl Write) -> serde_json::Result<usize> {
    let mut copied = 0;
    match value {
        Value::Binary(text) => {
            put(out, text)?;
            copied = text.len();
        }
        Value::Object(members) => {
            let mut before: &[u8] = b"{";
            for (name, value) in members {
                put(out, before)?;
                serde_json::to_writer(&mut *out, name.as_str())?;
                put(out, b":")?;
                copied += write(value, out)?;
                before = b",";
            }
            let end: &[u8] = if members.is_empty() { b"{}" } else { b"}" };
            put(out, end)?;
        }
        Value::List(items) => {
            let mut before: &[u8] = b"[";
            for item in items {
                put(out, before)?;
                copied += write(item, out)?;
                before = b",";
            }
            let end: &[u8] = if items.is_empty() { b"[]" } else { b"]" };
            put(out, end)?;
        }
        leaf => serde_json::to_writer(out, leaf)?,
    }
    Ok(copied)
}

fn put(out: &mut impl Write, text: &[u8]) -> serde_json::Result<()> {
    out.write_all(text).map_err(serde_json::Error::io)
}

/// How many bytes `value` has as JSON.
///
/// # Errors
/// If a number has no form in JSON.
pub fn length(value: &Value) -> serde_json::Result<usize> {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    write(value, &mut counter)?;
    Ok(counter.0)
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
