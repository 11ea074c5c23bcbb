//! Clients in the schema: their shape, their inputs, their resolvers.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use entity::{client, client_location};

use super::{
    RequestData,
    change::{self, ChangePaging, ClientChange},
    connection::{self, Connection, List, Paging, Selected},
    cursor::{ListKind, UNKNOWN_CURSOR},
    location::{ClientLocation, CreatePrimaryLocationInput, UpdateClientLocationInput},
};
use crate::graphql::projection::{Planned, RecordPlan, columns::CLIENT, unless_failed};
use crate::{
    error::Result,
    records::{
        clients::{self, ClientUpdate},
        instant::DateTime,
        list::{Direction, Order, OrderField, Page},
        validation::{self, Checks},
    },
};

/// A client in an answer.
pub struct Client {
    /// The client itself.
    pub row: client::Model,
    /// Its primary location, if it was read along with the client: as it was at the
    /// same moment.
    pub primary: Option<client_location::Model>,
}

impl From<client::Model> for Client {
    fn from(row: client::Model) -> Self {
        Self { row, primary: None }
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
            return Ok(ClientLocation(location.clone()));
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
        let selected = Selected::of(context);
        let mut checks = Checks::new("");
        let paging = Paging {
            first,
            after,
            ..Paging::default()
        };
        let request = paging.request(ListKind::OfClient, Order::default(), &selected, &mut checks);
        if request.offset > 0 {
            // The loader knows no offsets.
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

/// The field that is read along with its client when it is selected.
const PRIMARY_LOCATION: &str = "primaryLocation";

/// Which clients to list. All the conditions given must hold; one that is left out
/// or null does not restrict anything.
#[derive(InputObject, Clone, Default)]
pub struct ClientFilter {
    /// The client with this id.
    pub id: Option<ID>,
    /// Clients of exactly this name, ignoring case.
    pub name: Option<String>,
    /// Clients with exactly this account code, ignoring case.
    pub account_code: Option<String>,
    /// Clients of this salesperson.
    pub salesperson: Option<ID>,
    /// Clients of this case manager.
    pub case_manager: Option<ID>,
    /// Created at this instant or later. Who asks again and again with the largest
    /// `createdAt` that was seen misses nothing if all pages are read in turn: in GraphQL
    /// while `hasNextPage` says so, in REST until one is short. The list shows what was
    /// created once nothing earlier can follow: at once when nobody is writing, otherwise
    /// when the longest write under way has ended, after 7 seconds at most (10 if its
    /// gateway died). To follow its changes, too, give `updatedFrom` as well.
    pub created_from: Option<DateTime>,
    /// Created at this instant or earlier.
    pub created_to: Option<DateTime>,
    /// Last changed at this instant or later. Who asks again and again with the largest
    /// `updatedAt` that was seen misses nothing if all pages are read in turn: in GraphQL
    /// while `hasNextPage` says so, in REST until one is short. The list shows a change
    /// once no earlier one can follow: at once when nobody is writing, otherwise when the
    /// longest write under way has ended, after 7 seconds at most (10 if its gateway
    /// died). A record that is asked for by its id shows it always at once.
    pub updated_from: Option<DateTime>,
    /// Last changed at this instant or earlier.
    pub updated_to: Option<DateTime>,
    /// Clients whose name or account code contains this text, ignoring case.
    pub search: Option<String>,
}

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

/// A new client with its primary location.
#[derive(InputObject)]
pub struct CreateClientInput {
    /// The name of the client: 1 to 255 characters.
    pub name: String,
    /// An internal client ID or other reference number.
    pub account_code: Option<String>,
    /// The fully qualified URL of the client's website.
    pub website: Option<String>,
    /// The e-mail address for all client-related billing communication.
    pub email_invoice: Option<String>,
    /// General notes regarding the client.
    pub notes: Option<String>,
    /// Whether the client receives overdue invoice reminders.
    #[graphql(default_with = "Some(false)")]
    pub has_invoice_reminders: Option<bool>,
    /// Whether invoices for this client show the name of the location.
    #[graphql(default_with = "Some(false)")]
    pub show_location_on_invoice: Option<bool>,
    /// The id of the default salesperson, who is kept in another system.
    pub salesperson: Option<ID>,
    /// The id of the default case manager, who is kept in another system.
    pub case_manager: Option<ID>,
    /// The main location of the client.
    pub primary_location: CreatePrimaryLocationInput,
}

/// Changes to a client. A field that is left out stays as it is; null clears it.
#[derive(InputObject, Clone)]
pub struct UpdateClientInput {
    /// May be sent along as it was read; it must be the id of this client.
    pub id: MaybeUndefined<ID>,
    /// The name of the client: 1 to 255 characters.
    pub name: MaybeUndefined<String>,
    /// An internal client ID or other reference number.
    pub account_code: MaybeUndefined<String>,
    /// The fully qualified URL of the client's website.
    pub website: MaybeUndefined<String>,
    /// The e-mail address for all client-related billing communication.
    pub email_invoice: MaybeUndefined<String>,
    /// General notes regarding the client.
    pub notes: MaybeUndefined<String>,
    /// Whether the client receives overdue invoice reminders.
    pub has_invoice_reminders: MaybeUndefined<bool>,
    /// Whether invoices for this client show the name of the location.
    pub show_location_on_invoice: MaybeUndefined<bool>,
    /// The id of the default salesperson, who is kept in another system.
    pub salesperson: MaybeUndefined<ID>,
    /// The id of the default case manager, who is kept in another system.
    pub case_manager: MaybeUndefined<ID>,
    /// Changes to the primary location, in the same transaction.
    pub primary_location: MaybeUndefined<UpdateClientLocationInput>,
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

/// The root fields that read clients.
#[derive(Default)]
pub struct ClientQueries;

#[Object]
impl ClientQueries {
    /// One client; null if there is none with this id.
    async fn client(&self, context: &Context<'_>, id: ID) -> Option<Result<Planned<Client>>> {
        let with_primary = context.look_ahead().field(PRIMARY_LOCATION).exists();
        let found = async {
            let id = validation::argument_id(&id)?;
            let db = &RequestData::of(context)?.database.reader;
            if let Some(plan) = RecordPlan::of(context, &CLIENT)
                && let Some(written) = unless_failed(plan.run(db, id).await)?
            {
                return Ok(written.map(Planned::Written));
            }
            let found = if with_primary {
                let found = clients::find_with_primary(db, id).await?;
                found.map(|(row, primary)| Client { row, primary })
            } else {
                clients::find(db, id).await?.map(Client::from)
            };
            Ok(found.map(Planned::Resolve))
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
            clients::create(&data.database, &data.author(), input, data.checks()).await?;
        let primary = Some(primary);
        Ok(CreateClientPayload {
            client: Client { row, primary },
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
            clients::update(&data.database, &data.author(), change, data.checks()).await?;
        Ok(UpdateClientPayload {
            client: Client { row, primary },
        })
    }
}
