//! Origins of web pages, written as browsers send them (RFC 6454, section 6.2): they are
//! compared byte by byte.

use axum::http::HeaderValue;
use url::Url;

/// Reads an origin: that of a web page, or of an app that serves its own pages, such as
/// `capacitor://localhost`. Upper case, a default port and a slash at the end are normalized
/// away, because browsers do not send them.
///
/// # Errors
/// A phrase that says what the text must be.
pub fn parse(text: &str) -> Result<HeaderValue, String> {
    let text = text.trim();
    if text.contains('*') {
        return Err("wildcards are not supported: name each origin, such as \
                    https://app.example.com"
            .to_owned());
    }
    if text.eq_ignore_ascii_case("null") {
        return Err(
            "'null' is the origin of every local file and of every page in a sandbox, \
                    whoever wrote it, so it cannot be allowed"
                .to_owned(),
        );
    }
    let expected = || {
        "must be a scheme and a host, perhaps with a port, and nothing after them, such as \
         https://app.example.com"
            .to_owned()
    };
    let url = Url::parse(text).map_err(|_| expected())?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "" | "/");
    let Some(host) = host.filter(|_| is_bare) else {
        return Err(expected());
    };
    let origin = match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization(),
        "ws" | "wss" | "ftp" | "file" => {
            return Err(format!(
                "no page has an origin that begins with {}: give that of the page, which begins \
                 with http or https",
                url.scheme()
            ));
        }
        scheme => {
            let host = host.to_ascii_lowercase();
            match url.port() {
                Some(port) => format!("{scheme}://{host}:{port}"),
                None => format!("{scheme}://{host}"),
            }
        }
    };
    origin.parse().map_err(|_| expected())
}
