//! What the gateway keeps: the rules for clients, their locations, and the log of changes,
//! with their SQL, for people who know no GraphQL.

// The records, and what every write of one leaves in the log, in its own transaction.
pub mod changes;
pub mod clients;
pub mod locations;
// Pages that begin after a position in the order, and how long a list is.
pub mod list;
// The rules for single fields. They gather all faults of an input, not only the first.
pub mod validation;
// Numbers that come as other systems write them: the same on both faces.
pub mod coerce;
// The keys by which texts compare.
pub mod fold;
// Instants as they are written.
pub mod instant;

mod store;

pub use store::Store;
