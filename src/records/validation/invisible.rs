//! Characters that cannot be seen. `name` in `mod.rs` asks for one that can.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// Characters with a blank glyph: the empty pattern of Braille and the null notehead.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// Whether a character cannot be seen: white space, control and format characters, and all
/// that are ignored by default, such as joiners, fillers, variation selectors and tags
/// (Unicode Standard, section 5.21).
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || BLANK.contains(&character)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::Format
}

#[cfg(test)]
mod tests {
    use super::is_invisible;

    #[test]
    fn what_nobody_sees_is_told_from_what_is_drawn() {
        for character in [
            ' ',
            '\t',
            '\u{0}',
            '\u{7f}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert!(is_invisible(character), "{character:?}");
        }
        for character in [
            'a', '-', '.', '0', 'ß', '日', '\u{301}', '🌳', '\u{fffd}', '\u{ffff}',
        ] {
            assert!(!is_invisible(character), "{character:?}");
        }
    }
}
