//! The rules for single fields, and [`Checks`], which collects the faults of an input.
//!
//! A rule takes a text as it was sent, and returns it as it is stored, or a message that
//! completes the sentence "`FIELD` ...". It removes white space around the text.

mod country;
mod host;
pub mod invisible;
pub mod stored;
mod website;

use async_graphql::{ID, MaybeUndefined};
use sea_orm::{ActiveValue, Value};

use crate::error::{Error, Fault, Result};
use invisible::is_invisible;

pub use country::{country, country_codes};
pub use website::website;

/// The longest name, in characters.
pub const MAX_NAME: usize = 255;
/// The longest line of text: an address line, a phone number, a code.
pub const MAX_LINE: usize = 255;
/// The longest notes, in characters.
pub const MAX_NOTES: usize = 65_535;
/// The longest URL, in characters.
pub const MAX_URL: usize = 2_048;
/// The longest text of a filter, in characters.
pub const MAX_FILTER: usize = 1_000;

/// A rule for a required text.
pub type Required = fn(&str) -> Result<String, String>;
/// A rule for an optional text. It may find that what was sent means "none".
pub type Optional = fn(&str) -> Result<Option<String>, String>;

/// Collects all faults of one input.
pub struct Checks {
    faults: Vec<Fault>,
    path: String,
    check_only: bool,
}

impl Checks {
    /// Begins without faults. `path` is the argument that holds the input.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            faults: Vec::new(),
            path: path.to_owned(),
            check_only: false,
        }
    }

    /// Makes [`Checks::finish`] fail in any case: a face that has found faults of its own
    /// wants the others as well, and no write.
    #[must_use]
    pub fn check_only(mut self, check_only: bool) -> Self {
        self.check_only = check_only;
        self
    }

    /// Adds a fault of `field`.
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

    /// Whether no fault was found so far, and a write is wanted.
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

    /// The number of an id, or none and a fault.
    pub fn id(&mut self, field: &str, id: &ID) -> Option<i64> {
        self.value(field, &id.0, parse_id)
    }

    /// Checks that an id which was sent with an update is the record's own.
    pub fn own_id(&mut self, sent: &MaybeUndefined<ID>, own: Option<&i64>) {
        if let (MaybeUndefined::Value(sent), Some(own)) = (sent, own)
            && !is_none(sent)
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

    /// The value as `rule` returns it, or none and a fault.
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

    /// Sets a required column. An omitted value keeps it, null is a fault.
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

    /// Sets a required column of text.
    pub fn set_text(
        &mut self,
        field: &str,
        column: &mut ActiveValue<String>,
        value: MaybeUndefined<String>,
        rule: Required,
    ) {
        let value = match value {
            MaybeUndefined::Value(text) => {
                // A text that was read may be sent back, even if the rules have changed since.
                if matches!(&*column, ActiveValue::Unchanged(stored) if *stored == text) {
                    return;
                }
                match self.value(field, &text, rule) {
                    Some(text) => MaybeUndefined::Value(text),
                    None => return,
                }
            }
            other => other,
        };
        self.set(field, column, value);
    }

    /// Sets an optional column of text. An omitted value keeps it, null clears it.
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
                let is_as_read = matches!(
                    &*column,
                    ActiveValue::Unchanged(Some(stored)) if *stored == text
                );
                if !is_as_read && let Some(text) = self.value(field, &text, rule) {
                    column.set_if_not_equals(text);
                }
            }
        }
    }

    /// Sets an optional column that holds an id of another system.
    pub fn set_optional_id(
        &mut self,
        field: &str,
        column: &mut ActiveValue<Option<i64>>,
        value: MaybeUndefined<ID>,
    ) {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => column.set_if_not_equals(None),
            MaybeUndefined::Value(id) if is_none(&id) => column.set_if_not_equals(None),
            MaybeUndefined::Value(id) => {
                if let Some(id) = self.id(field, &id) {
                    column.set_if_not_equals(Some(id));
                }
            }
        }
    }
}

/// Whether an id is empty, which means none in an optional column.
fn is_none(id: &ID) -> bool {
    id.0.trim().is_empty()
}

/// Reads an id in its canonical form, so that no other spelling finds a row.
///
/// # Errors
/// If it is not a whole number of 64 bits.
pub fn parse_id(text: &str) -> Result<i64, String> {
    text.parse::<i64>()
        .ok()
        .filter(|id| id.to_string() == text)
        .ok_or_else(|| "must be a whole number that fits into 64 bits".to_owned())
}

/// The number of the argument `id`.
///
/// # Errors
/// `Validation` if it is no whole number.
pub fn argument_id(id: &ID) -> Result<i64> {
    parse_id(&id.0).map_err(|message| Error::fault("id", message))
}

/// A name: 1 to 255 characters after trimming, at least one of which can be seen.
///
/// # Errors
/// If it is empty or too long.
pub fn name(text: &str) -> Result<String, String> {
    let name = stored::name(text)?;
    if name.chars().all(is_invisible) {
        return Err("must have a character that can be seen".to_owned());
    }
    Ok(name)
}

/// A line of free text, trimmed. An empty one means none.
///
/// # Errors
/// If it is too long.
pub fn line(text: &str) -> Result<Option<String>, String> {
    trimmed(text, MAX_LINE)
}

/// Free text of many lines, trimmed. An empty one means none.
///
/// # Errors
/// If it is too long.
pub fn notes(text: &str) -> Result<Option<String>, String> {
    trimmed(text, MAX_NOTES)
}

/// An e-mail address (RFC 5321). An empty text means none.
///
/// # Errors
/// If it is anything else.
pub fn email(text: &str) -> Result<Option<String>, String> {
    let email = stored::email(text)?;
    let domain = email.as_deref().and_then(|email| email.rsplit_once('@'));
    if domain.is_some_and(|(_, domain)| !host::takes_mail(domain)) {
        return Err(
            "must be an e-mail address at a domain that can have mail, such as billing@example.com"
                .to_owned(),
        );
    }
    Ok(email)
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

/// A text that a filter compares with or searches for: any that may be stored.
///
/// # Errors
/// If it is too long, or has a character that no stored text has.
pub fn filter_text(text: &str) -> Result<String, String> {
    limited(text, MAX_FILTER)
}

/// A trimmed text; none if nothing is left.
fn trimmed(text: &str, max: usize) -> Result<Option<String>, String> {
    match text.trim() {
        "" => Ok(None),
        text => limited(text, max).map(Some),
    }
}

/// Refuses a text that no column can hold, or that is too long for this one.
fn limited(text: &str, max: usize) -> Result<String, String> {
    if text.contains('\0') {
        // No text of PostgreSQL can hold this character.
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
