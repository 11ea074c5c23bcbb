//! The scalars of our own: instants and postal codes.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime as Chrono, Datelike, SecondsFormat, SubsecRound, TimeDelta, Utc};

/// In a second.
const NANOSECONDS: u32 = 1_000_000_000;

/// An instant as it is sent and returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Chrono<Utc>);

impl DateTime {
    /// Reads RFC 3339. The year must have four digits in UTC, too: SQLite
    /// compares instants as text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant = Chrono::parse_from_rfc3339(text).ok()?;
        // chrono keeps a leap second as a second with too many nanoseconds; it
        // becomes the second that follows.
        let nanoseconds = instant.timestamp_subsec_nanos();
        let seconds = instant.timestamp() + i64::from(nanoseconds / NANOSECONDS);
        let instant = Chrono::from_timestamp(seconds, nanoseconds % NANOSECONDS)?;
        (0..=9999)
            .contains(&instant.year())
            .then_some(Self(instant))
    }

    /// The text that is returned everywhere.
    #[must_use]
    pub fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The first stored instant that is not before this one. Bounds may be finer
    /// than what is stored. After the last instant of the year 9999, which no
    /// record reaches, comes none.
    #[must_use]
    pub fn first_millisecond(self) -> Chrono<Utc> {
        let cut = self.last_millisecond();
        let next = cut + TimeDelta::milliseconds(1);
        if cut < self.0 && next.year() <= 9999 {
            next
        } else {
            cut
        }
    }

    /// The last stored instant that is not after this one.
    #[must_use]
    pub fn last_millisecond(self) -> Chrono<Utc> {
        self.0.trunc_subsecs(3)
    }
}

/// An instant in UTC with millisecond precision, as in
/// `2026-01-31T09:15:00.250Z`. Input may have any offset (RFC 3339).
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Self::parse(text).ok_or_else(|| {
                InputValueError::custom(
                    "must be an instant in RFC 3339 with a year from 0000 to 9999, such as \
                     2026-01-31T09:15:00.250Z",
                )
            }),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.text())
    }
}

/// A postal code as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostalCode(pub String);

/// A postal code: a text, or a whole number for systems that keep it as one.
/// Leading zeros of a text are kept. It is always returned as a text.
#[Scalar]
impl ScalarType for PostalCode {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) if number.is_u64() => Ok(Self(number.to_string())),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        match value {
            Value::String(_) => true,
            Value::Number(number) => number.is_u64(),
            _ => false,
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
