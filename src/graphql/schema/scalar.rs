//! The scalars of our own: instants and postal codes.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::records::{instant::DateTime, locations::PostalCode};

/// Checks a value of one of our scalars, or of an id. Values of all other types pass.
///
/// # Errors
/// A phrase that says what the value must be.
pub fn check(kind: &str, value: &Value) -> Result<(), String> {
    let taken = match (kind, value) {
        ("DateTime", value) => instant(value).map(drop),
        ("PostalCode", value) => PostalCode::parse_value(value).map(drop),
        ("ID", Value::Number(number)) if !number.is_i64() => {
            Err("must be an id: a string, or a whole number that fits into 64 bits")
        }
        _ => Ok(()),
    };
    taken.map_err(str::to_owned)
}

/// Reads an instant.
///
/// # Errors
/// A phrase that says what the value must be.
pub fn instant(value: &Value) -> Result<DateTime, &'static str> {
    let text = match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    text.and_then(|text| DateTime::parse(text)).ok_or(
        "must be an instant in RFC 3339 with a year from 0000 to 9999, such as \
         2026-01-31T09:15:00.250Z",
    )
}

/// An instant in UTC with millisecond precision, as in
/// `2026-01-31T09:15:00.250Z`. Input may have any offset (RFC 3339).
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        instant(&value).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.text())
    }
}

/// A postal code: a text, or a whole number for systems that keep it as one.
/// Leading zeros of a text are kept. It is always returned as a text.
#[Scalar]
impl ScalarType for PostalCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        Self::parse_value(&value).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
