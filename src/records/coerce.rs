//! Numbers as other systems write them: one rule for both faces.

use serde_json::Number;

/// Doubles below this hold every integer exactly: 2^53.
const EXACT: u64 = 1 << 53;

/// The integer that a JSON number stands for, however it is written: `7`, `7.0` and `7e0`
/// are the same. None for a fraction, and for a double of 2^53 or more: several numbers
/// become the same double, so nobody knows which one was sent.
#[must_use]
pub fn whole(number: &Number) -> Option<i64> {
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    if !number.is_f64() {
        return None;
    }
    // A double is printed without a decimal point exactly if it is an integer.
    let text = number.as_f64()?.to_string();
    let whole: i64 = text.parse().ok()?;
    (whole.unsigned_abs() < EXACT).then_some(whole)
}

/// The digits of an integer, for texts that some systems store as numbers: telephone
/// numbers, postal codes, reference numbers.
#[must_use]
pub fn digits(number: &Number) -> Option<String> {
    if number.is_u64() {
        return Some(number.to_string());
    }
    whole(number).map(|whole| whole.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Number;

    use super::{digits, whole};

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn whole_numbers_are_taken_in_every_spelling() {
        for (text, expected) in [
            ("7", 7),
            ("7.0", 7),
            ("7e0", 7),
            ("70e-1", 7),
            ("1.5e1", 15),
            ("-7.00", -7),
            ("-0", 0),
            ("-0.0", 0),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9007199254740991.0", 9_007_199_254_740_991),
            ("-9007199254740991.0", -9_007_199_254_740_991),
        ] {
            assert_eq!(whole(&number(text)), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_a_fraction_or_unknown_digits_is_refused() {
        for text in [
            "1.5",
            "1e-1",
            "9007199254740992.0",
            "9007199254740993.0",
            "1e30",
            "-1e300",
            "9223372036854775808",
            "12345678901234567890123",
        ] {
            assert_eq!(whole(&number(text)), None, "{text}");
        }
    }

    #[test]
    fn digits_are_those_that_were_sent() {
        for (text, expected) in [
            ("80202", Some("80202")),
            ("80202.0", Some("80202")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("-5", Some("-5")),
            ("1.10", None),
            ("1e30", None),
        ] {
            assert_eq!(digits(&number(text)).as_deref(), expected, "{text}");
        }
    }
}
