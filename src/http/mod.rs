//! What all faces share of HTTP: bodies, error answers, limits, and the listener.

pub(crate) mod body;
// Compressed answers, where that pays, and which answers must not be.
pub(crate) mod compression;
pub(crate) mod cross_origin;
// Every request is answered within a time limit.
pub(crate) mod deadline;
pub mod host;
pub(crate) mod json;
// Time limits for slow clients, and a stop that drops no request.
pub mod listener;
pub(crate) mod media_type;
pub mod problem;
pub(crate) mod query_string;
pub mod request_id;
// When to try again: `Retry-After`.
pub(crate) mod retry;
