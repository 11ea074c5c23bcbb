//! What operators see: liveness, readiness, metrics, and a log line for each request.

pub mod figures;
pub mod request_log;

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    handler::Handler,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{error::Code, gateway::Gateway, http::problem::Problem};

/// How long a readiness check may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// `/healthz`, `/readyz` and `/metrics`: open to everybody, and without any client
/// data.
pub fn routes() -> Router<Gateway> {
    probes(ready)
}

/// The same, where `ready` says whether the gateway is ready.
pub fn probes<T: 'static>(ready: impl Handler<T, Gateway>) -> Router<Gateway> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(figures::serve))
}

/// Ready if the database answers with the schema of this program, until the server begins
/// to stop.
async fn ready(State(gateway): State<Gateway>) -> Response {
    let unavailable =
        |detail: &str| Problem::of_code(Code::Unavailable, detail.to_owned()).into_response();
    if gateway.lifecycle.stopping.is_cancelled() {
        return unavailable("The server is stopping.");
    }
    let is_in_place = gateway.store.is_in_place();
    match tokio::time::timeout(READY_TIMEOUT, gateway.store.steps()).await {
        Ok(Ok(steps)) if steps.may_be_used() && is_in_place => match steps.newer.last() {
            None => "ready\n".into_response(),
            Some(newest) => {
                format!("ready; the schema is newer than this program: {newest}\n").into_response()
            }
        },
        _ => unavailable(
            "The database does not answer, or its schema is older than this program, or too new \
             for it.",
        ),
    }
}
