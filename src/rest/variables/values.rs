//! Single values as older systems send them. They are taken for what they mean, but never
//! guessed.

use serde_json::Value;

use crate::{
    records::{coerce, locations::PostalCode, validation::parse_id},
    rest::operation::ParameterKind,
};

/// Whether a value is a text of nothing but white space.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Phrases that say what values of some kinds must be.
const NO_ID: &str = "must be a whole number that fits into 64 bits";
const NO_INTEGER: &str = "must be a whole number";
const NO_TEXT: &str = "must be a string or a whole number";

/// Coerces a value as lenient systems send it.
///
/// # Errors
/// A phrase that says what the value must be.
pub fn coerced(kind: &ParameterKind, value: &Value) -> Result<Value, String> {
    match (kind, value) {
        (ParameterKind::Id, value) => whole(value)
            .map(|id| Value::String(id.to_string()))
            .ok_or_else(|| NO_ID.to_owned()),
        (
            ParameterKind::Text | ParameterKind::PostalCode | ParameterKind::Instant,
            Value::String(text),
        ) => Ok(Value::String(text.clone())),
        // The digits of a fraction, as they were sent, are lost when JSON is parsed.
        (ParameterKind::Text, Value::Number(number)) => coerce::digits(number)
            .map(Value::String)
            .ok_or_else(|| NO_TEXT.to_owned()),
        (ParameterKind::PostalCode, Value::Number(number)) => PostalCode::of_number(number)
            .map(|code| Value::String(code.0))
            .map_err(str::to_owned),
        (ParameterKind::Integer, value) => whole(value)
            .map(|number| Value::Number(number.into()))
            .ok_or_else(|| NO_INTEGER.to_owned()),
        (ParameterKind::Boolean, value) => boolean(value).map(Value::Bool).ok_or_else(|| {
            "must be true or false; 1 and 0, yes and no, on and off are taken, too, also as strings"
                .to_owned()
        }),
        (ParameterKind::Enum(names), value) => value
            .as_str()
            .and_then(|text| names.iter().find(|name| name.eq_ignore_ascii_case(text)))
            .map(|name| Value::String(name.clone()))
            .ok_or_else(|| format!("must be {}", names.join(" or ").to_lowercase())),
        (ParameterKind::Text | ParameterKind::PostalCode, _) => Err(NO_TEXT.to_owned()),
        (ParameterKind::Instant, _) => Err("must be a timestamp".to_owned()),
    }
}

/// Reads a whole number, which may be a text. It may end with a fraction of zero, too, if it is
/// so short that a double holds all its digits.
fn whole(value: &Value) -> Option<i64> {
    const EXACT: usize = 15;
    match value {
        Value::Number(number) => coerce::whole(number),
        Value::String(text) => {
            let digits = match text.trim().split_once('.') {
                None => text.trim(),
                Some((digits, zeros)) => {
                    let is_zero = !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0');
                    let length = digits.trim_start_matches('-').len();
                    (is_zero && length <= EXACT).then_some(digits)?
                }
            };
            parse_id(digits).ok()
        }
        _ => None,
    }
}

/// The words that mean yes, in letters of either case.
pub const YES: [&str; 4] = ["true", "1", "on", "yes"];
/// The words that mean no, in letters of either case.
pub const NO: [&str; 4] = ["false", "0", "off", "no"];

/// Reads a boolean as forms and scripts send it.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match coerce::whole(number)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => {
            let text = text.trim();
            let is_one_of =
                |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is_one_of(YES) {
                Some(true)
            } else if is_one_of(NO) {
                Some(false)
            } else {
                None
            }
        }
        _ => None,
    }
}
