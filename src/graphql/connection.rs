//! Connections after the Relay cursor specification: cursors, the four paging
//! arguments, and the total that is counted only when it is asked for.

use std::{borrow::Cow, fmt::Write};

use async_graphql::{
    Context, ContextSelectionSet, Object, OutputType, Positioned, ServerResult,
    Value as ConstValue,
    connection::{CursorType, Edge, EmptyFields, PageInfo},
    parser::types::Field,
    registry::Registry,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike};
use futures_util::future::try_join_all;
use sea_orm::{Condition, Value};

use super::{RequestData, client::Client, location::ClientLocation};
use crate::{
    clients,
    error::Result,
    locations,
    paging::{Direction, Listed, Order, OrderField, Page, PageRequest, Position},
    validation::Checks,
};

/// Rows on a page unless told otherwise.
pub const DEFAULT_FIRST: u32 = 50;
/// The most rows on a page.
pub const MAX_FIRST: u32 = 500;

/// What is wrong with a cursor that cannot be read.
pub const UNKNOWN_CURSOR: &str = "is not a cursor that this list gave out";

/// A place in a list, opaque to clients.
#[derive(Clone, Debug, PartialEq)]
pub enum Cursor {
    /// After a row: the order of its list, and the row's position in it.
    Row(Order, Position),
    /// After a number of rows. Only the REST layer makes these, for `page`.
    Offset(u64),
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
            Self::Row(order, position) => {
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
                let mut text = format!("{field}{direction}:{}", position.id);
                // Writing to a String cannot fail.
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
            // Databases count rows in 63 bits.
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
                let at = DateTime::from_timestamp_millis(milliseconds.parse().ok()?)?;
                // As every instant that is stored; PostgreSQL fails on older ones.
                if !(0..=9999).contains(&at.year()) {
                    return None;
                }
                (id, Some(at.into()))
            }
        };
        let position = Position {
            key,
            id: id.parse().ok()?,
        };
        Some(Self::Row(Order { field, direction }, position))
    }
}

/// The paging arguments of a connection field.
#[derive(Default)]
pub struct Paging {
    /// The most rows, from the start.
    pub first: Option<i32>,
    /// Only rows after this cursor.
    pub after: Option<String>,
    /// The most rows, from the end.
    pub last: Option<i32>,
    /// Only rows before this cursor.
    pub before: Option<String>,
}

impl Paging {
    /// Reads the arguments of a list that is sorted by `order` and of which
    /// `selected` is wanted. Faults go to `checks`.
    pub fn request(self, order: Order, selected: &Selected, checks: &mut Checks) -> PageRequest {
        let mut limit = DEFAULT_FIRST;
        for (name, value) in [("first", self.first), ("last", self.last)] {
            match value.map(u32::try_from) {
                None => {}
                Some(Ok(rows)) if rows <= MAX_FIRST => limit = rows,
                Some(_) => checks.fault(name, format!("must be from 0 to {MAX_FIRST}")),
            }
        }
        if self.first.is_some() && self.last.is_some() {
            checks.fault("last", "cannot be combined with first: give one of them");
        }
        let mut request = PageRequest {
            order,
            limit: limit.into(),
            from_end: self.last.is_some(),
            look_behind: if self.last.is_some() {
                selected.next
            } else {
                selected.previous
            },
            ..PageRequest::default()
        };
        let mut cursor = |name, text: Option<String>| {
            let cursor = checks.value(name, &text?, |text| {
                Cursor::decode_cursor(text).map_err(str::to_owned)
            })?;
            match &cursor {
                Cursor::Row(cursor_order, _) if *cursor_order != order => {
                    checks.fault(
                        name,
                        "is a cursor of another order: use it with the orderBy that it came from",
                    );
                    None
                }
                _ => Some(cursor),
            }
        };
        let after = cursor("after", self.after);
        let before = cursor("before", self.before);
        match after {
            Some(Cursor::Row(_, position)) => request.after = Some(position),
            Some(Cursor::Offset(rows)) if selected.offsets && !request.from_end => {
                request.offset = rows;
            }
            Some(Cursor::Offset(_)) => checks.fault("after", UNKNOWN_CURSOR),
            None => {}
        }
        match before {
            Some(Cursor::Row(_, position)) => request.before = Some(position),
            Some(Cursor::Offset(_)) => checks.fault("before", UNKNOWN_CURSOR),
            None => {}
        }
        request
    }
}

