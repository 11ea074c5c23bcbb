//! Regular expressions for the values that the rules of fields take, made from what the rules
//! themselves use. JSON Schema has the expressions of ECMAScript in Unicode mode. These mean the
//! same in other dialects: they have no `\s` and no `\d`, which every dialect reads in its own
//! way.

use std::sync::LazyLock;

use crate::records::validation::{self, invisible::is_invisible};

/// A part of a host name, and the last part, which is no number. Hyphens stand alone: a part
/// with two in a row may be an encoded (punycode) name, and not all of these are taken. Both
/// are bounded, so that four of them are no longer than a name may be.
const LABEL: &str = "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,30}";
const TOP_LABEL: &str = "[A-Za-z](?:-?[A-Za-z0-9]){0,30}";
/// A number from 0 to 255.
const OCTET: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
/// A number from 0 to 65,535.
const PORT: &str = "(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]\
                    |6553[0-5])";
/// A character of the part of an e-mail address before the @ (RFC 5322, section 3.2.3).
const ATOM: &str = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
/// The digits of a number that a double holds exactly, and the ending of a whole number that is
/// written as a fraction.
const SHORT: &str = "[1-9][0-9]{0,14}";
const NO_FRACTION: &str = r"\.0{1,15}";
/// What may follow the host of a URL.
const PATH: &str = r"[/?#][!#$&-;=?-Z\[\]_a-z~]*(?:%[0-9A-Fa-f]{2}[!#$&-;=?-Z\[\]_a-z~]*)*";

/// An entity tag, or several in a list (RFC 9110, section 8.8.3).
pub const ENTITY_TAGS: &str = r#"^(?:\*|(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*)$"#;
/// Visible characters, in quotes or without.
pub const KEY: &str = r#"^(?:[!#-~][!-~]*|"(?:[!#-\[\]-~]|\\["\\])+")$"#;
/// A text that every database can hold.
pub const TEXT: &str = r"^[^\u0000]*$";
/// A version in quotes.
pub const TAG: &str = r#"^"[1-9][0-9]*"$"#;
/// An instant as it is answered.
pub const INSTANT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$";

/// White space, as the inside of a character class.
static SPACE: LazyLock<String> = LazyLock::new(|| class(char::is_whitespace));

/// A text with a character that can be seen.
pub static VISIBLE: LazyLock<String> = LazyLock::new(|| {
    let invisible = class(is_invisible);
    format!(r"^[^\u0000]*[^{invisible}][^\u0000]*$")
});

/// A state or province code.
pub static STATE: LazyLock<String> = LazyLock::new(|| padded("[0-9A-Za-z]{2}"));

/// A country code, in letters of either case.
pub static COUNTRY: LazyLock<String> = LazyLock::new(|| {
    let codes: Vec<_> = validation::country_codes().map(in_any_case).collect();
    padded(&codes.join("|"))
});

/// An e-mail address, or nothing. Of the addresses that are taken it matches the common ones:
/// up to three dots before the @ and no more than 64 characters.
pub static EMAIL: LazyLock<String> = LazyLock::new(|| {
    let mailbox = format!(
        "{ATOM}{{1,64}}|{ATOM}{{1,31}}\\.{ATOM}{{1,32}}|{ATOM}{{1,20}}(?:\\.{ATOM}{{1,20}}){{2}}\
         |{ATOM}{{1,15}}(?:\\.{ATOM}{{1,15}}){{3}}"
    );
    format!("^(?:(?:{mailbox})@(?:{LABEL}\\.){{1,3}}{TOP_LABEL})?$")
});

/// A URL, or nothing. Of the URLs that are taken it matches those in ASCII whose host is a name
/// or an IPv4 address.
pub static WEBSITE: LazyLock<String> = LazyLock::new(|| {
    let name = format!("(?:{LABEL}\\.){{0,3}}{TOP_LABEL}");
    let address = format!("{OCTET}(?:\\.{OCTET}){{3}}");
    format!("^(?:[Hh][Tt][Tt][Pp][Ss]?://(?:{name}|{address})(?::{PORT})?(?:{PATH})?)?$")
});

