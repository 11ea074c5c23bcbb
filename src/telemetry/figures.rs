//! Metrics for Prometheus: what there is, with its help text, and how it is read. All that has
//! no labels of a request is there from the start.

use std::{sync::OnceLock, time::Duration};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use crate::{
    config::VERSION, error::Code, gateway::Gateway, http::problem::Problem,
    storage::breaker::BREAKER_OPEN,
};

/// Requests, by their method, route and status.
pub const REQUESTS: &str = "clientele_http_requests_total";
/// How long requests took.
pub const REQUEST_SECONDS: &str = "clientele_http_request_seconds";
/// How long the bodies of answers are, before they are compressed.
pub const RESPONSE_BYTES: &str = "clientele_http_response_bytes";
/// Errors in answers of GraphQL, by their code.
pub const GRAPHQL_ERRORS: &str = "clientele_graphql_errors_total";
/// The prices of the lists of operations.
pub const PRICE: &str = "clientele_graphql_price_rows";
const STATEMENT_SECONDS: &str = "clientele_database_statement_seconds";
const FAILED_STATEMENTS: &str = "clientele_database_statements_failed_total";
const CONNECTIONS: &str = "clientele_database_connections";
const BACKFILL: &str = "clientele_backfill_rows_left";
const BUILD: &str = "clientele_build_info";

/// Upper bounds of the histograms of durations, in seconds.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// Upper bounds of the histograms of sizes, in bytes.
const BYTES: [f64; 8] = [
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];
/// Upper bounds of the histogram of prices, in rows.
const ROWS: [f64; 7] = [
    10.0,
    100.0,
    1_000.0,
    10_000.0,
    100_000.0,
    1_000_000.0,
    10_000_000.0,
];
/// How often the samples of histograms are summed up and dropped.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Serves `/metrics`.
pub(super) async fn serve(State(gateway): State<Gateway>) -> Response {
    let Some(recorder) = recorder() else {
        return Problem::internal().into_response();
    };
    Collector::default().collect();
    for (pool, open, idle) in gateway.store.connections() {
        for (state, count) in [("idle", idle), ("in_use", open.saturating_sub(idle))] {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            gauge!(CONNECTIONS, "pool" => pool, "state" => state).set(f64::from(count));
        }
    }
    recorder.run_upkeep();
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], recorder.render()).into_response()
}

/// The metrics recorder of this process; none if another one was installed before.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let suffix = |text: &str| Matcher::Suffix(text.to_owned());
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(suffix("_seconds"), &SECONDS)
                .and_then(|builder| builder.set_buckets_for_metric(suffix("_bytes"), &BYTES))
                .and_then(|builder| builder.set_buckets_for_metric(suffix("_rows"), &ROWS))
                .ok()?;
            let recorder = builder.install_recorder().ok()?;
            describe();
            Some(recorder)
        })
        .as_ref()
}

/// Gives the metrics their help texts, and those without labels of a request their first value.
fn describe() {
    describe_counter!(REQUESTS, "Requests, by method, route and status.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "How long requests took.");
    let size = "How long the bodies of answers were, before compression.";
    describe_histogram!(RESPONSE_BYTES, Unit::Bytes, size);
    let price = "Rows that the database may have to touch for the lists of an operation.";
    describe_histogram!(PRICE, Unit::Count, price);
    describe_counter!(GRAPHQL_ERRORS, "Errors in GraphQL answers, by code.");
    for code in Code::ALL {
        counter!(GRAPHQL_ERRORS, "code" => code.name()).increment(0);
    }
    let took = "How long statements took, with the wait for a connection.";
    describe_histogram!(STATEMENT_SECONDS, Unit::Seconds, took);
    describe_counter!(FAILED_STATEMENTS, "Statements that failed.");
    counter!(FAILED_STATEMENTS).increment(0);
    let open = "1 while the database is away and requests are refused at once, otherwise 0.";
    describe_gauge!(BREAKER_OPEN, open);
    describe_gauge!(
        CONNECTIONS,
        "Connections to the database, by pool and state."
    );
    let left = "Rows of before from which what the schema has added is yet to be filled.";
    describe_gauge!(BACKFILL, left);
    backfill(0);
    describe_gauge!(BUILD, "1, with the version of the program.");
    gauge!(BUILD, "version" => VERSION).set(1.0);
    Collector::default().describe();
}

/// Sets how many rows a backfill has left.
pub fn backfill(left: u64) {
    #[expect(clippy::cast_precision_loss, reason = "metrics are such numbers")]
    gauge!(BACKFILL).set(left as f64);
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
    histogram!(STATEMENT_SECONDS).record(statement.elapsed.as_secs_f64());
    if statement.failed {
        counter!(FAILED_STATEMENTS).increment(1);
    }
}
