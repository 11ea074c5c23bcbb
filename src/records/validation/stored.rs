//! The rules that stored values meet, whichever version wrote them. Earlier versions stored
//! lines and notes as they were sent, and accepted more hosts and names. What they wrote is
//! not damaged, and may be sent back.

use email_address::{EmailAddress, Options};
use url::Url;

use super::{MAX_LINE, MAX_NAME, MAX_NOTES, MAX_URL, limited};

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

/// A line of free text.
///
/// # Errors
/// If it is too long.
pub fn line(text: &str) -> Result<Option<String>, String> {
    limited(text, MAX_LINE).map(Some)
}

/// Free text of many lines.
///
/// # Errors
/// If it is too long.
pub fn notes(text: &str) -> Result<Option<String>, String> {
    limited(text, MAX_NOTES).map(Some)
}

/// An absolute http or https URL. An empty text means none.
///
/// # Errors
/// If it is anything else.
pub fn website(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // The parser repairs what people type, as an address bar would; a stored URL must be
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

/// A text in the form of an e-mail address (RFC 5321). An empty text means none.
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

/// A country code.
///
/// # Errors
/// If it is none. The message does not repeat the stored value.
pub fn country(text: &str) -> Result<String, String> {
    super::country(text)
        .map_err(|_| "must be an ISO 3166-1 alpha-2 country code, such as US".to_owned())
}
