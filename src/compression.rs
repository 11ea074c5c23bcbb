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

/// The shortest body that is compressed, in bytes: a shorter one goes in one or two
/// packets anyway.
const MIN_SIZE: u64 = 2 * 1024;
/// On a list of 32 rows the higher levels save little and take several times as long.
const LEVEL: CompressionLevel = CompressionLevel::Precise(1);
/// What is compressed. Problems are short as a rule. An event stream is text, too, and
/// must not wait for more.
const MEDIA_TYPES: [&str; 4] = [
    "application/json",
    "application/graphql-response+json",
    "text/html",
    "text/plain",
];

type Suitable = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses answers. It leaves alone those that are compressed already.
#[must_use]
pub fn layer() -> CompressionLayer<And<SizeAbove, Suitable>> {
    CompressionLayer::new()
        .quality(LEVEL)
        .compress_when(SizeAbove::new(MIN_SIZE).and(is_suitable as Suitable))
}

fn is_suitable(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = content_type.split(|byte| *byte == b';').next();
    let is_listed = |listed: &&str| media_type == Some(listed.as_bytes());
    // A strong tag stands for one sequence of bytes (RFC 9110, section 8.8.3), and the
    // records that have one are short.
    MEDIA_TYPES.iter().any(is_listed) && !headers.contains_key(ETAG)
}

/// Reads what a request accepts the way [`layer`] must see it.
#[must_use]
pub fn negotiate(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if !headers.contains_key(ACCEPT_ENCODING) {
        return request;
    }
    if is_forced(headers) {
        // The names that a query gives to its fields stand in the answer beside data of
        // clients: the length of it, compressed, would tell whether they are alike
        // (the attack is called BREACH).
        headers.remove(ACCEPT_ENCODING);
    } else {
        // Whoever accepts nothing that we have gets it plain. The layer would make a 406
        // of an answer, after the request has been carried out.
        let plain = HeaderValue::from_static("identity;q=0.001");
        headers.append(ACCEPT_ENCODING, plain);
    }
    request
}

/// Whether the page of another origin may have made a browser send this with the
/// credentials that it remembers, as it does with those of HTTP Basic. A token that is
/// sent as such was given by the page.
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