/// The digits of a number of 64 bits.
static ID: LazyLock<String> = LazyLock::new(|| {
    let (above, below) = (
        up_to(i64::MAX.unsigned_abs()),
        up_to(i64::MIN.unsigned_abs()),
    );
    format!("0|{above}|-(?:{below})")
});

/// A day, or a time on it, in the forms that parameters take. A time whose offset moves it out
/// of the years 0000 to 9999 is not matched.
pub static MOMENT: LazyLock<String> = LazyLock::new(|| {
    let leap = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
    let day = format!(
        "(?:[0-9]{{4}}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)\
         |(?:0[13578]|1[02])-31)|{leap}-02-29)"
    );
    let hour = "(?:[01][0-9]|2[0-3])";
    let time = format!("{hour}:[0-5][0-9]:[0-5][0-9](?:[.,][0-9]{{1,9}})?");
    let offset = format!("(?:[Zz]| UTC| GMT| ?[+-]{hour}(?::?[0-5][0-9])?)?");
    format!("^(?!(?:0000|9999).{{15,}}[+-]){day}(?:[Tt ]{time}{offset})?$")
});

/// One of these words, in letters of either case, or nothing.
pub fn words(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| in_any_case(word)).collect();
    optional(&words.join("|"))
}

/// The digits of a number of 64 bits, or nothing.
pub fn optional_id() -> String {
    optional(&format!("{}|-?(?:0|{SHORT}){NO_FRACTION}", *ID))
}

/// The digits of an id that the database gave.
pub fn given_id() -> String {
    let digits = up_to(i64::MAX.unsigned_abs());
    padded(&format!("{digits}|{SHORT}{NO_FRACTION}"))
}

/// `inner` with white space around it.
fn padded(inner: &str) -> String {
    format!("^[{0}]*(?:{inner})[{0}]*$", *SPACE)
}

/// `inner` with white space around it, or white space alone.
fn optional(inner: &str) -> String {
    format!("^[{0}]*(?:(?:{inner})[{0}]*)?$", *SPACE)
}

/// The letters of `word` in either case.
fn in_any_case(word: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphabetic() {
            let (upper, lower) = (letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
            format!("[{upper}{lower}]")
        } else {
            letter.to_string()
        }
    };
    word.chars().map(letter).collect()
}

/// The whole numbers from 1 to `max`, in their canonical form: those with fewer digits,
/// and those that are less from some digit on.
fn up_to(max: u64) -> String {
    let digits = max.to_string();
    let last = digits.len() - 1;
    let mut forms = Vec::new();
    if last > 0 {
        forms.push(format!("[1-9][0-9]{{0,{}}}", last - 1));
    }
    for (place, digit) in digits.char_indices() {
        let from = if place == 0 { '1' } else { '0' };
        // Only the last digit may equal that of `max`.
        let below = (from..digit).next_back();
        let most = if place == last { Some(digit) } else { below };
        let Some(most) = most else {
            continue;
        };
        let rest = match last - place {
            0 => String::new(),
            rest => format!("[0-9]{{{rest}}}"),
        };
        forms.push(format!("{}[{from}-{most}]{rest}", &digits[..place]));
    }
    forms.join("|")
}

/// The characters that are `contained`, as the inside of a character class.
fn class(contained: fn(char) -> bool) -> String {
    let mut runs: Vec<(char, char)> = Vec::new();
    for character in ('\0'..=char::MAX).filter(|character| contained(*character)) {
        match runs.last_mut() {
            Some((_, last)) if u32::from(*last) + 1 == u32::from(character) => *last = character,
            _ => runs.push((character, character)),
        }
    }
    let run = |(first, last): (char, char)| {
        if first == last {
            escaped(first)
        } else {
            format!("{}-{}", escaped(first), escaped(last))
        }
    };
    runs.into_iter().map(run).collect()
}

/// A character as every dialect reads it: the dialects have no common escape for characters
/// beyond the basic plane.
fn escaped(character: char) -> String {
    let code = u32::from(character);
    if code <= 0xffff {
        format!("\\u{code:04x}")
    } else {
        character.to_string()
    }
}
