//! The comparison key of a text: two texts are equal ignoring case exactly when
//! their keys are equal byte for byte, and they sort by their keys.
//!
//! Keys are made here, on every write and for every filter, and compared with binary
//! collation, so both engines give the same rows in the same order.

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizer, DecomposingNormalizer};

/// The canonical caseless form of `text` (Unicode Standard, definition D145:
/// normalise, apply the full case folding, normalise), so that `Straße` meets
/// `STRASSE`, and a letter with a combining accent meets the accented letter.
#[must_use]
pub fn fold(text: &str) -> String {
    let decomposed = DecomposingNormalizer::new_nfd().normalize(text);
    let folded = CaseMapper::new().fold_string(&decomposed);
    ComposingNormalizer::new_nfc()
        .normalize(&folded)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn ignores_case_by_full_unicode_rules() {
        for (one, other) in [
            ("ACME", "acme"),
            ("Straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Å", "a\u{30a}"),
            ("ﬁnance", "FINANCE"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
        assert_ne!(fold("resume"), fold("résumé"));
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["Straße", "İstanbul", "a\u{30a}", "ΐ", "ŉ"] {
            assert_eq!(fold(&fold(text)), fold(text));
        }
    }
}
