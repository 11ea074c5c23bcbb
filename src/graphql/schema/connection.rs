//! Connections after the Relay cursor specification: the four paging arguments, and
//! the total that is counted only when it is asked for.

use std::{borrow::Cow, collections::HashMap};

use async_graphql::{
    Context, ContextSelectionSet, Object, OutputType, Positioned, SelectionField, ServerResult,
    Value as ConstValue,
    connection::{CursorType, Edge, EmptyFields, PageInfo},
    parser::types::Field,
    registry::Registry,
};
use entity::{change, client, client_location};
use futures_util::future::try_join_all;
use sea_orm::EntityTrait;

use super::{
    RequestData,
    change::ClientChange,
    client::Client,
    cursor::{Cursor, ListKind, OTHER_LIST, Place, UNKNOWN_CURSOR},
    location::ClientLocation,
};
use crate::graphql::projection::{ListPlan, Planned, WrittenPage, response_key, unless_failed};
use crate::{
    error::Result,
    records::{
        list::{self, Filter, Listed, Next, Order, OrderField, Page, PageRequest, Selection},
        validation::Checks,
    },
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
    /// Reads the arguments of a list of this `kind` that is sorted by `order` and of which
    /// `selected` is wanted. An empty cursor is none. Faults go to `checks`.
    pub fn request(
        self,
        kind: ListKind,
        order: Order,
        selected: &Selected,
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

/// Which parts of a connection the query selects.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct Selected {
    /// Rows, or anything that follows from them.
    pub rows: bool,
    /// Whether there are rows before the page.
    pub previous: bool,
    /// Whether there are rows after the page.
    pub next: bool,
    /// Cursors.
    pub cursors: bool,
    /// How many rows the whole list has.
    total: bool,
    /// Whether the page may begin after a number of rows.
    offsets: bool,
}

impl Selected {
    /// Looks ahead from the connection field that is being resolved.
    #[must_use]
    pub fn of(context: &Context<'_>) -> Self {
        let data = RequestData::of(context);
        let offsets = data.is_ok_and(|data| data.is_stored);
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
}

impl Selected {
    /// How the caller goes on from a page. REST does so by numbers, until one is short.
    fn next_page(&self) -> Next {
        match (self.cursors, self.offsets) {
            (false, _) => Next::Nowhere,
            (true, false) => Next::IfMore,
            (true, true) => Next::IfFull,
        }
    }
}

/// Resolves a root list of this `kind`: `whole` names it, `node` wraps its rows.
///
/// # Errors
/// `Validation` with every fault of the arguments, or what the database reports.
pub async fn resolve<F, Node>(
    context: &Context<'_>,
    filter: Option<F>,
    (kind, order): (ListKind, Order),
    paging: Paging,
    whole: impl FnOnce(Selection) -> List,
    node: impl Fn(<F::Entity as EntityTrait>::Model) -> Node,
) -> Result<Connection<Node>>
where
    F: Filter + Default,
    Node: OutputType,
{
    let selected = Selected::of(context);
    let mut checks = Checks::new("");
    let filter = filter.unwrap_or_default();
    let selection = checks.within("filter", |checks| filter.select(checks));
    let request = paging.request(kind, order, &selected, &mut checks);
    checks.finish()?;
    let page = if selected.rows {
        let database = &RequestData::of(context)?.database;
        if let Some(plan) = ListPlan::compile::<F::Entity>(context, kind, order)
            && let run = plan.run::<F::Entity>(database, &selection, &request)
            && let Some(written) = unless_failed(run.await)?
        {
            let selection = selection.up_to::<F::Entity>(written.horizon);
            return Ok(Connection::written(written, whole(selection)));
        }
        list::page_of_models::<F::Entity>(database, &selection, &request).await?
    } else if selected.total {
        let database = &RequestData::of(context)?.database;
        Page {
            horizon: list::horizon_of_total(database, &selection).await?,
            ..Page::default()
        }
    } else {
        Page::default()
    };
    let selection = selection.up_to::<F::Entity>(page.horizon);
    Ok(Connection::new::<F::Entity>(
        page,
        order,
        whole(selection),
        node,
    ))
}

/// A row of a list with its cursor.
type Item<Node> = Edge<Cursor, Node, EmptyFields>;

/// One page of a list (Relay cursor connections specification).
pub struct Connection<Node: OutputType> {
    rows: Rows<Node>,
    has_previous: bool,
    has_next: bool,
    /// How many items the whole list has, if that is known already.
    total: Option<i64>,
    list: List,
}

enum Rows<Node: OutputType> {
    /// For their fields to be resolved one by one.
    Edges(Vec<Item<Node>>),
    /// By a plan, as the lists that were selected.
    Written {
        lists: HashMap<String, ConstValue>,
        start: Option<Cursor>,
        end: Option<Cursor>,
    },
}

/// A list whose errors keep their paths: async-graphql cuts them off at the item of its
/// own lists, so that nobody could tell which field below it failed.
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
    Clients(Selection),
    /// The locations that a filter accepts.
    Locations(Selection),
    /// The locations of one client.
    LocationsOf(i64),
    /// The changes that a filter accepts.
    Changes(Selection),
    /// The changes of one client.
    History(i64),
}

impl List {
    fn kind(&self) -> ListKind {
        match self {
            Self::Clients(_) => ListKind::Clients,
            Self::Locations(_) => ListKind::Locations,
            Self::LocationsOf(_) => ListKind::OfClient,
            Self::Changes(_) => ListKind::Changes,
            Self::History(_) => ListKind::History,
        }
    }
}

impl<Node: OutputType> Connection<Node> {
    /// A page of `list`, which is sorted by `order`.
    pub fn new<E: Listed>(
        page: Page<E::Model>,
        order: Order,
        list: List,
        node: impl Fn(E::Model) -> Node,
    ) -> Self {
        let place = Place {
            list: Some(list.kind()),
            order,
            until: page.until,
        };
        let edge = |row| {
            let position = E::position(&row, order.field);
            Edge::new(Cursor::Row(place, position), node(row))
        };
        Self {
            rows: Rows::Edges(page.rows.into_iter().map(edge).collect()),
            has_previous: page.has_previous,
            has_next: page.has_next,
            total: page.total,
            list,
        }
    }

    fn written(page: WrittenPage, list: List) -> Self {
        Self {
            rows: Rows::Written {
                lists: page.lists,
                start: page.start,
                end: page.end,
            },
            has_previous: page.has_previous,
            has_next: page.has_next,
            total: page.total,
            list,
        }
    }

    /// The list that the field being resolved selects: written, or made of each edge.
    fn items<'a, T>(
        &'a self,
        context: &Context<'_>,
        item: impl Fn(&'a Item<Node>) -> T,
    ) -> Planned<Items<T>> {
        match &self.rows {
            Rows::Edges(edges) => Planned::Resolve(Items(edges.iter().map(item).collect())),
            Rows::Written { lists, .. } => {
                let key = response_key(&context.field());
                Planned::Written(lists.get(key).cloned().unwrap_or_default())
            }
        }
    }
}

/// One page of a list.
#[Object(
    concrete(name = "ClientConnection", params(Client)),
    concrete(name = "ClientLocationConnection", params(ClientLocation)),
    concrete(name = "ClientChangeConnection", params(ClientChange))
)]
impl<Node: OutputType> Connection<Node> {
    /// The items of this page, each with its cursor.
    async fn edges(&self, context: &Context<'_>) -> Planned<Items<&Item<Node>>> {
        self.items(context, |edge| edge)
    }

