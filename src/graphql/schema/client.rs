//! Clients in the schema: their shape and their resolvers.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::{client, client_location};

use super::{
    RequestData,
    change::{self, ChangePaging, ClientChange},
    connection::{self, Connection, List},
    cursor::{ListKind, UNKNOWN_CURSOR},
    location::ClientLocation,
    paging::{LookAhead, Paging},
};
use crate::{
    error::Result,
    graphql::projection::{Projected, RecordProjection, columns::CLIENT, unless_failed},
    idempotency,
    records::{
        clients::{self, ClientFilter, ClientUpdate, CreateClientInput, UpdateClientInput},
        instant::DateTime,
        list::{Direction, Order, OrderField, Page},
        validation::{self, Checks},
    },
};

/// A client in an answer.
pub struct Client {
    /// The client itself.
    pub row: Arc<client::Model>,
    /// Its primary location as it was at the same moment, if it was read along with the client.
    pub primary: Option<Arc<client_location::Model>>,
}

impl From<Arc<client::Model>> for Client {
    fn from(row: Arc<client::Model>) -> Self {
        Self { row, primary: None }
    }
}

impl Client {
    fn with_primary(row: client::Model, primary: Option<client_location::Model>) -> Self {
        Self {
            row: Arc::new(row),
            primary: primary.map(Arc::new),
        }
    }
}

/// A top-level organisation. Addresses and phone numbers are those of its
/// locations.
#[Object]
impl Client {
    /// The number of the client, given by the database and never reused.
    async fn id(&self) -> ID {
        self.row.id.into()
    }

    /// The name of the client.
    async fn name(&self) -> &str {
        &self.row.name
    }

    /// An internal client ID or other reference number.
    async fn account_code(&self) -> Option<&str> {
        self.row.account_code.as_deref()
    }

    /// The URL of the client's website.
    async fn website(&self) -> Option<&str> {
        self.row.website.as_deref()
    }

    /// The e-mail address for all client-related billing communication.
    async fn email_invoice(&self) -> Option<&str> {
        self.row.email_invoice.as_deref()
    }

    /// General notes regarding the client.
    async fn notes(&self) -> Option<&str> {
        self.row.notes.as_deref()
    }

    /// Whether the client receives overdue invoice reminders.
    async fn has_invoice_reminders(&self) -> bool {
        self.row.has_invoice_reminders
    }

    /// Whether invoices for this client show the name of the location.
    async fn show_location_on_invoice(&self) -> bool {
        self.row.show_location_on_invoice
    }

    /// The id of the default salesperson, who is kept in another system.
    async fn salesperson(&self) -> Option<ID> {
        self.row.salesperson.map(ID::from)
    }

    /// The id of the default case manager, who is kept in another system.
    async fn case_manager(&self) -> Option<ID> {
        self.row.case_manager.map(ID::from)
    }

    /// When the client was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// When the client was last changed; its primary location counts.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }

    /// Starts at 1 and grows by 1 with every change; its primary location counts. An
    /// update that names it notices when somebody else was faster.
    async fn version(&self) -> i32 {
        self.row.version
    }

    /// The main location. Every client has exactly one.
    async fn primary_location(&self, context: &Context<'_>) -> Result<ClientLocation> {
        if let Some(location) = &self.primary {
            return Ok(ClientLocation(Arc::clone(location)));
        }
        let loaders = RequestData::of(context)?.loaders();
        Ok(ClientLocation(loaders.primary_location(self.row.id).await?))
    }

    /// All locations of the client, by id.
    async fn locations(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many at most: 50 unless told otherwise, up to 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
    ) -> Result<Connection<ClientLocation>> {
        let selected = LookAhead::of(context);
        let mut checks = Checks::new("");
        let paging = Paging {
            first,
            after,
            ..Paging::default()
        };
        let request = paging.request(ListKind::OfClient, Order::default(), &selected, &mut checks);
        if request.offset > 0 {
            // The batch loader pages by cursors only.
            checks.fault("after", UNKNOWN_CURSOR);
        }
        checks.finish()?;
        let page = if selected.rows {
            let loaders = RequestData::of(context)?.loaders();
            loaders.locations(self.row.id, &request).await?
        } else {
            Page::default()
        };
        let list = List::LocationsOf(self.row.id);
        Ok(Connection::new::<client_location::Entity>(
            page,
            request.order,
            list,
            ClientLocation,
        ))
    }

    /// What was changed of the client and of its locations, oldest first unless told
    /// otherwise.
    async fn history(
        &self,
        context: &Context<'_>,
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
        let paging = ChangePaging {
            first,
            after,
            direction,
        };
        change::history(context, self.row.id, paging).await
    }
}

/// The field whose record is read along with the client if the query selects it.
const PRIMARY_LOCATION: &str = "primaryLocation";

