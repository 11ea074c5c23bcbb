//! JSON text inside answers. A [projection](crate::graphql::projection) writes a list as text.
//! In the answer's value the text stands as a binary value, which JSON does not have: the
//! schema has no binary values, so nothing else can be meant.

use std::io;

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
pub fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<usize> {
    let mut copied = 0;
    match value {
        Value::Binary(text) => {
            out.extend_from_slice(text);
            copied = text.len();
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name.as_str())?;
                out.push(b':');
                copied += write(value, out)?;
            }
            out.push(b'}');
        }
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                copied += write(item, out)?;
            }
            out.push(b']');
        }
        leaf => serde_json::to_writer(&mut *out, leaf)?,
    }
    Ok(copied)
}

/// How many bytes `value` has as JSON.
///
/// # Errors
/// If a number has no form in JSON.
pub fn length(value: &Value) -> serde_json::Result<usize> {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    Ok(match value {
        Value::Binary(text) => text.len(),
        Value::Object(members) => {
            let mut length = 2;
            for (name, value) in members {
                length += name.len() + 4 + self::length(value)?;
            }
            length
        }
        Value::List(items) => {
            let mut length = 2;
            for item in items {
                length += 1 + self::length(item)?;
            }
            length
        }
        leaf => {
            let mut counter = Counter(0);
            serde_json::to_writer(&mut counter, leaf)?;
            counter.0
        }
    })
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
