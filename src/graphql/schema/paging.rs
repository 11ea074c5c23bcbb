//! The paging arguments of a connection (Relay cursor connections specification), and which
//! parts of it the query selects.

use async_graphql::{Context, SelectionField, connection::CursorType};

use super::{
    RequestData,
    cursor::{Cursor, ListKind, OTHER_LIST, UNKNOWN_CURSOR},
};
use crate::records::{
    list::{Next, Order, OrderField, PageRequest},
    validation::Checks,
};

/// Rows on a page unless told otherwise.
pub const DEFAULT_FIRST: u32 = 50;
/// The most rows on a page.
pub const MAX_FIRST: u32 = 500;

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
    /// Reads the arguments of a list of this `kind` that is sorted by `order`, for the parts
    /// that are `selected`. An empty cursor counts as none. Faults go to `checks`.
    pub fn request(
        self,
        kind: ListKind,
        order: Order,
        selected: &LookAhead,
        checks: &mut Checks,
    ) -> PageRequest {
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
            next: selected.next_page(),
            ..PageRequest::default()
        };
        let mut cursor = |name, text: Option<String>| {
            let text = text.filter(|text| !text.is_empty())?;
            let cursor = checks.value(name, &text, |text| {
                Cursor::decode_cursor(text).map_err(str::to_owned)
            })?;
            match &cursor {
                Cursor::Row(place, _) if place.list.is_some_and(|list| list != kind) => {
                    checks.fault(name, OTHER_LIST);
                    None
                }
                Cursor::Row(place, _) if place.order != order => {
                    checks.fault(
                        name,
                        "is a cursor of another order: use it in the order that it came from",
                    );
                    None
                }
                _ => Some(cursor),
            }
        };
        let after = cursor("after", self.after);
        let before = cursor("before", self.before);
        match after {
            Some(Cursor::Row(place, position)) => {
                request.after = Some(position);
                request.until = place.until;
            }
            Some(Cursor::Offset(rows))
                if selected.offsets && !request.from_end && order.field == OrderField::Id =>
            {
                request.offset = rows;
            }
            Some(Cursor::Offset(_)) => checks.fault("after", UNKNOWN_CURSOR),
            None => {}
        }
        match before {
            Some(Cursor::Row(place, position)) => {
                request.before = Some(position);
                request.until = request.until.into_iter().chain(place.until).min();
            }
            Some(Cursor::Offset(_)) => checks.fault("before", UNKNOWN_CURSOR),
            None => {}
        }
        request
    }
}

/// The parts of a connection that the query selects.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct LookAhead {
    /// Rows, or anything that follows from them.
    pub rows: bool,
    /// Whether there are rows before the page.
    pub previous: bool,
    /// Whether there are rows after the page.
    pub next: bool,
    /// Cursors.
    pub cursors: bool,
    /// How many rows the whole list has.
    pub total: bool,
    /// Whether the page may begin after a number of rows.
    offsets: bool,
}

impl LookAhead {
    /// Looks ahead from the connection field that is being resolved.
    #[must_use]
    pub fn of(context: &Context<'_>) -> Self {
        let data = RequestData::of(context);
        let offsets = data.is_ok_and(|data| data.shape.offsets);
        Self::by(&context.field(), offsets)
    }

    /// Looks ahead from a connection field, whose pages may begin after a number of
    /// rows if `offsets` says so.
    #[must_use]
    pub fn by(field: &SelectionField<'_>, offsets: bool) -> Self {
        let mut selected = Self {
            rows: false,
            previous: false,
            next: false,
            cursors: false,
            total: false,
            offsets,
        };
        for part in field.selection_set() {
            match part.name() {
                "nodes" => selected.rows = true,
                "totalCount" => selected.total = true,
                "edges" => {
                    selected.rows = true;
                    let mut fields = part.selection_set();
                    selected.cursors |= fields.any(|field| field.name() == "cursor");
                }
                "pageInfo" => {
                    selected.rows = true;
                    for field in part.selection_set() {
                        selected.previous |= field.name() == "hasPreviousPage";
                        selected.next |= field.name() == "hasNextPage";
                        selected.cursors |= matches!(field.name(), "startCursor" | "endCursor");
                    }
                }
                _ => {}
            }
        }
        selected
    }

    /// How the caller goes on from a page. REST asks for page after page until one is not full.
    fn next_page(&self) -> Next {
        match (self.cursors, self.offsets) {
            (false, _) => Next::Nowhere,
            (true, false) => Next::IfMore,
            (true, true) => Next::IfFull,
        }
    }
}
