//! Which refusals pass, and when to try again: the header `Retry-After` (RFC 9110, 10.2.3).

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::Response,
};

/// In seconds. What is short passes in moments: a lock, a turn, a failover.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// Adds the header to a refusal that passes: the first request with an idempotency key is
/// still under way (409), it was too much at once (429), or the database cannot do it now.
pub fn advise(response: &mut Response) {
    let passes = matches!(
        response.status(),
        StatusCode::CONFLICT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::INSUFFICIENT_STORAGE
    );
    if passes {
        soon(response.headers_mut());
    }
}

/// Adds the header to an answer of which a part is a refusal that passes.
pub fn soon(headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, SOON);
}
