//! What every face shares of HTTP.

pub(crate) mod body;
// Answers, compressed where it pays. What must not be is listed there.
pub(crate) mod compression;
pub(crate) mod cross_origin;
// No request stays without an answer for long.
pub(crate) mod deadline;
pub mod host;
pub(crate) mod json;
// Time limits for slow clients, and a stop that drops no request.
pub mod listener;
pub(crate) mod media_type;
pub mod problem;
pub(crate) mod query_string;
pub mod request_id;
