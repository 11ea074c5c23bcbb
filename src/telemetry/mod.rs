//! What operators see: liveness, readiness, metrics, and a log line per request.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics::{counter, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{error::Code, gateway::Gateway, http::problem::Problem, http::request_id::RequestId};

/// Upper bounds of the duration histograms, in seconds.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// How often the samples of histograms are summed up and dropped.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How long a readiness check may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// `/healthz`, `/readyz` and `/metrics`: open to everybody, and without any client
/// data.
pub fn routes() -> Router<Gateway> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
}

/// Ready if the database answers with the schema of this program, until the server begins
/// to stop.
async fn ready(State(gateway): State<Gateway>) -> Response {
    let unavailable =
        |detail: &str| Problem::of_code(Code::Unavailable, detail.to_owned()).into_response();
    if gateway.lifecycle.stopping.is_cancelled() {
        return unavailable("The server is stopping.");
    }
    match tokio::time::timeout(READY_TIMEOUT, gateway.store.is_ready()).await {
        Ok(true) => "ready\n".into_response(),
        Ok(false) | Err(_) => {
            unavailable("The database does not answer, or its schema is not up to date.")
        }
    }
}

async fn metrics_text() -> Response {
    match recorder() {
        Some(recorder) => {
            recorder.run_upkeep();
            let content_type = "text/plain; version=0.0.4; charset=utf-8";
            ([(CONTENT_TYPE, content_type)], recorder.render()).into_response()
        }
        None => Problem::internal().into_response(),
    }
}

/// The metrics recorder of this process; none if another one was installed before.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let durations = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(durations, &BUCKETS)
                .ok()?;
            builder.install_recorder().ok()
        })
        .as_ref()
}

/// Has the histograms sum up their samples now and then: otherwise they keep every sample
/// until the metrics are read, and perhaps nobody reads them.
pub async fn keep_up() {
    let Some(recorder) = recorder() else { return };
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        recorder.run_upkeep();
    }
}

/// Counts and times the statements that a database runs.
pub fn observe_statement(statement: &sea_orm::metric::Info<'_>) {
    histogram!("clientele_database_statement_seconds").record(statement.elapsed.as_secs_f64());
    if statement.failed {
        counter!("clientele_database_statements_failed_total").increment(1);
    }
}

/// A request that is under way; logged and counted when it ends. The log has no query
/// string, which may hold names, and no header, which may hold a token.
pub struct Observation {
    began: Instant,
    method: Method,
    path: String,
    route: String,
}

impl Observation {
    /// Begins to observe a request.
    #[must_use]
    pub fn begin(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        Self {
            began: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: route.map_or("none", MatchedPath::as_str).to_owned(),
        }
    }

    /// Logs and counts the request, with the status of its answer.
    pub fn end(self, status: StatusCode, request_id: &RequestId) {
        let elapsed = self.began.elapsed();
        let status = status.as_u16();
        let labels = [
            ("method", known_method(&self.method).to_owned()),
            ("route", self.route),
            ("status", status.to_string()),
        ];
        counter!("clientele_http_requests_total", &labels).increment(1);
        histogram!("clientele_http_request_seconds", &labels).record(elapsed.as_secs_f64());
        tracing::info!(
            method = %self.method,
            path = self.path,
            status,
            milliseconds = elapsed.as_secs_f64() * 1_000.0,
            request_id = &*request_id.0,
            "request"
        );
    }
}

/// The method as a label, which has few values, whatever methods are sent.
fn known_method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "OPTIONS") => known,
        _ => "other",
    }
}
