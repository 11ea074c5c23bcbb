//! The rules for single fields, and the list of faults that they fill.
//!
//! Rules see text as it was sent and return it as it is stored, or a message that
//! completes the sentence "`FIELD` ...".

use async_graphql::{ID, MaybeUndefined};
use email_address::{EmailAddress, Options};
use sea_orm::{ActiveValue, Value};
use url::Url;

use crate::error::{Error, Fault, Result};

/// The longest name, in characters.
pub const MAX_NAME: usize = 255;
/// The longest line of text: an address line, a phone number, a code.
pub const MAX_LINE: usize = 255;
/// The longest notes, in characters.
pub const MAX_NOTES: usize = 65_535;
/// The longest URL, in characters.
const MAX_URL: usize = 2_048;
/// The longest text of a filter, in characters.
const MAX_FILTER: usize = 1_000;

/// A rule for a text that must be there.
pub type Required = fn(&str) -> Result<String, String>;
/// A rule for a text that may be absent; it may also say that what was sent
/// means "none".
pub type Optional = fn(&str) -> Result<Option<String>, String>;

/// Collects everything that is wrong with one input.
pub struct Checks {
    faults: Vec<Fault>,
    path: String,
    check_only: bool,
}

impl Checks {
    /// Starts with no faults. `path` is the argument that holds the input.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            faults: Vec::new(),
            path: path.to_owned(),
            check_only: false,
        }
    }

    /// Makes [`Checks::finish`] fail in any case: a face that has already found
    /// faults of its own wants to hear the others, and no write.
    #[must_use]
    pub fn check_only(mut self, check_only: bool) -> Self {
        self.check_only = check_only;
        self
    }

    /// Notes a fault of `field`.
    pub fn fault(&mut self, field: &str, message: impl Into<String>) {
        let path = if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        };
        self.faults.push(Fault {
            path,
            message: message.into(),
        });
    }

    /// Runs `checks` on the object in `field`.
    pub fn within<T>(&mut self, field: &str, checks: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(field);
        let result = checks(self);
        self.path.truncate(outer);
        result
    }

    /// Whether nothing has been found so far that forbids to write.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.faults.is_empty() && !self.check_only
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// All faults, if there is any.
    pub fn finish(self) -> Result<()> {
        if self.may_write() {
            Ok(())
        } else {
            Err(Error::Validation(self.faults))
        }
    }

    /// The number behind an id, or none and a fault.
    pub fn id(&mut self, field: &str, id: &ID) -> Option<i64> {
        self.value(field, &id.0, parse_id)
    }

    /// An id that was sent along with an update must be the record's own.
    pub fn own_id(&mut self, sent: &MaybeUndefined<ID>, own: Option<&i64>) {
        if let (MaybeUndefined::Value(sent), Some(own)) = (sent, own)
            && sent.0 != own.to_string()
        {
            self.fault(
                "id",
                format!(
                    "is {}, but the record that this updates has the id {own}",
                    sent.0
                ),
            );
        }
    }

    /// What `rule` makes of `value`, or none and a fault.
    pub fn value<T>(
        &mut self,
        field: &str,
        value: &str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match rule(value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(field, message);
                None
            }
        }
    }

    /// Sets a column that must have a value. Left out keeps it, null is a fault.
    pub fn set<T>(&mut self, field: &str, column: &mut ActiveValue<T>, value: MaybeUndefined<T>)
    where
        T: Into<Value> + PartialEq,
    {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => self.fault(field, "is required and cannot be null"),
            MaybeUndefined::Value(value) => column.set_if_not_equals(value),
        }
    }

    /// Sets a column of text that must have a value.
    pub fn set_text(
        &mut self,
        field: &str,
        column: &mut ActiveValue<String>,
        value: MaybeUndefined<String>,
        rule: Required,
    ) {
        let value = match value {
            MaybeUndefined::Value(text) => match self.value(field, &text, rule) {
                Some(text) => MaybeUndefined::Value(text),
                None => return,
            },
            other => other,
        };
        self.set(field, column, value);
    }

    /// Sets a column of text that may be absent. Left out keeps it, null clears.
    pub fn set_optional_text(
        &mut self,
        field: &str,
        column: &mut ActiveValue<Option<String>>,
        value: MaybeUndefined<String>,
        rule: Optional,
    ) {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => column.set_if_not_equals(None),
            MaybeUndefined::Value(text) => {
                if let Some(text) = self.value(field, &text, rule) {
                    column.set_if_not_equals(text);
                }
            }
        }
    }

    /// Sets a column that holds the id of something in another system.
    pub fn set_optional_id(
        &mut self,
        field: &str,
        column: &mut ActiveValue<Option<i64>>,
        value: MaybeUndefined<ID>,
    ) {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => column.set_if_not_equals(None),
            MaybeUndefined::Value(id) => {
                if let Some(id) = self.id(field, &id) {
                    column.set_if_not_equals(Some(id));
                }
            }
        }
    }
}

