//! The idempotency key of a request, and the fingerprint that tells requests with one key apart.

use axum::http::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};

use crate::storage::database::StatementCount;

use super::{KEY, MAX_LENGTH};

/// The value of an `Idempotency-Key` header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(super) String);

impl Key {
    /// Reads the header of a request, which may have none. The draft wants the key in
    /// quotes, and most clients send it without: both mean the same key.
    ///
    /// # Errors
    /// A sentence, if the header is malformed or there twice.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let mut values = headers.get_all(KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err("The header 'Idempotency-Key' is there twice: send one key.".to_owned());
        }
        let key = value.to_str().ok().and_then(|text| {
            if text.starts_with('"') {
                unquoted(text)
            } else {
                Some(text.to_owned())
            }
        });
        let is_key = |key: &String| {
            (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match key.filter(is_key) {
            Some(key) => Ok(Some(Self(key))),
            None => Err(format!(
                "The header 'Idempotency-Key' is malformed: send 1 to {MAX_LENGTH} visible ASCII \
                 characters, such as a new UUID for each new request."
            )),
        }
    }
}

/// Reads a string as structured fields have it (RFC 9651, section 4.2.5).
fn unquoted(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut read = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        read.push(match character {
            '"' => return None,
            '\\' => characters
                .next()
                .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            other => other,
        });
    }
    Some(read)
}

/// A request with a key, and what identifies it.
#[derive(Clone, Debug)]
pub struct KeyedRequest {
    pub(super) token: i64,
    pub(super) key: Key,
    pub(super) fingerprint: [u8; 32],
    /// Counts the statements that it sends.
    pub(super) statements: StatementCount,
}

impl KeyedRequest {
    /// A request with `key`, sent with the token whose id is `token`.
    #[must_use]
    pub fn new(token: i64, key: Key, method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let mut hash = Sha256::new();
        for part in [method.as_str().as_bytes(), target.as_bytes(), body] {
            // The lengths keep two different requests from hashing the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self {
            token,
            key,
            fingerprint: hash.finalize().into(),
            statements: StatementCount::default(),
        }
    }

    /// The same request, whose statements are counted.
    #[must_use]
    pub fn counting(self, statements: StatementCount) -> Self {
        Self { statements, ..self }
    }
}
