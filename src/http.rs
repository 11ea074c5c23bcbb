//! The HTTP surface: what every handler shares, all routes, and the middleware in
//! the order in which a request passes it.

use std::{any::Any, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{
        Extensions, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION,
            RETRY_AFTER,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    csrf::{CsrfLayer, ProtectionError},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use crate::{
    auth::Authenticator,
    config::Settings,
    database::Database,
    graphiql,
    graphql::{endpoint, executor::Executor, socket},
    rest::{
        self,
        problem::{self, Problem},
    },
    server::Lifecycle,
    telemetry,
};

/// The longest request target, in bytes.
const MAX_URI: usize = 8 * 1024;
/// The longest request id that is taken from a caller, in bytes.
const MAX_REQUEST_ID: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every handler shares. A request clones it many times, so it counts its
/// references once.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

/// What is behind a [`Gateway`].
pub struct Shared {
    /// Where the data is.
    pub database: Database,
    /// Who may come in.
    pub authenticator: Authenticator,
    /// The way to the schema.
    pub executor: Executor,
    /// What the faces allow.
    pub settings: Settings,
    /// The REST layer's stored operations.
    pub rest: rest::Routes,
    /// When the server stops, and what it waits for then.
    pub lifecycle: Lifecycle,
}

impl Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// A gateway over `database`.
    #[must_use]
    pub fn new(database: Database, settings: Settings) -> Self {
        // What the database has under way by itself is waited for, too.
        let tasks = database.tallies.tasks.clone();
        let lifecycle = Lifecycle {
            tasks: tasks.clone(),
            ..Lifecycle::default()
        };
        let remember_tokens = Duration::from_millis(settings.token_cache_ms);
        Self(Arc::new(Shared {
            authenticator: Authenticator::new(database.clone(), remember_tokens),
            executor: Executor::new(database.clone(), settings.limits, tasks),
            rest: rest::Routes::load(),
            database,
            settings,
            lifecycle,
        }))
    }
}

/// Finds a request in the log; also the answer's `X-Request-Id`.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl RequestId {
    /// The id of the request with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions
            .get()
            .cloned()
            .unwrap_or_else(|| Self(String::new()))
    }
}

/// All routes, with the middleware around them.
pub fn router(gateway: Gateway) -> Router {
    let origins = &gateway.settings.allow_origin;
    let routes = Router::new()
        .route("/", get(|| async { Redirect::to("/graphiql") }))
        .route("/graphql", get(socket::get).post(endpoint::post))
        .merge(graphiql::routes())
        .merge(rest::routes(&gateway.rest))
        .merge(telemetry::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // Handlers read bodies themselves, with their own limit.
        .layer(DefaultBodyLimit::disable());

    // The last layer is the first that a request passes.
    routes
        .layer(CatchPanicLayer::custom(panicked))
        // Browsers send credentials of HTTP Basic along with any page's request.
        .layer(csrf(origins))
        .layer(option_layer((!origins.is_empty()).then(|| cors(origins))))
        .layer(middleware::from_fn(limit_uri))
        // Writes the bodies of problems, those of the layers above included.
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn(telemetry::observe))
        .layer(middleware::from_fn(note_request_id))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(middleware::from_fn(drop_unusable_request_id))
        .with_state(gateway)
}

/// Takes a caller's own request id only if it is fit for logs and answers.
async fn drop_unusable_request_id(mut request: Request, next: Next) -> Response {
    let is_fit = |id: &HeaderValue| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if request
        .headers()
        .get(REQUEST_ID)
        .is_some_and(|id| !is_fit(id))
    {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Makes the request's id known to handlers.
async fn note_request_id(mut request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<tower_http::request_id::RequestId>();
    let id = id
        .and_then(|id| id.header_value().to_str().ok())
        .unwrap_or_default();
    let id = RequestId(id.to_owned());
    request.extensions_mut().insert(id);
    next.run(request).await
}

async fn limit_uri(request: Request, next: Next) -> Response {
    let length = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if length > MAX_URI {
        let detail = format!("The URL is too long: {MAX_URI} bytes are allowed.");
        return Problem::new(StatusCode::URI_TOO_LONG, detail).into_response();
    }
    next.run(request).await
}

async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "There is nothing at this address. GraphQL is at /graphql, REST at /api/v1/clients and \
         /api/v1/client/locations.",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This method is not allowed here; the header 'Allow' names those that are.",
    )
}

fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    // The panic itself is in the log.
    Problem::internal().into_response()
}

/// Lets the web pages of `origins` call the gateway (WHATWG Fetch, CORS protocol).
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH])
        .expose_headers([
            ETAG,
            LINK,
            LOCATION,
            RETRY_AFTER,
            REQUEST_ID,
            HeaderName::from_static("x-total-count"),
        ])
}

/// Refuses writes that the web pages of other origins make a browser send.
fn csrf(origins: &[HeaderValue]) -> CsrfLayer<fn(ProtectionError) -> Response> {
    let origins = origins.iter().filter_map(|origin| origin.to_str().ok());
    let layer = origins.fold(CsrfLayer::new(), |layer, origin| {
        // The command line has checked each one already.
        layer.clone().add_trusted_origin(origin).unwrap_or(layer)
    });
    layer.with_rejection_response(|_| {
        let detail = "Web pages of this origin may not write here. The operator can allow the \
                      origin with --allow-origin.";
        Problem::new(StatusCode::FORBIDDEN, detail).into_response()
    })
}
