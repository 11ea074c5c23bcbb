//! Reading request bodies: a size limit and a time limit that hold for every form
//! of transfer, and the one media type that is accepted.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header::CONTENT_ENCODING, header::CONTENT_TYPE},
};
use mediatype::{MediaType, ReadParams, names::CHARSET};

/// How long a client may take to send a body.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is longer than this many bytes (413).
    TooLarge(usize),
    /// It took too long, or broke off (400).
    Incomplete,
    /// It is compressed (415).
    Encoded,
    /// It is not declared as JSON (415).
    NotJson,
}

impl Refusal {
    /// The sentence for the user.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::TooLarge(limit) => format!("The body is too large: {limit} bytes are allowed."),
            Self::Incomplete => "The body did not arrive in full.".to_owned(),
            Self::Encoded => {
                "Compressed bodies are not accepted: leave out Content-Encoding.".to_owned()
            }
            Self::NotJson => {
                "The body must be JSON in UTF-8: send 'Content-Type: application/json'.".to_owned()
            }
        }
    }
}

/// How a body must be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// As JSON.
    AsJson,
    /// As JSON, not at all, or as a form: so curl, and PHP with it, declare what
    /// they are given unless told otherwise, and the documented page tells nothing.
    Somehow,
}

/// Reads a JSON body of at most `limit` bytes.
///
/// # Errors
/// If the body must not be taken.
pub async fn read_json(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    declared: Declared,
) -> Result<Bytes, Refusal> {
    let is_lenient = declared == Declared::Somehow;
    let is_accepted = match headers.get(CONTENT_TYPE) {
        None => is_lenient,
        Some(value) => value.to_str().is_ok_and(is_json) || (is_lenient && is_form(headers)),
    };
    if !is_accepted {
        return Err(Refusal::NotJson);
    }
    let is_plain =
        |value: &axum::http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(Refusal::Encoded);
    }
    match tokio::time::timeout(READ_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(Refusal::TooLarge(limit)),
        Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
    }
}

/// Whether a body is declared as a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| MediaType::parse(value).ok())
        .is_some_and(|media| media.ty == "application" && media.subty == "x-www-form-urlencoded")
}

fn is_json(value: &str) -> bool {
    MediaType::parse(value).is_ok_and(|media| {
        media.ty == "application"
            && media.subty == "json"
            && media
                .get_param(CHARSET)
                .is_none_or(|charset| charset.unquoted_str().eq_ignore_ascii_case("utf-8"))
    })
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}
