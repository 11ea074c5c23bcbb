//! What every handler shares, whichever face it belongs to.

use std::{ops::Deref, sync::Arc, time::Duration};

use crate::{
    auth::Authenticator, config::Settings, http::listener::Lifecycle, idempotency::Keys,
    records::Store, storage::database::Database,
};

/// What every handler shares. A request clones it many times, so it counts its
/// references once.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

/// The contents of a [`Gateway`], which all its clones share.
pub struct Shared {
    /// Access to the database, and what is kept about its lists.
    pub store: Store,
    /// Authenticates callers by their tokens.
    pub authenticator: Authenticator,
    /// The idempotency keys: answers to writes that may be sent again.
    pub keys: Keys,
    /// The settings of the faces.
    pub settings: Settings,
    /// Tells when the server stops, and tracks the tasks that it waits for then.
    pub lifecycle: Lifecycle,
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// A gateway over `database`.
    #[must_use]
    pub fn new(database: Database, settings: Settings) -> Self {
        let lifecycle = Lifecycle::default();
        let tasks = lifecycle.tasks.clone();
        let remember_tokens = Duration::from_millis(settings.token_cache_ms);
        Self(Arc::new(Shared {
            authenticator: Authenticator::new(database.clone(), remember_tokens, tasks.clone()),
            keys: Keys::new(database.clone(), tasks.clone()),
            // `tasks`, so that a stop also waits for merges of row counts and for samples.
            store: Store::new(database, tasks),
            settings,
            lifecycle,
        }))
    }
}
