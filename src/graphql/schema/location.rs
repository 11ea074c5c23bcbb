//! Client locations in the schema: their shape and their resolvers.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::client_location as location;

use super::{
    RequestData,
    client::Client,
    connection::{self, Connection, List},
    cursor::ListKind,
    paging::Paging,
};
use crate::{
    error::Result,
    graphql::projection::{Projected, RecordProjection, columns::LOCATION, unless_failed},
    records::{
        instant::DateTime,
        list::{Direction, Order, OrderField},
        locations::{
            self, ClientLocationFilter, CreateClientLocationInput, UpdateClientLocationInput,
        },
        validation,
    },
};

/// A location in an answer.
pub struct ClientLocation(pub Arc<location::Model>);

/// A branch of a client.
#[Object]
impl ClientLocation {
    /// The number of the location, given by the database and never reused.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The number of the client that the location belongs to.
    async fn client_id(&self) -> ID {
        self.0.client_id.into()
    }

    /// The client that the location belongs to.
    async fn client(&self, context: &Context<'_>) -> Result<Client> {
        let loaders = RequestData::of(context)?.loaders();
        Ok(loaders.client(self.0.client_id).await?.into())
    }

    /// Whether this is the main location of its client. Each has exactly one.
    async fn is_primary(&self) -> bool {
        self.0.is_primary
    }

    /// The name of this location or branch office.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The e-mail address for delivering invoices and related communications.
    async fn email_invoice(&self) -> Option<&str> {
        self.0.email_invoice.as_deref()
    }

    /// Line one of the street address.
    async fn address1(&self) -> Option<&str> {
        self.0.address_1.as_deref()
    }

    /// Line two of the street address.
    async fn address2(&self) -> Option<&str> {
        self.0.address_2.as_deref()
    }

    /// Line three of the street address.
    async fn address3(&self) -> Option<&str> {
        self.0.address_3.as_deref()
    }

    /// City of the street address.
    async fn city(&self) -> Option<&str> {
        self.0.city.as_deref()
    }

    /// State or province code of 2 characters, in upper case.
    async fn state(&self) -> &str {
        &self.0.state
    }

    /// Postal code of the street address.
    async fn zip(&self) -> Option<&str> {
        self.0.zip.as_deref()
    }

    /// ISO 3166-1 alpha-2 country code, in upper case.
    async fn country(&self) -> &str {
        &self.0.country
    }

    /// The primary phone number of the location.
    async fn phone_primary(&self) -> Option<&str> {
        self.0.phone_primary.as_deref()
    }

    /// The secondary phone number of the location.
    async fn phone_secondary(&self) -> Option<&str> {
        self.0.phone_secondary.as_deref()
    }

    /// The fax number of the location.
    async fn phone_fax(&self) -> Option<&str> {
        self.0.phone_fax.as_deref()
    }

    /// General notes regarding this location.
    async fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }

    /// When the location was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When the location was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Starts at 1 and grows by 1 with every change. An update that names it notices
    /// when somebody else was faster.
    async fn version(&self) -> i32 {
        self.0.version
    }
}

/// How to sort client locations. Ties are broken by the id.
#[derive(InputObject, Clone, Copy)]
pub struct ClientLocationOrder {
    /// What to sort by.
    #[graphql(default_with = "Some(OrderField::Id)")]
    pub field: Option<OrderField>,
    /// Up or down.
    #[graphql(default_with = "Some(Direction::Asc)")]
    pub direction: Option<Direction>,
}

impl From<ClientLocationOrder> for Order {
    fn from(order: ClientLocationOrder) -> Self {
        Self {
            field: order.field.unwrap_or_default(),
            direction: order.direction.unwrap_or_default(),
        }
    }
}

/// The answer to `createClientLocation`.
#[derive(SimpleObject)]
pub struct CreateClientLocationPayload {
    /// The new location.
    client_location: ClientLocation,
}

/// The answer to `updateClientLocation`.
#[derive(SimpleObject)]
pub struct UpdateClientLocationPayload {
    /// The location as it is now.
    client_location: ClientLocation,
}

/// The root fields that read locations.
#[derive(Default)]
pub struct LocationQueries;

#[Object]
impl LocationQueries {
    /// One location; null if there is none with this id.
    async fn client_location(
        &self,
        context: &Context<'_>,
        id: ID,
    ) -> Option<Result<Projected<ClientLocation>>> {
        let found = async {
            let id = validation::argument_id(&id)?;
            let data = RequestData::of(context)?;
            let db = &data.store.reader;
            if let Some(projection) = RecordProjection::of(context, &LOCATION)
                && let Some(written) = unless_failed(projection.run(db, &data.size, id).await)?
            {
                return Ok(written.map(Projected::Written));
            }
            let found = locations::find(db, id).await?;
            Ok(found.map(|row| Projected::Resolve(ClientLocation(Arc::new(row)))))
        };
        found.await.transpose()
    }

    /// The locations that the filter accepts, of all clients.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection")]
    async fn client_locations(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which locations; all of them unless told otherwise.")] filter: Option<
            ClientLocationFilter,
        >,
        #[graphql(desc = "Sorted how; by id unless told otherwise.")] order_by: Option<
            ClientLocationOrder,
        >,
        #[graphql(desc = "How many at most: 50 unless told otherwise, up to 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many at most, from the end of the list.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<ClientLocation>> {
        let order = order_by.map(Order::from).unwrap_or_default();
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        connection::resolve(
            context,
            filter,
            (ListKind::Locations, order),
            paging,
            List::Locations,
            ClientLocation,
        )
        .await
    }
}

/// The mutations of locations.
#[derive(Default)]
pub struct LocationMutations;

#[Object]
impl LocationMutations {
    /// Creates a location of a client.
    async fn create_client_location(
        &self,
        context: &Context<'_>,
        input: CreateClientLocationInput,
    ) -> Result<CreateClientLocationPayload> {
        let data = RequestData::of(context)?;
        let location = locations::create(&data.store, &data.author(), input, data.checks()).await?;
        Ok(CreateClientLocationPayload {
            client_location: ClientLocation(Arc::new(location)),
        })
    }

    /// Changes the fields of a location that the input gives.
    async fn update_client_location(
        &self,
        context: &Context<'_>,
        id: ID,
        input: UpdateClientLocationInput,
        #[graphql(desc = "Refuse with CONFLICT unless the location is at this version.")]
        expected_version: Option<i32>,
    ) -> Result<UpdateClientLocationPayload> {
        let data = RequestData::of(context)?;
        let id = validation::argument_id(&id)?;
        let location = locations::update(
            &data.store,
            &data.author(),
            id,
            input,
            expected_version,
            data.checks(),
        )
        .await?;
        Ok(UpdateClientLocationPayload {
            client_location: ClientLocation(Arc::new(location)),
        })
    }
}
