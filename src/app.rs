//! The HTTP surface: all routes, and the middleware in the order in which a request
//! passes it.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    error::Code,
    gateway::Gateway,
    graphiql,
    graphql::{
        operation::executor::Executor,
        transport::{self, websocket},
    },
    http::{
        compression, cross_origin, deadline,
        problem::{self, Problem},
        request_id::{REQUEST_ID, RequestId},
        retry,
    },
    rest,
    telemetry::{self, request_log::Observation},
};

/// The longest request target, in bytes.
const MAX_URI: usize = 8 * 1024;

/// All routes, with the middleware around them.
pub fn router(gateway: Gateway) -> Router {
    let origins: Arc<[HeaderValue]> = gateway.settings.allow_origin.concat().into();
    let executor = Executor::new(gateway.clone());
    let graphql = get(websocket::get).post(transport::http::post);
    let graphql = graphql.with_state(executor.clone());
    let routes = Router::new()
        .route("/", get(|| async { Redirect::to("/graphiql") }))
        .route("/graphql", graphql.clone())
        .route("/graphql/", graphql)
        .merge(graphiql::routes())
        // The page names its files relative to an address without a slash at the end, so an
        // address with one is redirected.
        .route("/graphiql/", get(|| async { Redirect::to("/graphiql") }))
        .merge(rest::routes(&executor))
        .merge(telemetry::routes().with_state(gateway))
        .fallback(not_found)
        .method_not_allowed_fallback(other_method);

    // One `ServiceBuilder`: each `Router::layer` would cost every request up to three
    // allocations.
    let layers = ServiceBuilder::new()
        // Outermost: compresses every body.
        .map_request(compression::negotiate)
        .layer(compression::layer())
        // Outside the layers that refuse, so that pages may read refusals, too.
        .option_layer((!origins.is_empty()).then(|| cross_origin::sharing(&origins)))
        .layer(middleware::from_fn(around))
        // Browsers send credentials of HTTP Basic along with any page's request.
        .layer(cross_origin::protection(origins))
        .map_response(IntoResponse::into_response)
        .layer(CatchPanicLayer::custom(panicked));
    routes.layer(layers)
}

/// The routes of a gateway whose database has no schema yet that it may use: it is live, and
/// not ready.
pub fn router_meanwhile(gateway: Gateway) -> Router {
    async fn starting() -> Problem {
        let detail = "The gateway is starting: the database is being brought up to date.";
        Problem::of_code(Code::Unavailable, detail.to_owned())
    }
    let probes = telemetry::probes(starting).with_state(gateway);
    probes.fallback(starting).layer(middleware::from_fn(around))
}

/// What surrounds every request: its id, the log and the metrics, the limit of the URL,
/// and the bodies of problems.
async fn around(mut request: Request, next: Next) -> Response {
    let request_id = RequestId::of(request.headers());
    request.extensions_mut().insert(request_id.clone());
    let observation = Observation::begin(&mut request);
    let refused = request.extensions_mut().remove::<Problem>();
    let target = request.uri().path_and_query();
    let response = if let Some(problem) = refused {
        // The listener refused the request (`host::check`).
        problem.into_response()
    } else if target.is_some_and(|target| target.as_str().len() > MAX_URI) {
        let detail = format!("The URL is too long: {MAX_URI} bytes are allowed.");
        Problem::new(StatusCode::URI_TOO_LONG, detail).into_response()
    } else {
        let is_graphql = request.uri().path().trim_end_matches('/') == "/graphql";
        match deadline::answer(request, next).await {
            Ok(response) => response,
            Err(late) if is_graphql => transport::http::refuse_error(&late, &request_id),
            Err(late) => {
                late.log(&request_id.0);
                Problem::of(&late).into_response()
            }
        }
    };
    let mut response = problem::render(response, &request_id);
    retry::advise(&mut response);
    observation.end(&response, &request_id);
    if let Ok(id) = HeaderValue::from_str(&request_id.0) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn not_found(uri: Uri) -> Problem {
    let path = uri.path();
    let detail = if path.starts_with("/api/") && path.ends_with(rest::JSON) {
        rest::WITHOUT_JSON
    } else {
        "There is nothing at this address. GraphQL is at /graphql, REST at /api/v1/clients and \
         /api/v1/client/locations."
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// Answers a method that a route does not have. The router adds the header `Allow`.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This method is not allowed here; the header 'Allow' names those that are.",
    )
    .into_response()
}

fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    // The panic itself is in the log.
    Problem::internal().into_response()
}
