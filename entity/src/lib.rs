//! The tables, as SeaORM entities: nothing but columns and relations.
//!
//! Rules live in the root package (`src/records`, `src/auth/tokens.rs`), the schema itself
//! in the `migration` package.

pub mod api_token;
pub mod change;
pub mod change_pruned;
pub mod client;
pub mod client_location;
pub mod idempotency_key;
pub mod poll;
