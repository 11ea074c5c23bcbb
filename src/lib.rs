//! A GraphQL gateway over clients and their locations, with the REST routes that
//! older integrations know.
//!
//! These are its rooms, from the roof to the ground: each may use those below it, and none
//! above it. A request enters at [`app`], which has every route on one screen; [`auth`] finds
//! out who asks; one of the two faces, [`rest`] or [`graphql`], turns it into an operation,
//! which runs through `graphql/operation/executor.rs` to a resolver in `graphql/schema`, and
//! from there to [`records`], which hold the rules and the SQL. Lists, and records that
//! GraphQL reads by their ids, are written from their columns by `graphql/projection`; what
//! that does not know, the resolvers answer field by field.

#![warn(missing_docs)]

// One file per command. Without a command the gateway serves.
pub mod cli;
// All routes on one screen, with the middleware in the order in which a request
// passes it.
pub mod app;

// The documented REST routes, each a stored GraphQL operation.
pub mod rest;
// The schema, its resolvers, and the one executor that every face uses.
pub mod graphql;
// The page on which people try out the API.
pub mod graphiql;
// Health, metrics, and a log line per request.
pub mod telemetry;

// What every handler shares, whichever face it belongs to.
pub mod gateway;
// What every face shares: bodies and the strict JSON in them, problems, media types, time
// limits, compression, and the listener below it all.
pub mod http;

// What must hold in every database: for the commands `check` and `backup`.
pub mod check;
// Writes that are sent again: the first answer is given again, and nothing is done twice.
pub mod idempotency;
// From an `Authorization` header to a viewer with a scope. Tokens are stored as
// hashes.
pub mod auth;

// The rules for clients, their locations, and the log of changes; their SQL, and lists.
pub mod records;
// Connections, and the two ways to use one: a single statement, which most requests
// are, or a transaction. SQLite has one writer and several readers.
pub mod storage;

// The command line and the environment. One documented struct; nothing else reads
// either.
pub mod config;
// The instants that are stored: UTC, in milliseconds.
pub mod clock;
// Every failure in one enum, with what each face calls it.
pub mod error;
