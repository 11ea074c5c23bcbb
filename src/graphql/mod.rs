//! The GraphQL face.

// Failures as they are answered.
pub mod error;
// One document, from text to run.
pub mod operation;
// Lists and single records, written straight from their columns.
pub mod projection;
// What people see: types, fields, and their resolvers.
pub mod schema;
// How documents come in and answers go out.
pub mod transport;
