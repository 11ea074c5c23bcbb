//! The records of one database, and what a gateway knows of their lists by itself.

use std::{ops::Deref, sync::Arc};

use sea_orm::ConnectionTrait;
use tokio_util::task::TaskTracker;

use super::list::Lists;
use crate::storage::database::Database;

/// Where records are read and written: a database, which it can be used as.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// What is known of the lists in it.
    pub lists: Arc<Lists>,
}

impl Store {
    /// The records in `database`. What is counted and sampled meanwhile is among `tasks`.
    #[must_use]
    pub fn new(database: Database, tasks: TaskTracker) -> Self {
        let engine = database.reader.get_database_backend();
        Self {
            lists: Arc::new(Lists::new(engine, tasks)),
            database,
        }
    }

    /// The same records, as `database` shows them: in a transaction.
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
