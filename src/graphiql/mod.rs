//! `GraphiQL`, the page on which people try out the GraphQL API.
//!
//! The build script puts its files into the binary, so the page works with no
//! internet. A build without npm has a page that loads the same files, pinned by
//! hash, from a public CDN and says so.

use std::{fmt::Write, io::Read, sync::LazyLock};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use flate2::read::GzDecoder;

mod files;
use files::FILES;

// EMBEDDED, START_JS, STYLE_CSS and PACKAGED, written by the build script.
include!(concat!(env!("OUT_DIR"), "/graphiql/assets.rs"));

const CDN: &str = "https://unpkg.com";

static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page.html")
        .replace("{{start.js}}", START_JS.address)
        .replace("{{style.css}}", STYLE_CSS.address)
        .replace("{{packages}}", &package_tags())
        .replace("{{origin}}", origin_note())
});

/// Strict enough to refuse one thing that `GraphiQL` does: its dialogs add a style
/// element that keeps the page behind them from scrolling. This page never
/// scrolls, so nothing is lost.
static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let scripts = cdn_sources(".js");
    let styles = cdn_sources(".css");
    format!(
        "default-src 'none'; script-src 'self'{scripts}; style-src 'self'{styles}; font-src data:; \
         img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'"
    )
});

/// Serves the page at `/graphiql` and its files below it. They are the same for
/// everybody and need no token.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    const OWN: &[Asset] = &[START_JS, STYLE_CSS];

    let mut router = Router::new().route("/graphiql", get(page));
    for asset in OWN.iter().chain(PACKAGED) {
        let path = format!("/graphiql/{}", asset.address);
        let answer = async |headers: HeaderMap| asset.answer(&headers);
        router = router.route(&path, get(answer));
    }
    router
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CACHE_CONTROL, "no-cache"),
        (
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY.as_str(),
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (headers, Html(PAGE.as_str()))
}

/// A file that the page loads or links to.
#[derive(Clone, Copy)]
struct Asset {
    /// Below `/graphiql/`.
    address: &'static str,
    gzip: &'static [u8],
}

impl Asset {
    fn answer(self, request: &HeaderMap) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.content_type()),
            (header::CACHE_CONTROL, self.cache_control()),
            (header::VARY, "accept-encoding"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if accepts_gzip(request) {
            return (headers, [(header::CONTENT_ENCODING, "gzip")], self.gzip).into_response();
        }
        let mut content = Vec::new();
        match GzDecoder::new(self.gzip).read_to_end(&mut content) {
            Ok(_) => (headers, content).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn content_type(self) -> &'static str {
        match self.address.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// A folder in the address is a version: other content has another address.
    fn cache_control(self) -> &'static str {
        if self.address.contains('/') {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        }
    }
}

/// Whether the client said that it reads gzip (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let named = request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    named.into_iter().any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|weight| weight.parse().ok())
            .is_some_and(|weight: f32| weight <= 0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The tags that load `GraphiQL` and React, in the order of the table.
fn package_tags() -> String {
    let mut tags = String::new();
    for file in &FILES {
        let (source, check) = if EMBEDDED {
            (format!("graphiql/{}", file.address()), String::new())
        } else {
            let check = format!(r#" integrity="{}" crossorigin="anonymous""#, file.integrity);
            (format!("{CDN}/{}", file.address()), check)
        };
        let _ = match file.path.rsplit_once('.') {
            Some((_, "js")) => write!(tags, r#"<script defer src="{source}"{check}></script>"#),
            Some((_, "css")) => write!(tags, r#"<link rel="stylesheet" href="{source}"{check}>"#),
            _ => continue,
        };
    }
    tags
}

/// The files of this kind that the page may load from the CDN: each by its whole
/// address, as anybody can publish a script there.
fn cdn_sources(extension: &str) -> String {
    FILES
        .iter()
        .filter(|file| !EMBEDDED && file.path.ends_with(extension))
        .fold(String::new(), |sources, file| {
            sources + " " + CDN + "/" + &file.address()
        })
}

/// Says where `GraphiQL` comes from.
fn origin_note() -> &'static str {
    if EMBEDDED {
        r#"<p class="origin licences"><a href="graphiql/licences.txt">Licences</a></p>"#
    } else {
        r#"<p class="origin notice">GraphiQL is loaded from unpkg.com</p>"#
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, http::HeaderValue};

    use super::*;

    #[tokio::test]
    async fn a_client_that_cannot_unpack_gets_the_file_unpacked() -> Result<(), axum::Error> {
        for (accepted, packed) in [
            (None, false),
            (Some("identity, br"), false),
            (Some("gzip;q=0"), false),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, GZIP; q=0.8"), true),
        ] {
            let mut request = HeaderMap::new();
            if let Some(accepted) = accepted {
                request.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            }
            let answer = START_JS.answer(&request);
            let encoding = answer.headers().get(header::CONTENT_ENCODING).cloned();
            assert_eq!(encoding.is_some(), packed, "{accepted:?}");
            let body = to_bytes(answer.into_body(), usize::MAX).await?;
            let source = include_bytes!("start.js");
            assert_eq!(&*body == source, !packed, "{accepted:?}");
        }
        Ok(())
    }
}
