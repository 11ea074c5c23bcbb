//! The database behind the records: connections, statements, transactions. It knows no client
//! and no location.

// Requests fail at once while the database is away.
pub mod breaker;
pub mod connections;
pub mod database;
pub mod outage;
// What several requests ask for at the same time, by one statement.
pub(crate) mod batcher;
// Old rows are deleted, a few at a time.
pub(crate) mod purge;
// One look at a database that changes nothing.
pub mod snapshot;
pub mod statements;
pub mod transaction;