/// Reads an id in its canonical form, so that no other spelling can meet a row.
///
/// # Errors
/// If it is not a whole number of 64 bits.
pub fn parse_id(text: &str) -> Result<i64, String> {
    text.parse::<i64>()
        .ok()
        .filter(|id| id.to_string() == text)
        .ok_or_else(|| "must be a whole number that fits into 64 bits".to_owned())
}

/// The number behind the argument `id`.
///
/// # Errors
/// `Validation` if it is no whole number.
pub fn argument_id(id: &ID) -> Result<i64> {
    parse_id(&id.0).map_err(|message| Error::fault("id", message))
}

/// A name: 1 to 255 characters after trimming.
///
/// # Errors
/// If it is empty or too long.
pub fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is required and cannot be empty".to_owned());
    }
    limited(text, MAX_NAME)
}

/// A line of free text, kept as it is.
///
/// # Errors
/// If it is too long.
pub fn line(text: &str) -> Result<Option<String>, String> {
    limited(text, MAX_LINE).map(Some)
}

/// Free text of any kind, kept as it is.
///
/// # Errors
/// If it is too long.
pub fn notes(text: &str) -> Result<Option<String>, String> {
    limited(text, MAX_NOTES).map(Some)
}

/// A fully qualified http or https URL. An empty text means none.
///
/// # Errors
/// If it is anything else.
pub fn website(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // The parser mends what a browser's address bar would; a stored URL must be
    // right as it stands.
    let is_qualified = text.split_once("://").is_some_and(|(scheme, rest)| {
        ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) && !rest.starts_with('/')
    }) && !text.contains(|character: char| {
        character.is_whitespace() || character.is_control() || character == '\\'
    }) && Url::parse(text).is_ok_and(|url| url.has_host());
    if !is_qualified {
        return Err("must be a fully qualified URL, such as https://example.com".to_owned());
    }
    limited(text, MAX_URL).map(Some)
}

/// An e-mail address (RFC 5321). An empty text means none.
///
/// # Errors
/// If it is anything else.
pub fn email(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let options = Options::default()
        .with_required_tld()
        .without_display_text()
        .without_domain_literal();
    EmailAddress::parse_with_options(text, options)
        .map_err(|_| "must be a valid e-mail address, such as billing@example.com".to_owned())?;
    limited(text, MAX_LINE).map(Some)
}

/// A state or province code: two letters or digits, stored in upper case.
///
/// # Errors
/// If it is anything else.
pub fn state(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is required: a state or province code of 2 characters".to_owned());
    }
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("must be a state or province code of 2 characters, such as CO".to_owned())
    }
}

/// An ISO 3166-1 alpha-2 country code that exists, stored in upper case.
///
/// # Errors
/// If it is anything else.
pub fn country(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_uppercase();
    if text.is_empty() {
        return Err("is required: a country code of 2 letters".to_owned());
    }
    match rust_iso3166::from_alpha2(&text) {
        Some(_) => Ok(text),
        None => Err("must be an ISO 3166-1 alpha-2 country code, such as US".to_owned()),
    }
}

/// A text that a filter compares with: any that could have been stored.
///
/// # Errors
/// If it is longer than any, or has a character that none has.
pub fn filter_text(text: &str) -> Result<String, String> {
    limited(text, MAX_FILTER)
}

/// Refuses what no column takes or what is too long for this one.
fn limited(text: &str, max: usize) -> Result<String, String> {
    if text.contains('\0') {
        // PostgreSQL cannot hold it in a text.
        return Err("must not contain the character U+0000".to_owned());
    }
    let length = text.chars().count();
    if length > max {
        return Err(format!(
            "must have at most {max} characters, and has {length}"
        ));
    }
    Ok(text.to_owned())
}
