//! The records of one database, with what a gateway keeps in memory of their lists.

use std::{ops::Deref, sync::Arc};

use entity::{client, client_location};
use sea_orm::ConnectionTrait;
use tokio_util::task::TaskTracker;

use super::list::{Lists, search};
use crate::storage::{
    connections::fault::Redacted,
    database::{Database, StatementCount},
};

/// Where records are read and written. It dereferences to its [`Database`].
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// What the gateway keeps of the lists.
    pub lists: Arc<Lists>,
}

impl Store {
    /// The records in `database`. Merges and samples of its lists run in `tasks`.
    #[must_use]
    pub fn new(database: Database, tasks: TaskTracker) -> Self {
        let engine = database.reader.get_database_backend();
        Self {
            lists: Arc::new(Lists::new(engine, tasks)),
            database,
        }
    }

    /// The same records, for one request of the caller with this token.
    #[must_use]
    pub fn of_request(self, token: i64) -> Self {
        let database = self.database.of_request(token);
        Self { database, ..self }
    }

    /// The same records, which are read by statements that no other request shares.
    #[must_use]
    pub fn unshared(self) -> Self {
        let database = self.database.unshared();
        Self { database, ..self }
    }

    /// The same records; the statements for them are counted.
    #[must_use]
    pub fn counting(&self, count: StatementCount) -> Self {
        Self {
            database: self.database.counting(count),
            lists: Arc::clone(&self.lists),
        }
    }

    /// The same records for the gateway itself, which tidies for all callers.
    #[must_use]
    pub fn of_gateway(&self) -> Self {
        Self {
            database: self.database.of_gateway(),
            lists: Arc::clone(&self.lists),
        }
    }

    /// Takes a new sample of each list, unless there is one.
    pub async fn sample_lists(&self) {
        let samples = &self.lists.samples;
        samples.clients.sample::<client::Entity>(self).await;
        samples
            .locations
            .sample::<client_location::Entity>(self)
            .await;
    }

    /// Has the search indexes forget what was deleted, in the background. In a transaction they
    /// forget it later, with the next erasure.
    pub fn forget_deleted(&self) {
        let store = self.of_gateway();
        if store.reader.is_in_transaction() {
            return;
        }
        self.lists.tasks.spawn(async move {
            let _alone = store.lists.merges.lock().await;
            if let Err(error) = search::forget_deleted(&store).await {
                tracing::warn!(error = %Redacted(&error), "a search index keeps deleted texts");
            }
        });
    }

    /// The same records, as `database` sees them from inside a transaction.
    #[must_use]
    pub fn within(self, database: Database) -> Self {
        Self { database, ..self }
    }
}

impl Deref for Store {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}
