//! Instants: how they are read, stored, compared and written, on both faces.

use std::ops::Range;

use chrono::{DateTime as Chrono, Datelike, SubsecRound, TimeDelta, Timelike, Utc};

/// Nanoseconds in a second.
const NANOSECONDS: u32 = 1_000_000_000;

/// An instant as it is sent and returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Chrono<Utc>);

impl DateTime {
    /// Reads RFC 3339 and common variants: an offset without its colon or its minutes, as
    /// in PHP's `DATE_ISO8601`, a comma before the fraction, and UTC by its name, as in
    /// Ruby's `Time#to_s`. The year must have four digits in UTC, too, because SQLite
    /// compares instants as text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant = Chrono::parse_from_rfc3339(&in_rfc3339(text)?).ok()?;
        // chrono represents a leap second as a second with too many nanoseconds. It becomes
        // the second that follows.
        let nanoseconds = instant.timestamp_subsec_nanos();
        let seconds = instant.timestamp() + i64::from(nanoseconds / NANOSECONDS);
        let instant = Chrono::from_timestamp(seconds, nanoseconds % NANOSECONDS)?;
        Self::new(instant)
    }

    /// The instant; none unless its year has four digits.
    #[must_use]
    pub fn new(instant: Chrono<Utc>) -> Option<Self> {
        (0..=9999)
            .contains(&instant.year())
            .then_some(Self(instant))
    }

    /// The text in which all answers show it.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = Vec::with_capacity(24);
        self.write(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the text in which all answers show it. Lists hold many instants, and
    /// chrono's own formatting takes ten times as long. Years have four digits: no others
    /// are stored.
    pub fn write(self, out: &mut Vec<u8>) {
        let Self(instant) = self;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut set = |places: Range<usize>, mut number: u32| {
            for digit in text[places].iter_mut().rev() {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        set(0..4, instant.year().unsigned_abs());
        set(5..7, instant.month());
        set(8..10, instant.day());
        set(11..13, instant.hour());
        set(14..16, instant.minute());
        set(17..19, instant.second());
        set(20..23, instant.timestamp_subsec_millis());
        out.extend_from_slice(&text);
    }

    /// The first whole millisecond that is not before this instant: bounds may be finer
    /// than what is stored. In the last millisecond of the year 9999, which no record
    /// reaches, that one.
    #[must_use]
    pub fn first_millisecond(self) -> Chrono<Utc> {
        let cut = self.last_millisecond();
        let next = cut + TimeDelta::milliseconds(1);
        if cut < self.0 && next.year() <= 9999 {
            next
        } else {
            cut
        }
    }

    /// The last whole millisecond that is not after this instant.
    #[must_use]
    pub fn last_millisecond(self) -> Chrono<Utc> {
        self.0.trunc_subsecs(3)
    }
}

/// Rewrites a timestamp in the strict form of RFC 3339, if it has the right parts.
fn in_rfc3339(text: &str) -> Option<String> {
    /// The lengths of `2026-01-31` and of `09:15:00`.
    const DAY: usize = 10;
    const TIME: usize = 8;
    let (day, rest) = text.split_at_checked(DAY)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(TIME)?;
    let (fraction, offset) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, offset) = rest.split_at(digits);
            (format!(".{digits}"), offset)
        }
        None => (String::new(), rest),
    };
    // Ruby and others write a space before a numeric offset.
    let offset = match offset.strip_prefix(' ') {
        Some(numeric) if numeric.starts_with(['+', '-']) => numeric,
        _ => offset,
    };
    let offset = match offset.as_bytes() {
        // Ruby also writes the name of the time zone.
        b"Z" | b"z" | b" UTC" | b" GMT" => "Z".to_owned(),
        [b'+' | b'-', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => match digits.len() {
            2 => format!("{offset}:00"),
            4 => {
                let (hours, minutes) = offset.split_at(3);
                format!("{hours}:{minutes}")
            }
            _ => return None,
        },
        _ => offset.to_owned(),
    };
    Some(format!("{day}T{time}{fraction}{offset}"))
}
