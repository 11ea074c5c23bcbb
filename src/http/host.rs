//! Where a request is meant to go (RFC 9112, sections 3.2 and 6.1), and where the caller
//! takes the gateway to be.

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
/// The ports of the schemes, unless a URL says another one.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// The other end of a connection: a client, or the last proxy before the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Checks what no handler may have to doubt: that a request is for one host, and that the
/// length of its body is known.
///
/// # Errors
/// What is wrong with the head.
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

/// Whether `text` is a host and perhaps a port (RFC 9110, section 7.2). A user has no place
/// in it.
fn is_host(text: &str) -> bool {
    let Ok(authority) = Authority::from_str(text) else {
        return false;
    };
    let host = authority.host();
    // Of itself the parser takes a plus sign, too.
    let is_port = |port: &str| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    // Brackets stand around an address of version 6 or later (RFC 3986, section 3.2.2).
    let is_name = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_literal),
        None => !host.is_empty() && !host.contains(['[', ']']),
    };
    let after = text.strip_prefix(host);
    is_name
        && after
            .is_some_and(|after| after.is_empty() || after.strip_prefix(':').is_some_and(is_port))
}

/// Whether `text` is an address that brackets stand around.
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
/// networks `trusted` may say what it was called by (RFC 7239, and the older headers whose
/// names begin with `X-Forwarded`). None if nobody says a host, or if another proxy stands
/// between: then nobody knows what the caller called, and by which scheme.
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

/// Whether a proxy shows itself, whatever it says.
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

/// What a proxy says of the request that it was sent.
#[derive(Default)]
struct Forwarded {
    scheme: Option<&'static str>,
    host: Option<String>,
    port: Option<u16>,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        // One header may say what another one leaves out. Of several proxies the first one
        // knows what the caller called.
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
        // The port of that host is part of it.
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

/// A host without the port that may follow it. An IPv6 address has colons of its own.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}
