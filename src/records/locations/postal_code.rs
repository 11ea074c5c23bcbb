//! Postal codes: a text, or a whole number, as systems that keep them so send it.

use async_graphql::Value;
use serde_json::Number;

use crate::records::coerce;

/// A postal code as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostalCode(pub String);

const EXPECTED: &str = "must be a string or a whole number";

impl PostalCode {
    /// Reads a text, whose leading zeros are kept, or a whole number.
    ///
    /// # Errors
    /// What the value must be.
    pub fn parse_value(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::String(text) => Ok(Self(text.clone())),
            Value::Number(number) => Self::of_number(number),
            _ => Err(EXPECTED),
        }
    }

    /// The postal code that a whole number stands for: its digits. It cannot be negative.
    ///
    /// # Errors
    /// What the value must be.
    pub fn of_number(number: &Number) -> Result<Self, &'static str> {
        let digits = coerce::digits(number).filter(|digits| !digits.starts_with('-'));
        digits.map(Self).ok_or(EXPECTED)
    }
}
