//! Client locations in the schema: their shape, their inputs, their resolvers.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use entity::client_location as location;

use super::{
    RequestData,
    client::Client,
    connection::{self, Connection, List, Paging},
    cursor::ListKind,
    scalar::PostalCode,
};
use crate::graphql::projection::{Planned, RecordPlan, columns::LOCATION, unless_failed};
use crate::{
    error::Result,
    records::{
        instant::DateTime,
        list::{Direction, Order, OrderField},
        locations, validation,
    },
};

/// A location in an answer.
pub struct ClientLocation(pub location::Model);

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

/// Which locations to list. All the conditions given must hold; one that is left
/// out or null does not restrict anything.
#[derive(InputObject, Clone, Default)]
pub struct ClientLocationFilter {
    /// The location with this id.
    pub id: Option<ID>,
    /// Locations of exactly this name, ignoring case.
    pub name: Option<String>,
    /// Locations of this client.
    pub client_id: Option<ID>,
    /// Locations of the clients of this salesperson.
    pub salesperson: Option<ID>,
    /// Locations in this country: an ISO 3166-1 alpha-2 code, ignoring case.
    pub country: Option<String>,
    /// Locations in this state or province, ignoring case.
    pub state: Option<String>,
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
    /// Locations whose name contains this text, ignoring case.
    pub search: Option<String>,
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

/// The primary location of a new client.
#[derive(InputObject)]
pub struct CreatePrimaryLocationInput {
    /// May be sent along; it cannot be false.
    #[graphql(default_with = "Some(true)")]
    pub is_primary: Option<bool>,
    /// What every new location has.
    #[graphql(flatten)]
    pub location: NewLocation,
}

/// What every new location has.
#[derive(InputObject)]
pub struct NewLocation {
    /// The name of this location or branch office: 1 to 255 characters.
    pub name: String,
    /// The e-mail address for delivering invoices and related communications.
    pub email_invoice: Option<String>,
    /// Line one of the street address.
    pub address1: Option<String>,
    /// Line two of the street address.
    pub address2: Option<String>,
    /// Line three of the street address.
    pub address3: Option<String>,
    /// City of the street address.
    pub city: Option<String>,
    /// State or province code of 2 characters.
    pub state: String,
    /// Postal code of the street address.
    pub zip: Option<PostalCode>,
    /// ISO 3166-1 alpha-2 country code.
    pub country: String,
    /// The primary phone number of the location.
    pub phone_primary: Option<String>,
    /// The secondary phone number of the location.
    pub phone_secondary: Option<String>,
    /// The fax number of the location.
    pub phone_fax: Option<String>,
    /// General notes regarding this location.
    pub notes: Option<String>,
}

/// A new location of a client.
#[derive(InputObject)]
pub struct CreateClientLocationInput {
    /// The id of the client that the location belongs to.
    pub client_id: ID,
    /// Whether it becomes the main location, in place of the present one.
    #[graphql(default_with = "Some(false)")]
    pub is_primary: Option<bool>,
    /// What every new location has.
    #[graphql(flatten)]
    pub location: NewLocation,
}

/// Changes to a location. A field that is left out stays as it is; null clears it.
#[derive(InputObject, Clone)]
pub struct UpdateClientLocationInput {
    /// May be sent along as it was read; it must be the id of this location.
    pub id: MaybeUndefined<ID>,
    /// True makes this the main location, in place of the present one.
    pub is_primary: MaybeUndefined<bool>,
    /// The name of this location or branch office: 1 to 255 characters.
    pub name: MaybeUndefined<String>,
    /// The e-mail address for delivering invoices and related communications.
    pub email_invoice: MaybeUndefined<String>,
    /// Line one of the street address.
    pub address1: MaybeUndefined<String>,
    /// Line two of the street address.
    pub address2: MaybeUndefined<String>,
    /// Line three of the street address.
    pub address3: MaybeUndefined<String>,
    /// City of the street address.
    pub city: MaybeUndefined<String>,
    /// State or province code of 2 characters.
    pub state: MaybeUndefined<String>,
    /// Postal code of the street address.
    pub zip: MaybeUndefined<PostalCode>,
    /// ISO 3166-1 alpha-2 country code.
    pub country: MaybeUndefined<String>,
    /// The primary phone number of the location.
    pub phone_primary: MaybeUndefined<String>,
    /// The secondary phone number of the location.
    pub phone_secondary: MaybeUndefined<String>,
    /// The fax number of the location.
    pub phone_fax: MaybeUndefined<String>,
    /// General notes regarding this location.
    pub notes: MaybeUndefined<String>,
}

/// A new record is one in which every field is set or cleared.
impl From<NewLocation> for UpdateClientLocationInput {
    fn from(input: NewLocation) -> Self {
        let NewLocation {
            name,
            email_invoice,
            address1,
            address2,
            address3,
            city,
            state,
            zip,
            country,
            phone_primary,
            phone_secondary,
            phone_fax,
            notes,
        } = input;
        Self {
            id: MaybeUndefined::Undefined,
            is_primary: MaybeUndefined::Undefined,
            name: MaybeUndefined::Value(name),
            email_invoice: Some(email_invoice).into(),
            address1: Some(address1).into(),
            address2: Some(address2).into(),
            address3: Some(address3).into(),
            city: Some(city).into(),
            state: MaybeUndefined::Value(state),
            zip: Some(zip).into(),
            country: MaybeUndefined::Value(country),
            phone_primary: Some(phone_primary).into(),
            phone_secondary: Some(phone_secondary).into(),
            phone_fax: Some(phone_fax).into(),
            notes: Some(notes).into(),
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
    ) -> Option<Result<Planned<ClientLocation>>> {
        let found = async {
            let id = validation::argument_id(&id)?;
            let db = &RequestData::of(context)?.database.reader;
            if let Some(plan) = RecordPlan::of(context, &LOCATION)
                && let Some(written) = unless_failed(plan.run(db, id).await)?
            {
                return Ok(written.map(Planned::Written));
            }
            let found = locations::find(db, id).await?;
            Ok(found.map(ClientLocation).map(Planned::Resolve))
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
        let location =
            locations::create(&data.database, &data.author(), input, data.checks()).await?;
        Ok(CreateClientLocationPayload {
            client_location: ClientLocation(location),
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
            &data.database,
            &data.author(),
            id,
            input,
            expected_version,
            data.checks(),
        )
        .await?;
        Ok(UpdateClientLocationPayload {
            client_location: ClientLocation(location),
        })
    }
}
