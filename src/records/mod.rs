//! The records: clients, their locations and the log of changes, with their rules and their
//! SQL. Of GraphQL it knows only how inputs are derived.

// The records. Every write of one leaves a row in the log, in its own transaction.
pub mod changes;
pub mod clients;
pub mod locations;
// Keyset pages, and how many rows a list has.
pub mod list;
// The rules for single fields. All faults of an input are collected, not only the first.
pub mod validation;
// Numbers as other systems write them.
pub mod coerce;
// The keys by which texts are compared.
pub mod fold;
// Instants: how they are parsed, cut and written.
pub mod instant;

mod store;

pub use store::Store;
