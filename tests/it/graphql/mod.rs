//! The GraphQL face: what SPEC sections 1, 3 and 4 promise of it.

mod access;
mod answer_size;
mod batched_writes;
mod batches;
mod bodies;
mod bounds;
mod changes;
mod create;
mod documents;
mod filters;
mod hostile;
mod http;
mod idempotency;
mod introspection;
mod limits;
mod lists;
mod merging;
mod pages;
mod prices;
mod primary;
mod projection;
mod search;
mod specification;
mod statements;
mod text;
mod update;
mod validation;
mod variables;
mod versions;

use serde_json::{Value, json};

use crate::support::TestApp;

/// Every field of a client.
const WHOLE_CLIENT: &str = "
    fragment client on Client {
      id name accountCode website emailInvoice notes hasInvoiceReminders showLocationOnInvoice
      salesperson caseManager createdAt updatedAt version primaryLocation { ...location }
    }";
/// Every field of a location.
const WHOLE_LOCATION: &str = "
    fragment location on ClientLocation {
      id clientId isPrimary name emailInvoice address1 address2 address3 city state zip country
      phonePrimary phoneSecondary phoneFax notes createdAt updatedAt version
    }";

const CREATE_CLIENT: &str =
    "mutation ($input: CreateClientInput!) { createClient(input: $input) { client { id } } }";
const UPDATE_CLIENT: &str = "
    mutation ($id: ID!, $input: UpdateClientInput!, $version: Int) {
      updateClient(id: $id, input: $input, expectedVersion: $version) { client { id } }
    }";
const CREATE_LOCATION: &str = "
    mutation ($input: CreateClientLocationInput!) {
      createClientLocation(input: $input) { clientLocation { id } }
    }";
const UPDATE_LOCATION: &str = "
    mutation ($id: ID!, $input: UpdateClientLocationInput!, $version: Int) {
      updateClientLocation(id: $id, input: $input, expectedVersion: $version) {
        clientLocation { id }
      }
    }";

impl TestApp {
    /// The client with its primary location, or null.
    async fn client(&self, id: &Value) -> Value {
        let query = format!(
            "query ($id: ID!) {{ client(id: $id) {{ ...client }} }}{WHOLE_CLIENT}{WHOLE_LOCATION}"
        );
        self.data(&query, json!({ "id": id })).await["client"].take()
    }

    /// The client's locations, by id.
    async fn locations_of(&self, id: &Value) -> Vec<Value> {
        let query = format!(
            "query ($id: ID!) {{ client(id: $id) {{ locations(first: 500) {{ \
             nodes {{ ...location }} }} }} }}{WHOLE_LOCATION}"
        );
        let mut data = self.data(&query, json!({ "id": id })).await;
        let nodes = data["client"]["locations"]["nodes"].take();
        serde_json::from_value(nodes).unwrap()
    }

    /// How many clients and how many locations there are.
    async fn counts(&self) -> [i64; 2] {
        let query = "{ clients { totalCount } clientLocations { totalCount } }";
        let data = self.data(query, json!({})).await;
        ["clients", "clientLocations"].map(|list| data[list]["totalCount"].as_i64().unwrap())
    }

    async fn update_client(&self, id: &Value, input: Value) -> Value {
        let variables = json!({ "id": id, "input": input });
        self.data(UPDATE_CLIENT, variables).await;
        self.client(id).await
    }

    async fn update_location(&self, id: &Value, input: Value) {
        let variables = json!({ "id": id, "input": input });
        self.data(UPDATE_LOCATION, variables).await;
    }
}

/// The code of each error in the answer.
fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors
        .iter()
        .map(|error| error["extensions"]["code"].as_str().unwrap_or_default())
        .collect()
}

/// The paths of the faults that the only error of the answer names, in its order.
fn faults(answer: &Value) -> Vec<&str> {
    assert_eq!(codes(answer), ["VALIDATION_FAILED"], "{answer:#}");
    let faults = answer["errors"][0]["extensions"]["fields"].as_array();
    let faults = faults.unwrap_or_else(|| panic!("no fields in {answer:#}"));
    faults
        .iter()
        .map(|fault| fault["path"].as_str().unwrap())
        .collect()
}

/// What a required location has.
fn location() -> Value {
    json!({ "name": "Head office", "state": "CO", "country": "US" })
}

/// `base` with the members of `more` in place of its own.
fn with(mut base: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut base, more) else {
        panic!("both must be objects");
    };
    members.extend(more);
    base
}
