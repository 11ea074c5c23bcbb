//! The database schema, one file per step. A step that was released is frozen:
//! change the schema by adding a step.

use sea_orm_migration::prelude::*;

pub mod backfill;
mod m20261123_000001_create_clients;
mod m20261123_000002_create_api_tokens;
mod m20261123_000003_create_tallies;
mod m20261123_000004_index_search;
mod m20261123_000005_create_changes;
mod m20261123_000006_create_idempotency_keys;
mod m20261126_000007_number_changes;
mod m20261126_000008_index_runs;
mod m20261130_000009_stamp_changes;
mod m20261130_000010_create_polls;
mod m20261130_000011_describe_tokens;
mod m20261130_000012_state_support;
mod m20261130_000013_open_log;
mod searched;

/// The oldest program that may use the schema of all these steps. Steps only add, so that
/// gateways of two versions run side by side while they are upgraded; what nobody uses any
/// more goes a release later, with a step that changes this.
pub const OLDEST_PROGRAM: &str = "0.1.0";

/// Every step, in the order in which they are applied.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_clients::Migration),
            Box::new(m20261123_000002_create_api_tokens::Migration),
            Box::new(m20261123_000003_create_tallies::Migration),
            Box::new(m20261123_000004_index_search::Migration),
            Box::new(m20261123_000005_create_changes::Migration),
            Box::new(m20261123_000006_create_idempotency_keys::Migration),
            Box::new(m20261126_000007_number_changes::Migration),
            Box::new(m20261126_000008_index_runs::Migration),
            Box::new(m20261130_000009_stamp_changes::Migration),
            Box::new(m20261130_000010_create_polls::Migration),
            Box::new(m20261130_000011_describe_tokens::Migration),
            Box::new(m20261130_000012_state_support::Migration),
            Box::new(m20261130_000013_open_log::Migration),
        ]
    }
}

pub use m20261130_000013_open_log::erased;
pub use sea_orm_migration::{MigratorTrait, SchemaManager};
