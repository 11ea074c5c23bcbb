//! Conditional requests (RFC 9110, section 13): entity tags from versions, and the
//! headers that compare them.

use axum::http::{
    HeaderMap,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
};
use headers::{ETag, Header, HeaderMapExt, IfMatch, IfNoneMatch};

use super::problem::Problem;

/// The preconditions of a request.
pub struct Preconditions {
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
}

impl Preconditions {
    /// Reads `If-Match` and `If-None-Match`.
    ///
    /// # Errors
    /// A sentence, if one of them is malformed.
    pub fn of(headers: &HeaderMap) -> Result<Self, String> {
        Ok(Self {
            if_match: read(headers, IF_MATCH.as_str())?,
            if_none_match: read(headers, IF_NONE_MATCH.as_str())?,
        })
    }

    /// Whether the caller has the representation with this tag already.
    pub fn is_unchanged(&self, tag: &ETag) -> bool {
        self.if_none_match
            .as_ref()
            .is_some_and(|condition| !condition.precondition_passes(tag))
    }

    /// Whether the caller names the version to change.
    pub fn has_match(&self) -> bool {
        self.if_match.is_some()
    }

    /// Whether the caller would change any version.
    pub fn matches_any(&self) -> bool {
        self.if_match.as_ref().is_some_and(IfMatch::is_any)
    }

    /// Whether the caller would change the version with this tag.
    pub fn matches(&self, tag: &ETag) -> bool {
        self.if_match
            .as_ref()
            .is_none_or(|condition| condition.precondition_passes(tag))
    }
}

fn read<H: Header>(headers: &HeaderMap, name: &str) -> Result<Option<H>, String> {
    headers.typed_try_get().map_err(|_| {
        format!(
            "The header '{name}' is malformed: send the ETag of an earlier answer, quotes included."
        )
    })
}

/// The tag of a version: a strong one, for every change to a representation moves
/// the version.
pub fn tag(version: i64) -> Result<ETag, Problem> {
    format!("\"{version}\"")
        .parse()
        .map_err(|_| Problem::internal())
}

/// The header that carries `tag`.
pub fn header(tag: &ETag) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.typed_insert(tag.clone());
    debug_assert!(headers.contains_key(ETAG));
    headers
}
