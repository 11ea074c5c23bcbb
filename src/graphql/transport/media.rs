//! The media types of answers (GraphQL over HTTP, "Media Types"), and which of them a client
//! prefers.

use axum::http::{HeaderMap, HeaderValue, header::ACCEPT};
use headers_accept::Accept;
use mediatype::MediaType;

use crate::http::media_type::{essence, parameter, split};

/// The two media types of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells how it went.
    Response,
    /// `application/json`: every well-formed request is answered 200.
    Json,
}

impl Media {
    pub const RESPONSE: &str = "application/graphql-response+json";
    pub const JSON: &str = "application/json";

    /// The type that the client prefers. None if it accepts neither.
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let accepted: Vec<_> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, ','))
            .filter_map(range)
            .collect();
        // An Accept header without a readable media type counts as none.
        if accepted.is_empty() {
            return Some(Self::Json);
        }
        let accepted: Accept = accepted.join(",").parse().ok()?;
        let types: Vec<_> = [Self::JSON, Self::RESPONSE]
            .into_iter()
            .filter_map(|name| MediaType::parse(name).ok())
            .collect();
        let chosen = accepted.negotiate(&types)?;
        if chosen.subty == "json" {
            Some(Self::Json)
        } else {
            Some(Self::Response)
        }
    }

    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Response => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// A media range of `Accept` with its weight, but without parameters that mean nothing here,
/// such as a charset or a version. None for a member that is no media type, such as the bare
/// `*` that some old clients send.
fn range(member: &str) -> Option<String> {
    let essence = essence(member);
    MediaType::parse(essence).ok()?;
    Some(match parameter(member, "q") {
        Some(weight) if weight.parse::<f32>().is_ok() => format!("{essence};q={weight}"),
        _ => essence.to_owned(),
    })
}
