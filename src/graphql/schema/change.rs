//! The log of changes in the schema.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use entity::change;
use serde_json::{Map, Value as Json};

use super::{
    RequestData,
    client::Client,
    connection::{Connection, List},
    cursor::ListKind,
    location::ClientLocation,
    paging::{LookAhead, Paging},
};
use crate::{
    error::{Error, Result},
    graphql::projection::columns::camel_case,
    records::{
        changes::{self, ChangeFace, ChangeFilter, ChangeKind, Feed},
        instant::DateTime,
        list::{Direction, Order, OrderField, Page, PageRequest},
        validation::Checks,
    },
};

/// A change in an answer.
pub struct ClientChange(pub Arc<change::Model>);

/// What was done to one record: to a client, or to one of its locations. It is kept as it was
/// written, but for the texts of a client that was erased.
#[Object]
impl ClientChange {
    /// The number of the change. It grows: whoever has read all changes up to one of
    /// them never finds another with a smaller number later.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What happened.
    async fn kind(&self) -> ChangeKind {
        self.0.kind.into()
    }

    /// When: the `updatedAt` that it gave the record.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// The name of the user whose token was used.
    async fn by(&self) -> &str {
        &self.0.user_name
    }

    /// By which way it came.
    async fn face(&self) -> ChangeFace {
        self.0.face.into()
    }

    /// The client, as it is now.
    async fn client(&self, context: &Context<'_>) -> Result<Client> {
        let loaders = RequestData::of(context)?.loaders();
        Ok(loaders.client(self.0.client_id).await?.into())
    }

    /// The location, as it is now, if it is one that was created or updated.
    async fn location(&self, context: &Context<'_>) -> Option<Result<ClientLocation>> {
        let id = self.0.location_id?;
        let found = async {
            let loaders = RequestData::of(context)?.loaders();
            Ok(ClientLocation(loaders.location(id).await?))
        };
        Some(found.await)
    }

    /// The fields whose values differ. A new record had none before. After an erasure texts are
    /// null here.
    #[expect(clippy::unused_async, reason = "resolvers are")]
    async fn fields(&self) -> Result<Vec<FieldChange>> {
        field_changes(&self.0)
    }
}

/// A field of the changed record, and its values: texts as they are, numbers and
/// `true` and `false` as JSON has them, null for none.
#[derive(SimpleObject)]
pub struct FieldChange {
    /// The name of the field.
    field: String,
    /// What it was.
    old: Option<String>,
    /// What it became.
    new: Option<String>,
}

fn field_changes(row: &change::Model) -> Result<Vec<FieldChange>> {
    let members = |text: &str| {
        serde_json::from_str::<Map<String, Json>>(text)
            .map_err(|error| Error::Internal(Arc::new(error)))
    };
    let mut old = members(&row.old)?;
    let differing = members(&row.new)?.into_iter().filter_map(|(name, new)| {
        let old = old.remove(&name);
        // What was changed has an old value, even if both are erased.
        let is_shown = old.is_some() || !new.is_null();
        is_shown.then(|| FieldChange {
            field: camel_case(&name),
            old: text_of(old.unwrap_or_default()),
            new: text_of(new),
        })
    });
    Ok(differing.collect())
}

fn text_of(value: Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The paging arguments of a list of changes.
pub(super) struct ChangePaging {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub direction: Option<Direction>,
}

impl ChangePaging {
    fn request(self, kind: ListKind, selected: &LookAhead, checks: &mut Checks) -> PageRequest {
        let order = Order {
            field: OrderField::Id,
            direction: self.direction.unwrap_or_default(),
        };
        let paging = Paging {
            first: self.first,
            after: self.after,
            ..Paging::default()
        };
        paging.request(kind, order, selected, checks)
    }
}

/// Resolves the list of the changes of one client.
///
/// # Errors
/// `Validation` with every fault of the arguments, or what the database reports.
pub(super) async fn history(
    context: &Context<'_>,
    client_id: i64,
    paging: ChangePaging,
) -> Result<Connection<ClientChange>> {
    let selected = LookAhead::by(&context.field(), false);
    let mut checks = Checks::new("");
    let request = paging.request(ListKind::History, &selected, &mut checks);
    checks.finish()?;
    let page = if selected.rows {
        let data = RequestData::of(context)?;
        let page = data.loaders().history(client_id, &request).await?;
        if let Some(start) = &request.after
            && request.order.direction == Direction::Asc
        {
            changes::check_start_of_history(&data.store, start.id).await?;
        }
        page
    } else {
        Page::default()
    };
    Ok(Connection::new::<change::Entity>(
        page,
        request.order,
        List::History(client_id),
        ClientChange,
    ))
}

/// Where the log of changes begins.
#[derive(SimpleObject)]
pub struct LogBeginning {
    /// The number of the last change that was deleted; null if all are there.
    after: Option<ID>,
    /// When that change was made.
    at: Option<DateTime>,
}

/// The root fields that read changes.
#[derive(Default)]
pub struct ChangeQueries;

#[Object]
impl ChangeQueries {
    /// The changes that the filter accepts, oldest first unless told otherwise. A change
    /// shows once no change with a smaller number can follow, mostly at once: see
    /// `ClientChange.id`. To follow the log, keep `endCursor` and send it as `after` next
    /// time, with the same filter; if it is null, keep the cursor that you have. A page with a
    /// filter may have fewer changes than asked for, or none, and `hasNextPage`: it has looked
    /// at 20,000 changes, and the next one goes on. If changes after a cursor were deleted, the
    /// error has the code `POSITION_LOST`. Cursors of a client's history are not for here: a
    /// history shows changes sooner.
    async fn changes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which changes; all of them unless told otherwise.")] filter: Option<
            ChangeFilter,
        >,
        #[graphql(desc = "How many at most: 50 unless told otherwise, up to 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Oldest or newest first.",
            default_with = "Some(Direction::Asc)"
        )]
        direction: Option<Direction>,
    ) -> Result<Connection<ClientChange>> {
        let selected = LookAhead::by(&context.field(), false);
        let paging = ChangePaging {
            first,
            after,
            direction,
        };
        let mut checks = Checks::new("");
        let input = filter.unwrap_or_default();
        let wanted = checks.within("filter", |checks| input.select(checks));
        let request = paging.request(ListKind::Changes, &selected, &mut checks);
        checks.finish()?;
        let data = RequestData::of(context)?;
        let store = &data.store;
        let page = selected.rows.then_some(&request);
        let price = wanted.price(page, selected.total);
        data.price.add(price, data.executed.root_fields > 1).await?;
        let feed = Feed::open(store, wanted).await?;
        let page = if selected.rows {
            feed.page(store, &request).await?
        } else {
            Page::default()
        };
        Ok(Connection::new::<change::Entity>(
            page,
            request.order,
            List::Changes(feed),
            ClientChange,
        ))
    }

    /// Where the log of changes begins: older ones may have been deleted.
    async fn log_beginning(&self, context: &Context<'_>) -> Result<LogBeginning> {
        let store = &RequestData::of(context)?.store;
        let beginning = changes::beginning(&store.reader).await?;
        let has_gone = beginning.at.is_some();
        Ok(LogBeginning {
            after: has_gone.then(|| beginning.up_to.into()),
            at: beginning.at.map(DateTime),
        })
    }
}
