//! A line in the log for each request, and its place in the metrics.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Instant,
};

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request},
    http::Method,
    response::Response,
};
use metrics::{counter, histogram};
use tracing::Level;

use super::figures::{REQUEST_SECONDS, REQUESTS, RESPONSE_BYTES};
use crate::{auth::Viewer, http::request_id::RequestId, storage::database::StatementCount};

/// The longest name of an operation in the log, in bytes: callers choose it.
const MAX_NAME: usize = 100;

/// What the log says of a request beside its address: it is found out on the way.
#[derive(Clone, Default)]
pub struct Details(Arc<Noted>);

#[derive(Default)]
struct Noted {
    viewer: OnceLock<Viewer>,
    operation: OnceLock<String>,
    statements: StatementCount,
}

impl Details {
    /// Notes who asks.
    pub fn note_viewer(&self, viewer: &Viewer) {
        // A request has one viewer, so it is never noted twice.
        let _ = self.0.viewer.set(viewer.clone());
    }

    /// Counts the statements that the request sends to the database.
    #[must_use]
    pub fn statements(&self) -> StatementCount {
        Arc::clone(&self.0.statements)
    }

    /// Notes the name of the operation that is asked for.
    pub fn note_operation(&self, name: &str) {
        let name = &name[..name.floor_char_boundary(MAX_NAME)];
        let _ = self.0.operation.set(name.to_owned());
    }
}

/// A request that is under way; logged and counted when it ends. The log has no query
/// string, which may hold names, and no header, which may hold a token.
pub struct Observation {
    began: Instant,
    method: Method,
    path: String,
    route: String,
    details: Details,
}

impl Observation {
    /// Begins to observe a request, which gets a place for its details.
    #[must_use]
    pub fn begin(request: &mut Request) -> Self {
        let details = Details::default();
        request.extensions_mut().insert(details.clone());
        let route = request.extensions().get::<MatchedPath>();
        Self {
            began: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: route.map_or("none", MatchedPath::as_str).to_owned(),
            details,
        }
    }

    /// Logs and counts the request, with its answer.
    pub fn end(self, response: &Response, request_id: &RequestId) {
        let elapsed = self.began.elapsed();
        let status = response.status().as_u16();
        let bytes = response.body().size_hint().exact();
        let is_probe = matches!(self.path.as_str(), "/healthz" | "/readyz" | "/metrics");
        let labels = [
            ("method", known_method(&self.method).to_owned()),
            ("route", self.route),
            ("status", status.to_string()),
        ];
        counter!(REQUESTS, &labels).increment(1);
        histogram!(REQUEST_SECONDS, &labels).record(elapsed.as_secs_f64());
        if let Some(bytes) = bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
            histogram!(RESPONSE_BYTES).record(f64::from(bytes));
        }
        let Noted {
            viewer,
            operation,
            statements,
        } = &*self.details.0;
        let statements = statements.load(Ordering::Relaxed);
        let viewer = viewer.get();
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    method = %self.method,
                    path = self.path,
                    status,
                    // In tenths, because more digits say nothing.
                    milliseconds = (elapsed.as_secs_f64() * 10_000.0).round() / 10.0,
                    bytes,
                    statements,
                    user = viewer.map(|viewer| &*viewer.user),
                    token = viewer.map(|viewer| &*viewer.prefix),
                    operation = operation.get().map(String::as_str),
                    request_id = &*request_id.0,
                    "request"
                )
            };
        }
        if is_probe {
            log!(Level::DEBUG);
        } else {
            log!(Level::INFO);
        }
    }
}

/// The method as a label, which has few values, whatever methods are sent.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "OPTIONS") => known,
        _ => "other",
    }
}
