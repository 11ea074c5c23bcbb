//! The rules for host names, in websites and e-mail addresses.

use url::Host;

/// The longest name (RFC 1035, section 2.3.4), and the longest label in one.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Whether a name in ASCII (RFC 5890) may be that of a host in the domain name system:
/// labels of letters, digits and inner hyphens (RFC 1123, section 2.1). A final dot is
/// allowed.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

/// Whether mail can be sent to a host of this name, which may have letters of any script
/// (RFC 6531): it has at least two labels, and is not an address.
#[must_use]
pub fn takes_mail(host: &str) -> bool {
    // The parser would decode an escape, and `is_name` allow a final dot.
    if host.contains('%') || host.ends_with('.') {
        return false;
    }
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name.contains('.') && is_name(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_name, takes_mail};

    #[test]
    fn names_have_labels_of_letters_digits_and_hyphens() {
        let long = "a".repeat(63);
        let longest = format!("{long}.{long}.{long}.{}", "a".repeat(61));
        for name in [
            "localhost",
            "example.com",
            "example.com.",
            "a-b.c",
            "1.example",
            "xn--mnchen-3ya.example",
            &long,
            &longest,
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            ".com",
            "a..b",
            "example.com..",
            "-a.com",
            "a-.com",
            "a_b.com",
            "a b",
            "ä.com",
            &format!("{long}a"),
            &format!("{longest}a"),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn mail_goes_to_names_of_two_parts_that_are_no_number() {
        for host in [
            "example.com",
            "a.b.c-d.example",
            "münchen.example",
            "4.example",
        ] {
            assert!(takes_mail(host), "{host}");
        }
        for host in [
            "",
            "example",
            "1.2.3.4",
            "example.123",
            "1.2.3",
            "0x7f.1",
            "[::1]",
            "a..b",
            "-a.com",
            "a_b.com",
            "example.com.",
            "ex%61mple.com",
        ] {
            assert!(!takes_mail(host), "{host}");
        }
    }
}
