//! Reads request bodies: a size limit and a time limit that hold for every form of
//! transfer, and the media types that are accepted.

pub mod guarded;

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE},
    },
};

use super::media_type::{essence, parameter};

/// How long a client may take to send a body.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRefusal {
    /// The body is longer than this many bytes (413).
    TooLarge(usize),
    /// The body took too long (408).
    TooSlow,
    /// The body broke off (400).
    Incomplete,
    /// The body is compressed (415).
    Encoded,
    /// The body is not declared as JSON (415).
    NotJson,
    /// The body is declared as JSON in another charset than UTF-8 (415).
    NotUtf8,
}

impl BodyRefusal {
    /// The sentence for the user.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::TooLarge(limit) => format!("The body is too large: {limit} bytes are allowed."),
            Self::TooSlow => format!(
                "The body took too long: all of it must arrive within {} seconds.",
                READ_TIMEOUT.as_secs()
            ),
            Self::Incomplete => "The body did not arrive in full.".to_owned(),
            Self::Encoded => {
                "Compressed bodies are not accepted: leave out Content-Encoding.".to_owned()
            }
            Self::NotJson => {
                "The body must be JSON in UTF-8: send 'Content-Type: application/json'.".to_owned()
            }
            Self::NotUtf8 => {
                "The charset in 'Content-Type' is not known: JSON is sent in UTF-8, so \
                              send 'Content-Type: application/json' without a charset."
                    .to_owned()
            }
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Encoded | Self::NotJson | Self::NotUtf8 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// The header that names what would be accepted; there is one for codings (RFC 9110,
    /// section 12.5.3).
    #[must_use]
    pub fn header(self) -> Option<(HeaderName, HeaderValue)> {
        (self == Self::Encoded).then(|| (ACCEPT_ENCODING, HeaderValue::from_static("identity")))
    }
}

/// How a body may be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// As JSON only.
    AsJson,
    /// As JSON, not at all, or as a form: curl, and PHP through it, declare any body as a
    /// form unless told otherwise, and the documented page does not tell.
    Somehow,
}

/// Reads a JSON body of at most `limit` bytes.
///
/// # Errors
/// If the body is refused.
pub async fn read_json(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    declared: Declared,
) -> Result<Bytes, BodyRefusal> {
    check_type(headers, declared)?;
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(BodyRefusal::Encoded);
    }
    // Checked before a byte is read, if the length is declared.
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyRefusal::TooLarge(limit));
    }
    match tokio::time::timeout(READ_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_length_limit(&error) => Err(BodyRefusal::TooLarge(limit)),
        Ok(Err(_)) => Err(BodyRefusal::Incomplete),
        Err(_) => Err(BodyRefusal::TooSlow),
    }
}

/// Whether a body is declared as a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            essence(value).eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

fn check_type(headers: &HeaderMap, declared: Declared) -> Result<(), BodyRefusal> {
    let is_lenient = declared == Declared::Somehow;
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return if is_lenient {
            Ok(())
        } else {
            Err(BodyRefusal::NotJson)
        };
    };
    if is_lenient && is_form(headers) {
        return Ok(());
    }
    let value = value.to_str().map_err(|_| BodyRefusal::NotJson)?;
    if !essence(value).eq_ignore_ascii_case("application/json") {
        return Err(BodyRefusal::NotJson);
    }
    match parameter(value, "charset") {
        Some(charset) if !is_utf_8(&charset) => Err(BodyRefusal::NotUtf8),
        _ => Ok(()),
    }
}

/// Whether a charset is UTF-8: by its name, by its common alias, as its subset US-ASCII, or
/// by default.
fn is_utf_8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", ""]
        .into_iter()
        .any(|known| charset.eq_ignore_ascii_case(known))
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}
