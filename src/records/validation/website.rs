//! The rule for the URLs of websites.

use url::{Host, Url};

use super::host;
use super::stored;

/// An absolute http or https URL with a valid host (RFC 3986), in letters of any script
/// (RFC 3987). An empty text means none.
///
/// # Errors
/// If it is anything else.
pub fn website(text: &str) -> Result<Option<String>, String> {
    let website = stored::website(text)?;
    let Some(url) = &website else {
        return Ok(None);
    };
    if !is_escaped(url) {
        return Err(
            "must be a URL without the characters \"<>^`{|} and single percent signs, which are \
             written as %22, %25 and so on"
                .to_owned(),
        );
    }
    if !leads_to_host(url) {
        return Err(
            "must be a URL with the name or address of a host, such as https://example.com"
                .to_owned(),
        );
    }
    Ok(website)
}

/// Whether all that a URL must escape is escaped (RFC 3986, section 2).
fn is_escaped(text: &str) -> bool {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    !text.contains(['"', '<', '>', '^', '`', '{', '|', '}'])
        && text.split('%').skip(1).all(is_escape)
}

/// Whether the host of a URL is valid.
fn leads_to_host(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    match url.host() {
        Some(Host::Domain(name)) => host::is_name(name),
        // The parser takes 1.2.3 and 0x7f000001 for addresses, too.
        Some(Host::Ipv4(address)) => {
            let authority = text.split(['/', '?', '#']).nth(2).unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            host.split(':').next() == Some(address.to_string().as_str())
        }
        Some(Host::Ipv6(_)) => true,
        None => false,
    }
}