/// How to sort clients. Ties are broken by the id.
#[derive(InputObject, Clone, Copy)]
pub struct ClientOrder {
    /// What to sort by.
    #[graphql(default_with = "Some(OrderField::Id)")]
    pub field: Option<OrderField>,
    /// Up or down.
    #[graphql(default_with = "Some(Direction::Asc)")]
    pub direction: Option<Direction>,
}

impl From<ClientOrder> for Order {
    fn from(order: ClientOrder) -> Self {
        Self {
            field: order.field.unwrap_or_default(),
            direction: order.direction.unwrap_or_default(),
        }
    }
}

/// The answer to `createClient`.
#[derive(SimpleObject)]
pub struct CreateClientPayload {
    /// The new client.
    client: Client,
}

/// The answer to `updateClient`.
#[derive(SimpleObject)]
pub struct UpdateClientPayload {
    /// The client as it is now.
    client: Client,
}

/// The answer to `eraseClient`.
#[derive(SimpleObject)]
pub struct EraseClientPayload {
    /// The client as it is now.
    client: Client,
}

/// The root fields that read clients.
#[derive(Default)]
pub struct ClientQueries;

#[Object]
impl ClientQueries {
    /// One client; null if there is none with this id.
    async fn client(&self, context: &Context<'_>, id: ID) -> Option<Result<Projected<Client>>> {
        let with_primary = context.look_ahead().field(PRIMARY_LOCATION).exists();
        let found = async {
            let id = validation::argument_id(&id)?;
            let data = RequestData::of(context)?;
            let db = &data.store.reader;
            if let Some(projection) = RecordProjection::of(context, &CLIENT)
                && let Some(written) = unless_failed(projection.run(db, &data.size, id).await)?
            {
                return Ok(written.map(Projected::Written));
            }
            let found = if with_primary {
                let found = clients::find_with_primary(db, id).await?;
                found.map(|(row, primary)| Client::with_primary(row, primary))
            } else {
                clients::find(db, id)
                    .await?
                    .map(|row| Client::with_primary(row, None))
            };
            Ok(found.map(Projected::Resolve))
        };
        found.await.transpose()
    }

    /// The clients that the filter accepts.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn clients(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which clients; all of them unless told otherwise.")] filter: Option<
            ClientFilter,
        >,
        #[graphql(desc = "Sorted how; by id unless told otherwise.")] order_by: Option<ClientOrder>,
        #[graphql(desc = "How many at most: 50 unless told otherwise, up to 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many at most, from the end of the list.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Client>> {
        let order = order_by.map(Order::from).unwrap_or_default();
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let order = (ListKind::Clients, order);
        connection::resolve(context, filter, order, paging, List::Clients, Client::from).await
    }
}

/// The mutations of clients.
#[derive(Default)]
pub struct ClientMutations;

#[Object]
impl ClientMutations {
    /// Creates a client with its primary location.
    async fn create_client(
        &self,
        context: &Context<'_>,
        input: CreateClientInput,
    ) -> Result<CreateClientPayload> {
        let data = RequestData::of(context)?;
        let (row, primary) =
            clients::create(&data.store, &data.author(), input, data.checks()).await?;
        Ok(CreateClientPayload {
            client: Client::with_primary(row, Some(primary)),
        })
    }

    /// Changes the fields of a client that the input gives.
    async fn update_client(
        &self,
        context: &Context<'_>,
        id: ID,
        input: UpdateClientInput,
        #[graphql(desc = "Refuse with CONFLICT unless the client is at this version.")]
        expected_version: Option<i32>,
    ) -> Result<UpdateClientPayload> {
        let data = RequestData::of(context)?;
        let id = validation::argument_id(&id)?;
        let client = context.look_ahead().field("client");
        let with_primary = client.field(PRIMARY_LOCATION).exists();
        let change = ClientUpdate {
            id,
            input,
            expected_version,
            with_primary,
        };
        let (row, primary) =
            clients::update(&data.store, &data.author(), change, data.checks()).await?;
        Ok(UpdateClientPayload {
            client: Client::with_primary(row, primary),
        })
    }

    /// Erases a client for good: all its texts, those of its locations and those in their
    /// history. Names become empty; ids, numbers, flags, instants and who did what stay. Needs
    /// a token with the scope `admin`.
    async fn erase_client(&self, context: &Context<'_>, id: ID) -> Result<EraseClientPayload> {
        let data = RequestData::of(context)?;
        data.require_admin()?;
        let id = validation::argument_id(&id)?;
        let transaction = data.store.begin_alone(id).await?;
        let erased =
            idempotency::erase_client(&data.store, transaction, &data.author(), id).await?;
        data.store.forget_deleted();
        Ok(EraseClientPayload {
            client: Client::with_primary(erased.client, None),
        })
    }
}
