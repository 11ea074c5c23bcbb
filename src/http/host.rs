//! The host of a request: the checks of its head (RFC 9112, sections 3.2 and 6.1), and the
//! URL under which the caller knows the gateway.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use axum::http::{
    HeaderMap, HeaderName, Request, StatusCode, Version,
    header::{FORWARDED, HOST, TRANSFER_ENCODING, VIA},
    request::Parts,
    uri::Authority,
};

use super::{media_type::split, problem::Problem};
use crate::config::Networks;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The default ports of the schemes.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// The other end of a connection: a client, or the last proxy before the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Checks what every handler relies on: a request names one host at most, in the right
/// form, and its transfer coding is known.
///
/// # Errors
/// A problem that says what is wrong with the head.
pub fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let bad_request = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() != Version::HTTP_11 => {}
        (None, _) => {
            return bad_request(
                "The header 'Host' is missing: send the host of the URL, and its port.",
            );
        }
        (Some(_), Some(_)) => {
            return bad_request("The header 'Host' is there twice: send it once.");
        }
        (Some(host), None) => {
            if !host.to_str().is_ok_and(is_host) {
                return bad_request(
                    "The header 'Host' is malformed: send a host name or an address, and \
                     perhaps a colon and a port.",
                );
            }
        }
    }
    let authority = request.uri().authority();
    if authority.is_some_and(|authority| !is_host(authority.as_str())) {
        return bad_request(
            "The host in the request's target is malformed: send a host name or an address, and \
             perhaps a colon and a port.",
        );
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_known = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if is_known {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "The only Transfer-Encoding that is known is 'chunked', once and alone.",
        ))
    }
}

/// Whether `text` is a host, perhaps with a port, and without a user (RFC 9110, section 7.2).
fn is_host(text: &str) -> bool {
    let Ok(authority) = Authority::from_str(text) else {
        return false;
    };
    let host = authority.host();
    // The parser alone would take a plus sign, too.
    let is_port = |port: &str| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    // Brackets enclose an IPv6 address or one of a later version (RFC 3986, section 3.2.2).
    let is_name = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_literal),
        None => !host.is_empty() && !host.contains(['[', ']']),
    };
    let after = text.strip_prefix(host);
    is_name
        && after
            .is_some_and(|after| after.is_empty() || after.strip_prefix(':').is_some_and(is_port))
}

/// Whether `text` is an address that belongs in brackets.
fn is_literal(text: &str) -> bool {
    let is_of_the_future = || {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let is_version =
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(is_version && !address.is_empty())
    };
    text.parse::<Ipv6Addr>().is_ok() || is_of_the_future() == Some(true)
}

/// The URL of the gateway as the caller knows it, without a path. A proxy in one of the
/// networks `trusted` may report the URL that it was called by (RFC 7239, and the older
/// headers `X-Forwarded-*`). None if no host is known, or if an untrusted proxy stands
/// between: then nobody knows which host and scheme the caller used.
#[must_use]
pub fn external_url(request: &Parts, trusted: &[Networks]) -> Option<String> {
    let peer = request.extensions.get::<Peer>();
    let is_trusted = peer.is_some_and(|Peer(address)| {
        let mut networks = trusted.iter().flatten();
        networks.any(|network| network.contains(*address))
    });
    let forwarded = if is_trusted {
        Forwarded::of(&request.headers)
    } else if shows_a_proxy(&request.headers) {
        return None;
    } else {
        Forwarded::default()
    };
    let own = || {
        let authority = request.uri.authority().map(Authority::as_str);
        authority.or_else(|| request.headers.get(HOST)?.to_str().ok())
    };
    let host = forwarded.host.as_deref().or_else(own)?;
    let scheme = forwarded.scheme.unwrap_or("http");
    let default = if scheme == "https" { HTTPS } else { HTTP };
    Some(match forwarded.port {
        Some(port) if port == default => format!("{scheme}://{}", without_port(host)),
        Some(port) => format!("{scheme}://{}:{port}", without_port(host)),
        None => format!("{scheme}://{host}"),
    })
}

/// Whether a request has a header that proxies add, whatever its value.
fn shows_a_proxy(headers: &HeaderMap) -> bool {
    let names = [
        FORWARDED,
        FORWARDED_HOST,
        FORWARDED_PORT,
        FORWARDED_PROTO,
        VIA,
    ];
    names.iter().any(|name| headers.contains_key(name))
}

/// What a proxy reports of the request that it was sent.
#[derive(Default)]
struct Forwarded {
    scheme: Option<&'static str>,
    host: Option<String>,
    port: Option<u16>,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        // One header may supply what another one leaves out. Of several proxies the first
        // one knows the caller's URL.
        let first = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?;
            split(value, ',').next().map(str::trim)
        };
        let element = first(FORWARDED).unwrap_or_default();
        let member = |wanted: &str| {
            split(element, ';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
                is_wanted.then(|| value.trim().trim_matches('"'))
            })
        };
        let own_host = member("host").and_then(host);
        // In `Forwarded` the port is part of the host.
        let port = match own_host {
            Some(_) => None,
            None => first(FORWARDED_PORT).and_then(|port| port.parse::<u16>().ok()),
        };
        let host = own_host.or_else(|| first(FORWARDED_HOST).and_then(host));
        let scheme = member("proto").and_then(scheme);
        let scheme = scheme.or_else(|| first(FORWARDED_PROTO).and_then(self::scheme));
        let scheme = scheme.or_else(|| (port == Some(HTTPS)).then_some("https"));
        let has_port = host
            .as_deref()
            .is_some_and(|host| without_port(host) != host);
        Self {
            scheme,
            host,
            port: port.filter(|_| !has_port),
        }
    }
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| text.eq_ignore_ascii_case(known))
}

fn host(text: &str) -> Option<String> {
    is_host(text).then(|| text.to_owned())
}

/// A host without its port. An IPv6 address has colons of its own.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}
