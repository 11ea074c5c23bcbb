//! What the workloads need to know of a database, asked of the gateway itself: so it
//! is the same on either engine.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{server::Address, template::Choices};

/// Facts about a database with demo data.
#[derive(Clone)]
pub struct Facts {
    /// The number of clients; their ids are 1 to this.
    pub clients: u32,
    /// Names of clients.
    pub names: Vec<String>,
    /// An instant that part of the clients were changed after.
    pub updated_from: String,
    /// The id of the client that stands before the deep page.
    pub before_deep_page: u32,
    /// The cursor of that client.
    pub cursor: String,
}

impl Facts {
    /// Asks the gateway. The names are those that about `namesakes` clients have; the
    /// deep page comes after `before_deep_page` clients.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub fn of(
        gateway: &Address,
        clients: u32,
        namesakes: i64,
        before_deep_page: u32,
    ) -> Result<Self> {
        const NAMES: usize = 8;
        let first = gateway.query("{ clients(first: 300) { nodes { name } } }", &json!({}))?;
        let mut names: Vec<_> = first["clients"]["nodes"]
            .as_array()
            .context("the gateway has no clients")?
            .iter()
            .filter_map(|client| client["name"].as_str().map(str::to_owned))
            .collect();
        names.sort_unstable();
        names.dedup();
        let count = "query($name: String) { clients(filter: {name: $name}) { totalCount } }";
        let mut counted = Vec::with_capacity(names.len());
        for name in names {
            let found = gateway.query(count, &json!({ "name": name }))?;
            let total = found["clients"]["totalCount"].as_i64().unwrap_or_default();
            counted.push(((total - namesakes).abs(), name));
        }
        counted.sort();
        counted.truncate(NAMES);

        let early = "query($id: ID!) { client(id: $id) { createdAt } }";
        let early = gateway.query(early, &json!({ "id": clients / 4 }))?;
        let cursor = "query($id: ID) { clients(filter: {id: $id}) { pageInfo { endCursor } } }";
        let cursor = gateway.query(cursor, &json!({ "id": before_deep_page }))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            clients,
            names: counted.into_iter().map(|(_, name)| name).collect(),
            updated_from: text(&early["client"]["createdAt"]).context("a client is missing")?,
            before_deep_page,
            cursor: text(&cursor["clients"]["pageInfo"]["endCursor"])
                .context("a client is missing")?,
        })
    }

    /// The lists and ranges that random values are taken from.
    #[must_use]
    pub fn choices(&self) -> Choices {
        Choices {
            clients: self.clients,
            names: self.names.clone(),
        }
    }
}
