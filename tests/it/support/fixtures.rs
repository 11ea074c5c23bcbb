//! Records to test with.

use serde_json::{Value, json};

use super::app::TestApp;

const CREATE_CLIENT: &str = "
    mutation ($input: CreateClientInput!) {
      createClient(input: $input) {
        client {
          id name accountCode website emailInvoice notes hasInvoiceReminders showLocationOnInvoice
          salesperson caseManager createdAt updatedAt version
          primaryLocation {
            id clientId isPrimary name emailInvoice address1 address2 address3 city state zip country
            phonePrimary phoneSecondary phoneFax notes createdAt updatedAt version
          }
        }
      }
    }";

const CREATE_LOCATION: &str = "
    mutation ($input: CreateClientLocationInput!) {
      createClientLocation(input: $input) {
        clientLocation {
          id clientId isPrimary name emailInvoice address1 address2 address3 city state zip country
          phonePrimary phoneSecondary phoneFax notes createdAt updatedAt version
        }
      }
    }";

impl TestApp {
    /// Creates a client from what is required, overlaid with `input`, and returns
    /// it with its primary location.
    pub async fn create_client(&self, input: Value) -> Value {
        let mut whole = json!({
            "name": "Acme",
            "primaryLocation": { "name": "Head office", "state": "CO", "country": "US" },
        });
        overlay(&mut whole, input);
        let mut data = self.data(CREATE_CLIENT, json!({ "input": whole })).await;
        data["createClient"]["client"].take()
    }

    /// Creates a location from what is required, overlaid with `input`, which
    /// names the client.
    pub async fn create_location(&self, input: Value) -> Value {
        let mut whole = json!({ "name": "Branch", "state": "UT", "country": "US" });
        overlay(&mut whole, input);
        let mut data = self.data(CREATE_LOCATION, json!({ "input": whole })).await;
        data["createClientLocation"]["clientLocation"].take()
    }
}

/// Replaces members of `base`, inside nested objects too.
fn overlay(base: &mut Value, members: Value) {
    match (base, members) {
        (Value::Object(base), Value::Object(members)) => {
            for (name, value) in members {
                overlay(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, value) => *base = value,
    }
}
