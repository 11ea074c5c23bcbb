//! Conditional requests (RFC 9110, section 13): entity tags from versions, and the
//! headers that compare them.

use axum::http::HeaderMap;
use headers::{ETag, Header, HeaderMapExt, IfMatch, IfNoneMatch};

use crate::http::problem::Problem;

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
            if_match: read(headers)?,
            if_none_match: read(headers)?,
        })
    }

    /// Whether `If-None-Match` was sent: the caller has a representation, perhaps an old one.
    pub fn has_none_match(&self) -> bool {
        self.if_none_match.is_some()
    }

    /// Whether `If-None-Match` names this tag: the caller has this version already, or would
    /// change every version but this one.
    pub fn is_unchanged(&self, tag: &ETag) -> bool {
        self.if_none_match
            .as_ref()
            .is_some_and(|condition| !condition.precondition_passes(tag))
    }

    /// Whether the request has any precondition.
    pub fn are_there(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }

    /// Whether the preconditions hold for every version of a record that exists.
    pub fn take_any(&self) -> bool {
        self.if_none_match.is_none() && self.if_match.as_ref().is_none_or(IfMatch::is_any)
    }

    /// Whether `If-Match` names versions, rather than accept any (`*`).
    pub fn name_versions(&self) -> bool {
        let condition = self.if_match.as_ref();
        condition.is_some_and(|condition| !condition.is_any())
    }

    /// Whether `If-Match` accepts the version with this tag.
    pub fn matches(&self, tag: &ETag) -> bool {
        self.if_match
            .as_ref()
            .is_none_or(|condition| condition.precondition_passes(tag))
    }
}

fn read<H: Header>(headers: &HeaderMap) -> Result<Option<H>, String> {
    let name = H::name();
    let lines = headers.get_all(name).iter();
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    // The `headers` crate would accept any text.
    if !lines.is_empty() && !names_tags(&lines.join(",")) {
        return Err(format!(
            "The header '{name}' is malformed: send the ETag of an earlier answer, quotes included."
        ));
    }
    Ok(headers.typed_get())
}

/// Whether `text` is `*` or a list of entity tags (RFC 9110, section 13.1.1).
fn names_tags(text: &str) -> bool {
    const SPACE: [char; 2] = [' ', '\t'];
    if text == "*" {
        return true;
    }
    let (mut rest, mut is_any) = (text, false);
    loop {
        // A list may have empty elements.
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return is_any;
        }
        let tag = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"');
        let Some((tag, after)) = tag.and_then(|tag| tag.split_once('"')) else {
            return false;
        };
        rest = after.trim_start_matches(SPACE);
        let is_visible = |character: char| character > ' ' && character != '\u{7f}';
        if !tag.chars().all(is_visible) || !(rest.is_empty() || rest.starts_with(',')) {
            return false;
        }
        is_any = true;
    }
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
    headers
}
