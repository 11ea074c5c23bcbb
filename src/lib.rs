//! A GraphQL gateway over clients and their locations, with the REST routes that
//! older integrations know.

// The keys by which texts compare.
pub mod fold;
// The instants that are stored: UTC, in milliseconds.
pub mod clock;
