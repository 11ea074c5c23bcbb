//! Parses media types and other header values with parameters (RFC 9110, section 8.3).
//! Parameters are read leniently: most mean nothing here, and some clients write them
//! wrongly.

use std::borrow::Cow;

/// The parts of a list between separators, except separators within quotes.
pub fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match character {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            other => return other == separator && !is_quoted,
        }
        false
    })
}

/// A media type without its parameters.
#[must_use]
pub fn essence(text: &str) -> &str {
    text.split_once(';')
        .map_or(text, |(essence, _)| essence)
        .trim()
}

/// The value of a parameter, without the quotes that it may have.
#[must_use]
pub fn parameter<'text>(text: &'text str, wanted: &str) -> Option<Cow<'text, str>> {
    split(text, ';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case(wanted) {
            return None;
        }
        let value = value.trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some(match quoted {
            None => Cow::Borrowed(value),
            Some(quoted) => Cow::Owned(quoted.replace('\\', "")),
        })
    })
}
