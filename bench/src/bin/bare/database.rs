//! Connections to PostgreSQL, with every statement prepared on each.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls, Statement};

/// A fixed number of connections that take turns. None is ever waited for:
/// tokio-postgres sends the next query while an earlier one is being answered.
pub struct Pool {
    connections: Vec<Connection>,
    next: AtomicUsize,
}

impl Pool {
    /// Opens the connections and prepares the statements.
    ///
    /// # Errors
    /// If the database cannot be reached, or has another schema.
    pub async fn connect(url: &str, connections: usize) -> Result<Self> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections.max(1) {
            opened.push(Connection::open(url).await?);
        }
        Ok(Self {
            connections: opened,
            next: AtomicUsize::new(0),
        })
    }

    /// The connection whose turn it is.
    pub fn get(&self) -> &Connection {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.connections[turn % self.connections.len()]
    }
}

/// A connection and its statements.
pub struct Connection {
    /// Sends queries.
    pub client: Client,
    /// [`sql::CLIENT_BY_ID`]
    pub client_by_id: Statement,
    /// [`sql::NEWEST_CLIENTS`]
    pub newest_clients: Statement,
    /// [`sql::CLIENTS_WITH_LOCATIONS`]
    pub clients_with_locations: Statement,
    /// [`sql::CLIENTS_BY_NAME`]
    pub clients_by_name: Statement,
    /// [`sql::CLIENTS_AFTER`]
    pub clients_after: Statement,
    /// [`sql::CREATE_CLIENT`]
    pub create_client: Statement,
    /// [`sql::UPDATE_CLIENT`]
    pub update_client: Statement,
    /// [`sql::REST_CLIENTS`]
    pub rest_clients: Statement,
    /// [`sql::COUNT_CLIENTS`]
    pub count_clients: Statement,
    /// [`sql::SEARCH_RARE`]
    pub search_rare: Statement,
    /// [`sql::SEARCH_COMMON`]
    pub search_common: Statement,
}

impl Connection {
    async fn open(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .context("cannot reach PostgreSQL")?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("bare: a connection to PostgreSQL ended: {error}");
            }
        });
        Ok(Self {
            client_by_id: client.prepare(sql::CLIENT_BY_ID).await?,
            newest_clients: client.prepare(sql::NEWEST_CLIENTS).await?,
            clients_with_locations: client.prepare(sql::CLIENTS_WITH_LOCATIONS).await?,
            clients_by_name: client.prepare(sql::CLIENTS_BY_NAME).await?,
            clients_after: client.prepare(sql::CLIENTS_AFTER).await?,
            create_client: client.prepare(sql::CREATE_CLIENT).await?,
            update_client: client.prepare(sql::UPDATE_CLIENT).await?,
            rest_clients: client.prepare(sql::REST_CLIENTS).await?,
            count_clients: client.prepare(sql::COUNT_CLIENTS).await?,
            search_rare: client.prepare(sql::SEARCH_RARE).await?,
            search_common: client.prepare(sql::SEARCH_COMMON).await?,
            client,
        })
    }
}
