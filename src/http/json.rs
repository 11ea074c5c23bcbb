//! Strict JSON bodies: an object with a repeated member is malformed. RFC 8259 leaves its
//! meaning open, and most parsers silently take the last one.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The most characters of a member's name that an error repeats.
pub const MAX_ECHO: usize = 100;

/// The byte order mark, with which some programs begin a text. Readers may ignore it (RFC
/// 8259, section 8.1).
const MARK: &str = "\u{feff}";

/// Whether a body looks like JSON and not like a form, whatever it is declared as.
#[must_use]
pub fn is_meant(body: &[u8]) -> bool {
    let body = body.strip_prefix(MARK.as_bytes()).unwrap_or(body);
    matches!(body.trim_ascii_start().first(), None | Some(b'{' | b'['))
}

/// Parses a whole body.
///
/// # Errors
/// A sentence that says what is wrong, and where.
pub fn parse(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|error| {
        format!(
            "The body is not valid JSON: it is not UTF-8 at byte {}. Send the text in UTF-8.",
            error.valid_up_to()
        )
    })?;
    let text = text.strip_prefix(MARK).unwrap_or(text);
    if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return Err("The body is empty; it must be JSON.".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => Err(format!("The body is not valid JSON: {error}.")),
    }
}

/// A JSON value without repeated members.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                let name: String = name.chars().take(MAX_ECHO).collect();
                return Err(A::Error::custom(format!(
                    "the member {name:?} is there twice"
                )));
            }
            let Strict(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
