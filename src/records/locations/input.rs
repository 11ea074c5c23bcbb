//! The inputs that create and update locations.

use async_graphql::{ID, InputObject, MaybeUndefined};
use entity::client_location as location;
use sea_orm::ActiveValue::Set;

use super::PostalCode;
use crate::records::{
    fold::fold,
    validation::{self, Checks},
};

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

/// Every field of a new location is set or cleared.
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

/// Sets the columns that `fields` gives.
pub(super) fn fill(
    location: &mut location::ActiveModel,
    fields: UpdateClientLocationInput,
    checks: &mut Checks,
) {
    // Every field is named, so that a new one cannot be forgotten.
    let UpdateClientLocationInput {
        id,
        is_primary,
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
    } = fields;
    checks.own_id(&id, location.id.try_as_ref());
    if is_primary == MaybeUndefined::Value(false) && location.is_primary.try_as_ref() == Some(&true)
    {
        checks.fault(
            "isPrimary",
            "cannot be false: every client has one primary location. Make another location \
             the primary one instead",
        );
    } else {
        checks.set("isPrimary", &mut location.is_primary, is_primary);
    }
    checks.set_text("name", &mut location.name, name, validation::name);
    checks.set_optional_text(
        "emailInvoice",
        &mut location.email_invoice,
        email_invoice,
        validation::email,
    );
    checks.set_text("state", &mut location.state, state, validation::state);
    checks.set_text(
        "country",
        &mut location.country,
        country,
        validation::country,
    );
    let zip = zip.map_value(|code| code.0);
    for (field, column, value) in [
        ("address1", &mut location.address_1, address1),
        ("address2", &mut location.address_2, address2),
        ("address3", &mut location.address_3, address3),
        ("city", &mut location.city, city),
        ("zip", &mut location.zip, zip),
        ("phonePrimary", &mut location.phone_primary, phone_primary),
        (
            "phoneSecondary",
            &mut location.phone_secondary,
            phone_secondary,
        ),
        ("phoneFax", &mut location.phone_fax, phone_fax),
    ] {
        checks.set_optional_text(field, column, value, validation::line);
    }
    checks.set_optional_text("notes", &mut location.notes, notes, validation::notes);

    if let Set(name) = &location.name {
        location.name_key.set_if_not_equals(fold(name));
    }
}
