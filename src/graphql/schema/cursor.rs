//! Cursors. They are opaque to clients, and carry the order of their list and the position of a
//! row in it (keyset paging).

use std::fmt::Write;

use async_graphql::connection::CursorType;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime as Chrono, Utc};
use sea_orm::Value;

use crate::records::{
    instant::DateTime,
    list::{Direction, Order, OrderField, Position},
};

/// The message for a cursor of another list.
pub const OTHER_LIST: &str = "is a cursor of another list: use it in the list that it came from";
/// The message for a cursor that cannot be read.
pub const UNKNOWN_CURSOR: &str = "is not a cursor that this list gave out";

/// A place in a list, opaque to clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Cursor {
    /// After a row: what the cursors of its page have in common, and the row's position in the
    /// list.
    Row(Place, Position),
    /// After a number of rows. Only the REST layer makes these, for `page`.
    Offset(u64),
}

/// What the cursors of one page have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The list. None for cursors of earlier versions, which did not name their list.
    pub list: Option<ListKind>,
    /// How the list is sorted.
    pub order: Order,
    /// The horizon of a polled list: the following pages end at this instant.
    pub until: Option<Chrono<Utc>>,
}

/// The kinds of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// All clients.
    Clients,
    /// All locations.
    Locations,
    /// The locations of a client.
    OfClient,
    /// All changes.
    Changes,
    /// The changes of a client.
    History,
}

impl ListKind {
    const LETTERS: [(Self, char); 5] = [
        (Self::Clients, 'c'),
        (Self::Locations, 'l'),
        (Self::OfClient, 'o'),
        (Self::Changes, 'x'),
        (Self::History, 'h'),
    ];
}

impl CursorType for Cursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| UNKNOWN_CURSOR)?;
        let text = String::from_utf8(bytes).map_err(|_| UNKNOWN_CURSOR)?;
        Self::parse(&text).ok_or(UNKNOWN_CURSOR)
    }

    fn encode_cursor(&self) -> String {
        let text = match self {
            Self::Offset(rows) => format!("o:{rows}"),
            Self::Row(Place { list, order, until }, position) => {
                let field = match order.field {
                    OrderField::Id => 'i',
                    OrderField::Name => 'n',
                    OrderField::CreatedAt => 'c',
                    OrderField::UpdatedAt => 'u',
                };
                let direction = match order.direction {
                    Direction::Asc => 'a',
                    Direction::Desc => 'd',
                };
                let mut letters = ListKind::LETTERS.into_iter();
                let list = letters.find(|(kind, _)| Some(*kind) == *list);
                let list = list.map_or_else(String::new, |(_, letter)| letter.to_string());
                let mut text = format!("{field}{direction}{list}:{}", position.id);
                // Writing to a String cannot fail.
                if let Some(until) = until {
                    let _ = write!(text, "@{}", until.timestamp_millis());
                }
                let _ = match &position.key {
                    Some(Value::String(Some(key))) => write!(text, ":{key}"),
                    Some(Value::ChronoDateTimeUtc(Some(at))) => {
                        write!(text, ":{}", at.timestamp_millis())
                    }
                    _ => Ok(()),
                };
                text
            }
        };
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        if kind == "o" {
            // The databases take offsets of at most 63 bits.
            let rows: i64 = rest.parse().ok()?;
            return u64::try_from(rows).ok().map(Self::Offset);
        }
        let mut letters = kind.chars();
        let field = match letters.next()? {
            'i' => OrderField::Id,
            'n' => OrderField::Name,
            'c' => OrderField::CreatedAt,
            'u' => OrderField::UpdatedAt,
            _ => return None,
        };
        let direction = match letters.next()? {
            'a' => Direction::Asc,
            'd' => Direction::Desc,
            _ => return None,
        };
        let list = match letters.next() {
            Some(letter) => {
                let mut known = ListKind::LETTERS.into_iter();
                Some(known.find(|(_, known)| *known == letter)?.0)
            }
            None => None,
        };
        if letters.next().is_some() {
            return None;
        }
        let (id, key): (_, Option<Value>) = match field {
            OrderField::Id => (rest, None),
            OrderField::Name => {
                let (id, key) = rest.split_once(':')?;
                if key.contains('\0') {
                    return None;
                }
                (id, Some(key.into()))
            }
            OrderField::CreatedAt | OrderField::UpdatedAt => {
                let (id, milliseconds) = rest.split_once(':')?;
                (id, Some(instant(milliseconds)?.into()))
            }
        };
        let (id, until) = match id.split_once('@') {
            Some((id, until)) => (id, Some(instant(until)?)),
            None => (id, None),
        };
        let position = Position {
            key,
            id: id.parse().ok()?,
        };
        let order = Order { field, direction };
        Some(Self::Row(Place { list, order, until }, position))
    }
}

/// Reads an instant. One that cannot be stored is refused, because PostgreSQL fails on it.
fn instant(milliseconds: &str) -> Option<Chrono<Utc>> {
    let instant = Chrono::from_timestamp_millis(milliseconds.parse().ok()?)?;
    DateTime::new(instant).map(|instant| instant.0)
}
