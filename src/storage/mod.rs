//! The database behind the records: connections, statements, transactions. It knows no client
//! and no location.

// Fills what steps of the schema have left to be filled.
pub mod backfill;
// A circuit breaker: requests fail at once while the database is away.
pub mod breaker;
pub(crate) mod connect;
pub mod connections;
pub mod database;
pub mod id_lists;
pub mod outage;
// One statement for what several requests ask for at the same time.
pub(crate) mod batcher;
// Deletes old rows in batches.
pub(crate) mod purge;
// Read-only transactions that see one state of a database.
pub mod schema;
pub(crate) mod server;
pub mod snapshot;
pub mod statements;
pub mod transaction;
// Who gets the next connection.
pub mod turns;
