//! Connections (Relay cursor connections specification). The total is counted only when the
//! query selects it.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use async_graphql::{
    Context, ContextSelectionSet, Object, OutputType, Positioned, ServerError, ServerResult,
    Value as ConstValue,
    connection::{CursorType, Edge, EmptyFields, PageInfo},
    parser::types::Field,
    registry::Registry,
};
use entity::{client, client_location};
use futures_util::future::try_join_all;
use sea_orm::EntityTrait;

use super::{
    RequestData,
    change::ClientChange,
    client::Client,
    cursor::{Cursor, ListKind, Place},
    location::ClientLocation,
    paging::{LookAhead, Paging},
};
use crate::{
    error::{Error, Result},
    graphql::{
        answer_size::AnswerSize,
        projection::{
            ListProjection, Projected, WrittenPage, raw_json, response_key, unless_failed,
        },
    },
    records::{
        changes::Feed,
        list::{self, Filter, FilterInput, Listed, Order, Page},
        validation::Checks,
    },
};

/// Resolves a root list of this `kind`. `whole` names the list, for a total that is counted
/// later; `node` wraps a row.
///
/// # Errors
/// `Validation` with every fault of the arguments, or what the database reports.
pub async fn resolve<F, Node>(
    context: &Context<'_>,
    input: Option<F>,
    (kind, order): (ListKind, Order),
    paging: Paging,
    whole: impl FnOnce(Filter) -> List,
    node: impl Fn(Arc<<F::Entity as EntityTrait>::Model>) -> Node,
) -> Result<Connection<Node>>
where
    F: FilterInput + Default,
    Node: OutputType,
{
    let selected = LookAhead::of(context);
    let mut checks = Checks::new("");
    let input = input.unwrap_or_default();
    let filter = checks.within("filter", |checks| input.select(checks));
    let request = paging.request(kind, order, &selected, &mut checks);
    checks.finish()?;
    let data = RequestData::of(context)?;
    let RequestData { store, size, .. } = data;
    let wanted = selected.rows.then_some(&request);
    let price = list::price::<F::Entity>(store, &filter, wanted, selected.total);
    data.price.add(price, data.executed.root_fields > 1).await?;
    let page = if selected.rows {
        if let Some(projection) = ListProjection::compile::<F::Entity>(context, kind, order)
            && let run = projection.run::<F::Entity>(store, size, &filter, &request)
            && let Some(written) = unless_failed(run.await)?
        {
            let filter = filter.up_to::<F::Entity>(written.horizon);
            return Ok(Connection::written(written, whole(filter)));
        }
        list::page_of_models::<F::Entity>(store, &filter, &request).await?
    } else if selected.total {
        Page {
            horizon: list::horizon_of_total(store, &filter).await?,
            ..Page::default()
        }
    } else {
        Page::default()
    };
    let filter = filter.up_to::<F::Entity>(page.horizon);
    Ok(Connection::new::<F::Entity>(
        page,
        order,
        whole(filter),
        node,
    ))
}

/// An edge: a row of a list with its cursor.
type Item<Node> = Edge<Cursor, Node, EmptyFields>;

/// One page of a list (Relay cursor connections specification).
pub struct Connection<Node: OutputType> {
    rows: PageRows<Node>,
    has_previous: bool,
    has_next: bool,
    /// Where to go on, if that is further than the last row.
    end: Option<Cursor>,
    /// How many items the whole list has, if that is known already.
    total: Option<i64>,
    list: List,
}

enum PageRows<Node: OutputType> {
    /// Rows whose fields the resolvers answer one by one.
    Edges(Vec<Item<Node>>),
    /// The selected lists, as a projection wrote them.
    Written {
        lists: HashMap<String, ConstValue>,
        start: Option<Cursor>,
        end: Option<Cursor>,
    },
}

/// A list whose items become JSON text one by one, and count for the size of the answer.
///
/// Its errors keep their full paths. async-graphql's own lists cut a path off at the item, so
/// that the caller cannot tell which field below it failed.
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
        let data = RequestData::of(context).map_err(|error| fail(error, context, field))?;
        let size = &data.size;
        let items = self.0.iter().enumerate().map(async |(index, item)| {
            let context = context.with_index(index);
            // Before the item, because all items are polled once before the task pauses.
            size.pause().await;
            let value = item.resolve(&context, field).await?;
            if data.shape.records_as_values {
                return Ok(value);
            }
            written(&value, size).map_err(|error| fail(error, &context, field))
        });
        Ok(ConstValue::List(try_join_all(items).await?))
    }
}