    /// The items of this page.
    async fn nodes(&self, context: &Context<'_>) -> Planned<Items<&Node>> {
        self.items(context, |edge| &edge.node)
    }

    /// How to go on from this page.
    async fn page_info(&self) -> PageInfo {
        let (start, end) = match &self.rows {
            Rows::Edges(edges) => {
                let cursor = |edge: &'_ Item<Node>| edge.cursor.clone();
                (edges.first().map(cursor), edges.last().map(cursor))
            }
            Rows::Written { start, end, .. } => (start.clone(), end.clone()),
        };
        page_info([self.has_previous, self.has_next], start, end)
    }

    /// How many items the whole list has. Counted only when it is asked for.
    async fn total_count(&self, context: &Context<'_>) -> Result<i64> {
        if let Some(total) = self.total {
            return Ok(total);
        }
        let data = RequestData::of(context)?;
        match &self.list {
            List::Clients(selection) => {
                list::count::<client::Entity>(&data.database, selection).await
            }
            List::Locations(selection) => {
                list::count::<client_location::Entity>(&data.database, selection).await
            }
            List::LocationsOf(client_id) => data.loaders().count_locations(*client_id).await,
            List::Changes(selection) => {
                list::count::<change::Entity>(&data.database, selection).await
            }
            List::History(client_id) => data.loaders().count_changes(*client_id).await,
        }
    }
}

/// How to go on from a page: whether there are rows before it and after it, and the
/// cursors of its first and last row.
fn page_info(
    [has_previous_page, has_next_page]: [bool; 2],
    start: Option<Cursor>,
    end: Option<Cursor>,
) -> PageInfo {
    let encode = |cursor: Cursor| cursor.encode_cursor();
    PageInfo {
        has_previous_page,
        has_next_page,
        start_cursor: start.map(encode),
        end_cursor: end.map(encode),
    }
}