/// Which parts of a connection the query selects.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct Selected {
    /// Rows, or anything that follows from them.
    pub rows: bool,
    /// Whether there are rows before the page.
    pub previous: bool,
    /// Whether there are rows after the page.
    pub next: bool,
    /// Whether the page may begin after a number of rows.
    offsets: bool,
}

impl Selected {
    /// Looks ahead from the connection field that is being resolved.
    #[must_use]
    pub fn of(context: &Context<'_>) -> Self {
        let ahead = context.look_ahead();
        let page_info = ahead.field("pageInfo");
        let data = RequestData::of(context);
        Self {
            offsets: data.is_ok_and(|data| data.is_stored),
            rows: ahead.field("edges").exists()
                || ahead.field("nodes").exists()
                || page_info.exists(),
            previous: page_info.field("hasPreviousPage").exists(),
            next: page_info.field("hasNextPage").exists(),
        }
    }
}

type Item<Node> = Edge<Cursor, Node, EmptyFields>;

/// One page of a list (Relay cursor connections specification).
pub struct Connection<Node: OutputType> {
    edges: Vec<Item<Node>>,
    has_previous: bool,
    has_next: bool,
    list: List,
}

/// A list whose errors keep their paths: that of async-graphql cuts them off at the
/// item, so that nobody could tell which field below it failed.
struct Items<T>(Vec<T>);

impl<T: OutputType> OutputType for Items<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<ConstValue> {
        let items = self
            .0
            .iter()
            .enumerate()
            .map(async |(index, item)| item.resolve(&context.with_index(index), field).await);
        Ok(ConstValue::List(try_join_all(items).await?))
    }
}

/// The list that a connection is a page of.
pub enum List {
    /// The clients that a filter accepts.
    Clients(Condition),
    /// The locations that a filter accepts.
    Locations(Condition),
    /// The locations of one client.
    LocationsOf(i64),
}

impl<Node: OutputType> Connection<Node> {
    /// A page of `list`, which is sorted by `order`.
    pub fn new<E: Listed>(
        page: Page<E::Model>,
        order: Order,
        list: List,
        node: impl Fn(E::Model) -> Node,
    ) -> Self {
        let edge = |row| {
            let cursor = Cursor::Row(order, E::position(&row, order.field));
            Edge::new(cursor, node(row))
        };
        Self {
            edges: page.rows.into_iter().map(edge).collect(),
            has_previous: page.has_previous,
            has_next: page.has_next,
            list,
        }
    }
}

/// One page of a list.
#[Object(
    concrete(name = "ClientConnection", params(Client)),
    concrete(name = "ClientLocationConnection", params(ClientLocation))
)]
impl<Node: OutputType> Connection<Node> {
    /// The items of this page, each with its cursor.
    async fn edges(&self) -> Items<&Item<Node>> {
        Items(self.edges.iter().collect())
    }

    /// The items of this page.
    async fn nodes(&self) -> Items<&Node> {
        Items(self.edges.iter().map(|edge| &edge.node).collect())
    }

    /// How to go on from this page.
    async fn page_info(&self) -> PageInfo {
        let cursor = |edge: &Item<Node>| edge.cursor.encode_cursor();
        PageInfo {
            has_previous_page: self.has_previous,
            has_next_page: self.has_next,
            start_cursor: self.edges.first().map(cursor),
            end_cursor: self.edges.last().map(cursor),
        }
    }

    /// How many items the whole list has. Counted only when it is asked for.
    async fn total_count(&self, context: &Context<'_>) -> Result<i64> {
        let data = RequestData::of(context)?;
        match &self.list {
            List::Clients(filter) => clients::count(&data.database.reader, filter).await,
            List::Locations(filter) => locations::count(&data.database.reader, filter).await,
            List::LocationsOf(client_id) => data.loaders.count_locations(*client_id).await,
        }
    }
}
