//! The fault matrix: the program itself, as a process of its own, while it is killed,
//! or while its database is stopped, frozen, cut off, locked or full. What was
//! acknowledged must be there afterwards, every answer must come in time, and nothing
//! may need a restart.
//!
//! `tests/run` runs it, with the PostgreSQL programs that it needs. Each case prints
//! what it counted: `tests/run --test faults -- --nocapture`. With
//! `FAULT_SOAK_MINUTES=10` each case of [`storm`] and of [`retries`] goes on for so long.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

mod away;
mod busy;
mod files;
mod full;
mod retries;
mod stop;
mod storm;
mod synced;
mod together;
mod upgrade;
