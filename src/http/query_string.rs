//! Query strings, which both faces read in the same way.

use url::form_urlencoded;

/// The pairs of a query string, in their order.
///
/// # Errors
/// A sentence, if a name comes twice or the text is not UTF-8.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    // Invalid UTF-8 is decoded to replacement characters. A text with more of them than
    // were sent is invalid.
    let replaced = |text: &str| text.matches(char::REPLACEMENT_CHARACTER).count();
    let mut sent = replaced(query) + query.to_ascii_uppercase().matches("%EF%BF%BD").count();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let found = replaced(&name) + replaced(&value);
        let Some(left) = sent.checked_sub(found) else {
            return Err(format!("The parameter '{name}' is not valid UTF-8."));
        };
        sent = left;
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(format!("The parameter '{name}' is there twice."));
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(pairs)
}
