//! The HTTP surface: what every handler shares, all routes, and the middleware in
//! the order in which a request passes it.

use std::{any::Any, ops::Deref, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use crate::{
    auth::Authenticator,
    config::Settings,
    graphiql,
    graphql::{
        operation::executor::Executor,
        transport::{self, websocket},
    },
    http::{
        compression, cross_origin, deadline,
        listener::Lifecycle,
        problem::{self, Problem},
    },
    idempotency, rest,
    storage::database::Database,
    telemetry::{self, Observation},
};

/// The longest request target, in bytes.
const MAX_URI: usize = 8 * 1024;
/// The longest request id that is taken from a caller, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// Names a request in the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    /// What was answered to writes that may be sent again.
    pub keys: idempotency::Keys,
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
            authenticator: Authenticator::new(database.clone(), remember_tokens, tasks.clone()),
            executor: Executor::new(settings.limits, settings.introspection, tasks.clone()),
            keys: idempotency::Keys::new(database.clone(), tasks),
            rest: rest::Routes::load(),
            database,
            settings,
            lifecycle,
        }))
    }
}

/// Finds a request in the log; also the answer's `X-Request-Id`.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// The caller's own id, if it is fit for logs and answers; a new one otherwise.
    fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let is_fit = |id: &&str| {
            (1..=MAX_REQUEST_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match sent.filter(is_fit) {
            Some(id) => Self(id.into()),
            None => Self(Uuid::new_v4().to_string().into()),
        }
    }
}

/// All routes, with the middleware around them.
pub fn router(gateway: Gateway) -> Router {
    let origins: Arc<[HeaderValue]> = gateway.settings.allow_origin.concat().into();
    let graphql = get(websocket::get).post(transport::http::post);
    let routes = Router::new()
        .route("/", get(|| async { Redirect::to("/graphiql") }))
        .route("/graphql", graphql.clone())
        .route("/graphql/", graphql)
        .merge(graphiql::routes())
        // The page names its files relative to an address without a slash at the end.
        .route("/graphiql/", get(|| async { Redirect::to("/graphiql") }))
        .merge(rest::routes(&gateway.rest))
        .merge(telemetry::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(other_method);

    // In one piece: each `layer` of a router costs every request a box or three.
    let layers = ServiceBuilder::new()
        // Around all that write bodies.
        .map_request(compression::negotiate)
        .layer(compression::layer())
        // Around all that is refused, which the page is to see, too.
        .option_layer((!origins.is_empty()).then(|| cross_origin::sharing(&origins)))
        .layer(middleware::from_fn(around))
        // Browsers send credentials of HTTP Basic along with any page's request.
        .layer(cross_origin::protection(origins))
        .map_response(IntoResponse::into_response)
        .layer(CatchPanicLayer::custom(panicked));
    routes.layer(layers).with_state(gateway)
}

/// What surrounds every request: its id, the log and the metrics, the limit of the URL,
/// and the bodies of problems.
async fn around(mut request: Request, next: Next) -> Response {
    let request_id = RequestId::of(request.headers());
    request.extensions_mut().insert(request_id.clone());
    let observation = Observation::begin(&request);
    let refused = request.extensions_mut().remove::<Problem>();
    let target = request.uri().path_and_query();
    let response = if let Some(problem) = refused {
        // By the listener.
        problem.into_response()
    } else if target.is_some_and(|target| target.as_str().len() > MAX_URI) {
        let detail = format!("The URL is too long: {MAX_URI} bytes are allowed.");
        Problem::new(StatusCode::URI_TOO_LONG, detail).into_response()
    } else {
        deadline::answer(request, &request_id, next).await
    };
    let mut response = problem::render(response, &request_id);
    observation.end(response.status(), &request_id);
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
