//! What the workloads need to know of a database, asked of the gateway itself: so it
//! is the same on either engine.

use std::collections::BTreeSet;

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
        let early = "query($id: ID!) { client(id: $id) { createdAt } }";
        let early = gateway.query(early, &json!({ "id": clients / 4 }))?;
        let cursor = "query($id: ID) { clients(filter: {id: $id}) { pageInfo { endCursor } } }";
        let cursor = gateway.query(cursor, &json!({ "id": before_deep_page }))?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            clients,
            names: names_of_about(gateway, namesakes)?,
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

/// Some names that about so many clients have each. Names are not evenly common: of
/// many clients the first ones have none that is rare.
fn names_of_about(gateway: &Address, namesakes: i64) -> Result<Vec<String>> {
    const NAMES: usize = 8;
    const PAGES: usize = 20;
    let page = "query($after: String) { clients(first: 300, after: $after) { \
                nodes { name } pageInfo { endCursor } } }";
    let count = "query($name: String) { clients(filter: {name: $name}) { totalCount } }";
    let mut counted = BTreeSet::new();
    let mut after = Value::Null;
    for _ in 0..PAGES {
        let read = gateway.query(page, &json!({ "after": after }))?;
        let nodes = read["clients"]["nodes"].as_array();
        for client in nodes.context("the gateway has no clients")? {
            let name = client["name"].as_str().unwrap_or_default().to_owned();
            let found = gateway.query(count, &json!({ "name": name }))?;
            let total = found["clients"]["totalCount"].as_i64().unwrap_or_default();
            counted.insert(((total - namesakes).abs(), name));
        }
        after = read["clients"]["pageInfo"]["endCursor"].clone();
        let fitting = counted.iter().filter(|(off, _)| *off <= namesakes / 4);
        if after.is_null() || fitting.count() >= NAMES {
            break;
        }
    }
    let names = counted.into_iter().map(|(_, name)| name);
    Ok(names.take(NAMES).collect())
}
