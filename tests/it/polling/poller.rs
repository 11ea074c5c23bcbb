//! Who writes, and who polls meanwhile.

use std::collections::HashMap;

use axum::{
    Router,
    http::{HeaderName, Method},
};
use clientele::{app::router, clock::Clock, gateway::Gateway, storage::database::Database};
use serde_json::{Value, json};

use super::{CHANGED, CLIENTS, LONG_AGO, UPDATE};
use crate::support::TestApp;

const CREATE: &str = "mutation ($input: CreateClientInput!) {
    createClient(input: $input) { client { id version primaryLocation { id } } } }";
const UPDATE_LOCATION: &str = "mutation ($id: ID!, $input: UpdateClientLocationInput!) {
    updateClientLocation(id: $id, input: $input) { clientLocation {
        client { id version } } } }";
const IN_ORDER: &str = "query ($after: String) {
    clients(first: 50, after: $after, orderBy: { field: UPDATED_AT }) {
        nodes { id version updatedAt } pageInfo { hasNextPage endCursor } } }";

/// Two gateways over one database.
pub struct Gateways<'app> {
    app: &'app TestApp,
    other: Router,
}

impl<'app> Gateways<'app> {
    /// The other one has this clock.
    pub async fn start(app: &'app TestApp, clock: Clock) -> Self {
        let database = Database::connect(&app.database_url, 10, clock).await;
        let settings = app.gateway.settings.clone();
        let other = router(Gateway::new(database.unwrap(), settings));
        Self { app, other }
    }

    fn router(&self, number: usize) -> &Router {
        if number.is_multiple_of(2) {
            &self.app.router
        } else {
            &self.other
        }
    }

    async fn data(&self, number: usize, query: &str, variables: Value) -> Value {
        let call = self.app.call(Method::POST, "/graphql");
        let call = call.json(&json!({ "query": query, "variables": variables }));
        let mut answer = call.send_to(self.router(number)).await.json();
        assert_eq!(answer.get("errors"), None, "{answer:#}");
        answer["data"].take()
    }

    pub async fn list(&self, number: usize, query: &str) -> Vec<Value> {
        let call = self.app.call(Method::GET, &format!("{CLIENTS}?{query}"));
        let answer = call.send_to(self.router(number)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Writes with an `Idempotency-Key`.
    async fn write(&self, number: usize, method: Method, path: &str, key: &str) -> Value {
        let location = json!({ "name": "Main", "state": "CO", "country": "US" });
        let body = if method == Method::POST {
            json!({ "client": { "name": key, "primary_location": location } })
        } else {
            json!({ "client": { "notes": key } })
        };
        let call = self.app.call(method, path).json(&body);
        let call = call.header(HeaderName::from_static("idempotency-key"), key);
        let answer = call.send_to(self.router(number)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()
    }
}

/// The id and the version of a client of either face.
pub fn id_and_version(client: &Value) -> (i64, i64) {
    let id = match &client["id"] {
        Value::String(id) => id.parse().unwrap(),
        id => id.as_i64().unwrap(),
    };
    (id, client["version"].as_i64().unwrap())
}

/// Writes in every way, and returns what was acknowledged.
pub async fn write(gateways: &Gateways<'_>, writer: usize, rounds: usize) -> Vec<(i64, i64)> {
    let mut written = Vec::new();
    let (mut id, mut primary) = (Value::Null, Value::Null);
    for number in 0..rounds {
        let text = format!("{writer}.{number}");
        let turn = writer + number;
        let client = match number % 6 {
            0 => {
                let location = json!({ "name": text, "state": "CO", "country": "US" });
                let input = json!({ "name": text, "primaryLocation": location });
                let mut data = gateways.data(turn, CREATE, json!({ "input": input })).await;
                let client = data["createClient"]["client"].take();
                id = client["id"].clone();
                primary = client["primaryLocation"]["id"].clone();
                client
            }
            1 => gateways.write(turn, Method::POST, CLIENTS, &text).await,
            2 => {
                let path = format!("{CLIENTS}/{}", id.as_str().unwrap());
                gateways.write(turn, Method::PUT, &path, &text).await
            }
            3 => {
                let variables = json!({ "id": primary, "input": { "city": text } });
                let mut data = gateways.data(turn, UPDATE_LOCATION, variables).await;
                data["updateClientLocation"]["clientLocation"]["client"].take()
            }
            4 => {
                let input = json!({ "primaryLocation": { "notes": text } });
                let variables = json!({ "id": id, "input": input });
                let mut data = gateways.data(turn, UPDATE, variables).await;
                data["updateClient"]["client"].take()
            }
            _ => {
                let variables = json!({ "id": id, "input": { "notes": text } });
                let mut data = gateways.data(turn, UPDATE, variables).await;
                data["updateClient"]["client"].take()
            }
        };
        written.push(id_and_version(&client));
    }
    written
}

/// What somebody who polls has seen.
pub struct Seen {
    /// The largest instant.
    instant: String,
    versions: HashMap<i64, i64>,
    cursor: Value,
}

impl Seen {
    pub fn nothing() -> Self {
        Self {
            instant: LONG_AGO.to_owned(),
            versions: HashMap::new(),
            cursor: Value::Null,
        }
    }

    fn add(&mut self, client: &Value, instant: &str) {
        let (id, version) = id_and_version(client);
        let seen = self.versions.entry(id).or_default();
        *seen = version.max(*seen);
        let instant = client[instant].as_str().unwrap();
        if instant > self.instant.as_str() {
            instant.clone_into(&mut self.instant);
        }
    }

    /// One poll by REST, all pages of it.
    pub async fn poll_rest(&mut self, gateways: &Gateways<'_>, instant: &str) {
        const PER_PAGE: usize = 5;
        let bound = instant.replace("_at", "_from");
        let from = self.instant.clone();
        for page in 1.. {
            let query = format!("{bound}={from}&per_page={PER_PAGE}&page={page}");
            let clients = gateways.list(page, &query).await;
            for client in &clients {
                self.add(client, instant);
            }
            if clients.len() < PER_PAGE {
                return;
            }
        }
    }

    /// One poll by GraphQL, all pages of it.
    pub async fn poll_graphql(&mut self, gateways: &Gateways<'_>) {
        let from = self.instant.clone();
        let mut after = Value::Null;
        for page in 0.. {
            let variables = json!({ "from": from, "after": after, "first": 5 });
            let data = gateways.data(page, CHANGED, variables).await;
            let clients = &data["clients"];
            for client in clients["nodes"].as_array().unwrap() {
                self.add(client, "updatedAt");
            }
            if clients["pageInfo"]["hasNextPage"] == false {
                return;
            }
            after = clients["pageInfo"]["endCursor"].clone();
        }
    }

    /// Goes on from the last cursor, to the end.
    pub async fn follow(&mut self, gateways: &Gateways<'_>) {
        for page in 0.. {
            let variables = json!({ "after": self.cursor });
            let data = gateways.data(page, IN_ORDER, variables).await;
            let clients = &data["clients"];
            for client in clients["nodes"].as_array().unwrap() {
                self.add(client, "updatedAt");
                self.cursor = clients["pageInfo"]["endCursor"].clone();
            }
            if clients["pageInfo"]["hasNextPage"] == false {
                return;
            }
        }
    }

    /// What was acknowledged and not seen, as it was or as it became later.
    pub fn missed(&self, written: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let is_missed = |(id, version): &&(i64, i64)| self.versions.get(id) < Some(version);
        written.iter().filter(is_missed).copied().collect()
    }
}
