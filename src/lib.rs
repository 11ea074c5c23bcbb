//! A GraphQL gateway over clients and their locations, with the REST routes that
//! older integrations know.
//!
//! How to read it: a request enters at [`http`], [`auth`] finds out who asks, and
//! one of the two faces, [`graphql`] or [`rest`], turns it into an operation. The
//! operation goes through `graphql/executor.rs` to a resolver, and the resolver to
//! [`clients`] or [`locations`], which hold the rules and the SQL. What makes it fast,
//! and how fast, is in `docs/performance.md`.

#![warn(missing_docs)]

// The command line and the environment. One documented struct; nothing else reads
// either.
pub mod config;
// One file per command. Without a command the gateway serves.
pub mod cli;

// All routes on one screen, with the middleware in the order in which a request
// passes it.
pub mod http;
// The listener below it: time limits for slow clients, and a stop that drops no
// request.
pub mod server;
// Request bodies, read with a size and a time limit, and the strict JSON in them.
mod body;
mod json;
// Numbers that come as other systems write them, and names that were misspelt: the same
// on both faces.
pub mod coerce;
pub mod suggest;
// Media types and query strings, as callers write them.
mod media_type;
mod query_string;
// No request stays without an answer for long.
mod limit;
// Answers, compressed where it pays. What must not be is listed there.
mod compression;
// From an `Authorization` header to a viewer with a scope. Tokens are stored as
// hashes.
pub mod auth;
pub mod tokens;

// Writes that are sent again: the first answer is given again, and nothing is done twice.
pub mod idempotency;
// The pages of a poll that are asked for by their numbers.
pub mod polls;
// Old rows of both are deleted, a few at a time.
mod purge;

// The schema, its resolvers, and the one executor that every face uses. Lists and
// single records are written by `graphql/plan.rs` where it knows all that is selected,
// and by the resolvers otherwise.
pub mod graphql;
// The documented REST routes, each a stored GraphQL operation.
pub mod rest;
// The page on which people try out the API.
pub mod graphiql;

// Rules and SQL: find, filter, create, update. Every write of a client or of
// its locations takes the client's lock first.
pub mod clients;
pub mod locations;
// What every one of those writes leaves in the log of changes, in its own transaction.
pub mod changes;
// The rules for single fields. They gather all faults of an input, not only the
// first.
pub mod validation;
// What a host name is, for websites and e-mail addresses, and which characters nobody
// sees.
mod host;
mod invisible;
// Pages that begin after a position in the order, and the keys by which texts
// compare.
pub mod fold;
pub mod paging;
// The length of each list, kept by the database, so that nothing counts its rows.
pub mod tally;
// Texts inside names, by the engines' own indexes.
pub mod search;

// Connections, and the two ways to use one: a single statement, which most requests
// are, or a transaction. SQLite has one writer and several readers.
pub mod connections;
pub mod database;
pub mod statements;
pub mod transaction;
// What several requests ask for at the same time, by one statement.
mod gather;
// One look at a database that changes nothing, and all that must hold in it: for
// the commands `check` and `backup`.
pub mod invariants;
pub mod snapshot;
// Requests fail at once while the database is away.
pub mod breaker;
// Every failure in one enum, with what each face calls it.
pub mod error;
// The instants that are stored: UTC, in milliseconds; and how they are written.
pub mod clock;
pub mod instant;
// Health, metrics, and a log line per request.
pub mod telemetry;
