//! Compressed answers, where they pay: long JSON and text, for clients that ask for
//! gzip, Brotli or Zstandard (RFC 9110, section 12.5.3).

use axum::{
    extract::Request,
    http::{
        Extensions, HeaderMap, HeaderValue, StatusCode, Version,
        header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, ETAG},
    },
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{And, SizeAbove},
    },
};

use super::media_type::essence;

/// The shortest body that is compressed, in bytes: a shorter one goes in one or two
/// packets anyway.
const MIN_SIZE: u64 = 2 * 1024;
/// On a list of 32 rows the higher levels save little and take several times as long.
const LEVEL: CompressionLevel = CompressionLevel::Precise(1);
/// The media types that are compressed. Problems are short as a rule; an event stream is
/// text, too, but its events must not be held back.
const MEDIA_TYPES: [&str; 4] = [
    "application/json",
    "application/graphql-response+json",
    "text/html",
    "text/plain",
];

type Suitable = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses answers, except those that are compressed already.
#[must_use]
pub fn layer() -> CompressionLayer<And<SizeAbove, Suitable>> {
    CompressionLayer::new()
        .quality(LEVEL)
        .compress_when(SizeAbove::new(MIN_SIZE).and(is_suitable as Suitable))
}

fn is_suitable(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::to_str);
    let Some(Ok(content_type)) = content_type else {
        return false;
    };
    let media_type = essence(content_type);
    let is_listed = |listed: &&str| *listed == media_type;
    // A strong tag stands for one sequence of bytes (RFC 9110, section 8.8.3), and the
    // records that have one are short.
    MEDIA_TYPES.iter().any(is_listed) && !headers.contains_key(ETAG)
}

/// Rewrites `Accept-Encoding` so that [`layer`] and the files of GraphiQL use the coding
/// that suits the client best. Among codings of equal weight the layer would take the one
/// that is fastest here, and some clients that claim to accept that one cannot unpack it.
#[must_use]
pub fn negotiate(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if !headers.contains_key(ACCEPT_ENCODING) {
        return request;
    }
    // An answer repeats the names that a query gives to its fields, beside data of clients.
    // Once compressed, its length would tell how alike the two are (the attack is called
    // BREACH).
    let accepted = if is_forced(headers) {
        None
    } else {
        Accepted::of(headers).header()
    };
    // A client that accepts none of our codings gets the answer uncompressed. The layer
    // would make a 406 of it, after the request was executed.
    match accepted {
        Some(accepted) => headers.insert(ACCEPT_ENCODING, accepted),
        None => headers.remove(ACCEPT_ENCODING),
    };
    request
}

/// The weights of a client for the codings, from 0 to 1 (RFC 9110, section 12.4.2); none
/// for a coding that it does not name.
#[derive(Default)]
struct Accepted {
    brotli: Option<f32>,
    gzip: Option<f32>,
    zstd: Option<f32>,
    identity: Option<f32>,
    others: Option<f32>,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let members = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for member in members {
            let (coding, weight) = member.split_once(';').unwrap_or((member, "q=1"));
            let weight = weight.trim();
            let weight = weight
                .strip_prefix("q=")
                .or_else(|| weight.strip_prefix("Q="))
                .and_then(|weight| weight.parse::<f32>().ok())
                .filter(|weight| (0.0..=1.0).contains(weight));
            let place = match coding.trim().to_ascii_lowercase().as_str() {
                "br" => &mut accepted.brotli,
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "zstd" => &mut accepted.zstd,
                "identity" => &mut accepted.identity,
                "*" => &mut accepted.others,
                _ => continue,
            };
            if weight.is_some() {
                *place = weight;
            }
        }
        accepted
    }

    /// The header that asks for the coding with the greatest weight; none if that is no
    /// compression.
    fn header(&self) -> Option<HeaderValue> {
        let liked = |coding: Option<f32>| coding.or(self.others).unwrap_or(0.0);
        let (brotli, gzip, zstd) = (liked(self.brotli), liked(self.gzip), liked(self.zstd));
        let best = brotli.max(gzip).max(zstd);
        if best <= 0.0 || self.identity.is_some_and(|identity| identity > best) {
            return None;
        }
        // The files of GraphiQL are compressed with gzip only.
        Some(HeaderValue::from_static(
            match (brotli >= best, gzip >= best, gzip > 0.0) {
                (true, _, true) => "br, gzip;q=0.5",
                (true, _, false) => "br",
                (false, true, _) => "gzip",
                (false, false, true) => "zstd, gzip;q=0.5",
                (false, false, false) => "zstd",
            },
        ))
    }
}

/// Whether a page of another origin may have made a browser send this with credentials that
/// it remembers, as browsers do with HTTP Basic. A Bearer token was set by the page itself.
fn is_forced(headers: &HeaderMap) -> bool {
    let is_foreign = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site");
    let scheme = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let is_basic = scheme
        .and_then(|value| value.get(..5))
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"));
    is_foreign && is_basic
}
