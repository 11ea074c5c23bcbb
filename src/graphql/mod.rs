//! The GraphQL face.

// How large an answer may become.
pub mod answer_size;
// Failures as they are answered.
pub mod error;
// One document, from text to run.
pub mod operation;
// What the lists of an operation cost.
pub mod price;
// Projections: lists and single records, written straight from their columns.
pub mod projection;
// The public schema: types, fields, and their resolvers.
pub mod schema;
// The protocols by which documents come in and answers go out.
pub mod transport;
