//! The inputs that create and update clients.

use async_graphql::{ID, InputObject, MaybeUndefined};
use entity::client;
use sea_orm::ActiveValue::Set;

use crate::records::{
    fold::fold,
    locations::{CreatePrimaryLocationInput, UpdateClientLocationInput},
    validation::{self, Checks},
};

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

/// Sets the columns that `fields` gives.
pub(super) fn fill(
    client: &mut client::ActiveModel,
    fields: UpdateClientInput,
    checks: &mut Checks,
) {
    // Every field is named, so that a new one cannot be forgotten.
    let UpdateClientInput {
        id,
        name,
        account_code,
        website,
        email_invoice,
        notes,
        has_invoice_reminders,
        show_location_on_invoice,
        salesperson,
        case_manager,
        primary_location: _,
    } = fields;
    checks.own_id(&id, client.id.try_as_ref());
    checks.set_text("name", &mut client.name, name, validation::name);
    checks.set_optional_text(
        "accountCode",
        &mut client.account_code,
        account_code,
        validation::line,
    );
    checks.set_optional_text("website", &mut client.website, website, validation::website);
    checks.set_optional_text(
        "emailInvoice",
        &mut client.email_invoice,
        email_invoice,
        validation::email,
    );
    checks.set_optional_text("notes", &mut client.notes, notes, validation::notes);
    checks.set(
        "hasInvoiceReminders",
        &mut client.has_invoice_reminders,
        has_invoice_reminders,
    );
    checks.set(
        "showLocationOnInvoice",
        &mut client.show_location_on_invoice,
        show_location_on_invoice,
    );
    checks.set_optional_id("salesperson", &mut client.salesperson, salesperson);
    checks.set_optional_id("caseManager", &mut client.case_manager, case_manager);

    if let Set(name) = &client.name {
        client.name_key.set_if_not_equals(fold(name));
    }
    if let Set(code) = &client.account_code {
        let key = code.as_deref().map(fold);
        client.account_code_key.set_if_not_equals(key);
    }
}