/// A value as JSON text. What it has of text counted already.
fn written(value: &ConstValue, size: &AnswerSize) -> Result<ConstValue> {
    let mut text = Vec::new();
    let copied = raw_json::write(value, &mut text);
    let copied = copied.map_err(|error| Error::Internal(Arc::new(error)))?;
    size.add(text.len() - copied)?;
    Ok(raw_json::raw(text))
}

/// An error in the place of this field.
fn fail(error: Error, context: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerError {
    let error = async_graphql::Error::from(error).into_server_error(field.pos);
    context.set_error_path(error)
}

/// The list that a connection is a page of.
pub enum List {
    /// The clients that a filter accepts.
    Clients(Filter),
    /// The locations that a filter accepts.
    Locations(Filter),
    /// The locations of one client.
    LocationsOf(i64),
    /// A part of the log of changes.
    Changes(Feed),
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
        page: Page<Arc<E::Model>>,
        order: Order,
        list: List,
        node: impl Fn(Arc<E::Model>) -> Node,
    ) -> Self {
        let place = Place {
            list: Some(list.kind()),
            order,
            until: page.until,
        };
        let edge = |row: Arc<E::Model>| {
            let position = E::position(&row, order.field);
            Edge::new(Cursor::Row(place, position), node(row))
        };
        Self {
            rows: PageRows::Edges(page.rows.into_iter().map(edge).collect()),
            has_previous: page.has_previous,
            has_next: page.has_next,
            end: page.end.map(|position| Cursor::Row(place, position)),
            total: page.total,
            list,
        }
    }

    fn written(page: WrittenPage, list: List) -> Self {
        Self {
            rows: PageRows::Written {
                lists: page.lists,
                start: page.start,
                end: page.end,
            },
            has_previous: page.has_previous,
            has_next: page.has_next,
            end: None,
            total: page.total,
            list,
        }
    }

    /// The list behind the field that is being resolved: as the projection wrote it, or made
    /// from each edge for the resolvers.
    fn items<'a, T>(
        &'a self,
        context: &Context<'_>,
        item: impl Fn(&'a Item<Node>) -> T,
    ) -> Projected<Items<T>> {
        match &self.rows {
            PageRows::Edges(edges) => Projected::Resolve(Items(edges.iter().map(item).collect())),
            PageRows::Written { lists, .. } => {
                let key = response_key(&context.field());
                Projected::Written(lists.get(key).cloned().unwrap_or_default())
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
    async fn edges(&self, context: &Context<'_>) -> Projected<Items<&Item<Node>>> {
        self.items(context, |edge| edge)
    }

    /// The items of this page.
    async fn nodes(&self, context: &Context<'_>) -> Projected<Items<&Node>> {
        self.items(context, |edge| &edge.node)
    }

    /// How to go on from this page.
    async fn page_info(&self) -> PageInfo {
        let (start, end) = match &self.rows {
            PageRows::Edges(edges) => {
                let cursor = |edge: &'_ Item<Node>| edge.cursor.clone();
                (edges.first().map(cursor), edges.last().map(cursor))
            }
            PageRows::Written { start, end, .. } => (start.clone(), end.clone()),
        };
        let end = self.end.clone().or(end);
        page_info([self.has_previous, self.has_next], start, end)
    }

    /// How many items the whole list has. Counted only when it is asked for.
    async fn total_count(&self, context: &Context<'_>) -> Result<i64> {
        if let Some(total) = self.total {
            return Ok(total);
        }
        let data = RequestData::of(context)?;
        match &self.list {
            List::Clients(filter) => list::count::<client::Entity>(&data.store, filter).await,
            List::Locations(filter) => {
                list::count::<client_location::Entity>(&data.store, filter).await
            }
            List::LocationsOf(client_id) => data.loaders().count_locations(*client_id).await,
            List::Changes(feed) => feed.count(&data.store).await,
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
