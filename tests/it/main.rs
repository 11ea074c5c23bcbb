//! The integration tests, one binary. `tests/run` runs them, with the PostgreSQL
//! server and the browser that they need.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

mod auth;
mod backup;
mod change_log;
mod check;
mod cli;
mod compression;
mod configuration;
mod cross_origin;
mod database;
mod erasure;
mod fairness;
mod graphiql;
mod graphql;
mod hang_up;
mod health;
mod panics;
mod polling;
mod rest;
mod retention;
mod rooms;
mod row_counts;
mod server;
mod socket;
mod steps;
