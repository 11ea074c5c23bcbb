//! The REST compatibility layer: a table of routes, each a stored GraphQL operation
//! run against the same schema in-process, and the handler that serves them.

mod answer;
mod conditional;
mod list;
pub mod openapi;
mod operation;
pub mod poll_bookmarks;
mod record;
mod variables;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    response::Response,
    routing::{MethodFilter, MethodRouter, get},
};

use crate::{
    graphql::operation::{documents::Document, executor::Executor},
    http::request_id::RequestId,
    http::{
        body::{self, BodyRefusal, Declared},
        host, json,
        problem::Problem,
        query_string,
    },
    idempotency::{Key, KeyedRequest},
    records::validation::parse_id,
    telemetry::request_log::Details,
};
use conditional::Preconditions;
use operation::StoredOperation;
use record::Call;
use serde_json::Map;

/// The variable that takes the id in the path.
const ID: &str = "_id";
/// The ending of an address by which some callers ask for JSON.
pub const JSON: &str = ".json";
/// What callers are told whose address ends in .json.
pub const WITHOUT_JSON: &str =
    "There is nothing at this address: leave out .json at its end. Answers are JSON anyway.";

/// The action of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answers an array.
    List,
    /// Answers one record.
    Read,
    /// Makes a record from a body.
    Create,
    /// Changes a record by a body.
    Update,
}

impl Action {
    fn method(self) -> MethodFilter {
        match self {
            Self::List | Self::Read => MethodFilter::GET,
            Self::Create => MethodFilter::POST,
            Self::Update => MethodFilter::PUT,
        }
    }
}

/// A kind of record and the address of its collection.
#[derive(Debug)]
pub struct Resource {
    /// The path of the collection.
    pub path: &'static str,
    /// The member under which bodies are nested.
    pub wrapper: &'static str,
    /// The name of the kind of record, for people.
    pub title: &'static str,
    /// A description of the kind of record, for people.
    pub description: &'static str,
    /// The name of the id in the documented path.
    pub id_name: &'static str,
    /// The operation behind each action.
    operations: [(Action, &'static str); 4],
    /// The operation that reads nothing but a record's version. It has no route.
    version: &'static str,
}

/// The document of a stored operation, with the shapes (fragments) that it spreads. It holds no
/// others, because a document with an unused fragment is not valid.
macro_rules! operation {
    ($name:literal $(, $shape:literal)*) => {
        concat!(
            include_str!(concat!("operations/", $name, ".graphql")),
            $(include_str!(concat!("operations/", $shape, ".graphql"))),*
        )
    };
}

/// Every route.
const RESOURCES: [Resource; 2] = [
    Resource {
        path: "/api/v1/clients",
        wrapper: "client",
        title: "client",
        description: "Top-level organisations, each with its primary location.",
        id_name: "client_id",
        operations: [
            (
                Action::List,
                operation!("list_clients", "client", "location"),
            ),
            (
                Action::Create,
                operation!("create_client", "client", "location"),
            ),
            (
                Action::Read,
                operation!("read_client", "client", "location"),
            ),
            (
                Action::Update,
                operation!("update_client", "client", "location"),
            ),
        ],
        version: operation!("read_client_version"),
    },
    Resource {
        path: "/api/v1/client/locations",
        wrapper: "client_location",
        title: "client location",
        description: "The branches of clients, of which each client has one at least.",
        id_name: "client_location_id",
        operations: [
            (Action::List, operation!("list_locations", "location")),
            (Action::Create, operation!("create_location", "location")),
            (Action::Read, operation!("read_location", "location")),
            (Action::Update, operation!("update_location", "location")),
        ],
        version: operation!("read_location_version"),
    },
];

/// A route with what was learned from its operation.
pub struct Route {
    /// The action of the route.
    pub action: Action,
    /// The resource that the route acts on.
    pub resource: &'static Resource,
    /// The operation that the route runs.
    pub operation: StoredOperation,
    /// The operation that reads the version of a record.
    version: Arc<Document>,
}

impl Route {
    /// The path, with a placeholder for the id where it has one.
    #[must_use]
    pub fn path(&self) -> String {
        match self.action {
            Action::List | Action::Create => self.resource.path.to_owned(),
            Action::Read | Action::Update => {
                format!("{}/{{{}}}", self.resource.path, self.resource.id_name)
            }
        }
    }
}

/// All routes.
pub struct Routes(pub Vec<Arc<Route>>);

impl Routes {
    /// Reads the stored operations.
    ///
    /// # Panics
    /// If one of our own documents does not fit our own schema.
    #[must_use]
    pub fn load() -> Self {
        let load = || {
            let mut routes = Vec::new();
            for resource in &RESOURCES {
                let version = StoredOperation::load(resource.version)?.document;
                for (action, text) in resource.operations {
                    routes.push(Arc::new(Route {
                        action,
                        resource,
                        operation: StoredOperation::load(text)?,
                        version: Arc::clone(&version),
                    }));
                }
            }
            Ok::<_, operation::Mistake>(Self(routes))
        };
        #[expect(
            clippy::expect_used,
            reason = "no input reaches this; every test runs it"
        )]
        load().expect("the stored operations fit the schema")
    }
}

/// The routes of the REST layer, whose operations `executor` runs.
pub fn routes(executor: &Executor) -> Router {
    let table = Routes::load();
    let openapi = Bytes::from(openapi::document(&table).to_string());
    let openapi = get(|| async { ([(CONTENT_TYPE, "application/json")], openapi) });
    let mut paths: HashMap<String, MethodRouter<Executor>> = HashMap::new();
    for route in &table.0 {
        let handler = {
            let route = Arc::clone(route);
            move |state, request_id, details, id, request| {
                handle(route, state, request_id, details, id, request)
            }
        };
        let path = paths.entry(route.path()).or_default();
        *path = std::mem::take(path).on(route.action.method(), handler);
    }
    let router = paths
        .into_iter()
        .chain([("/api/v1/openapi.json".to_owned(), openapi)])
        .fold(Router::new(), |router, (path, methods)| {
            router
                .route(&format!("{path}/"), methods.clone())
                .route(&path, methods)
        });
    router.with_state(executor.clone())
}

/// Serves any route: authenticates the caller, reads what was sent, and runs the operation.
async fn handle(
    route: Arc<Route>,
    State(executor): State<Executor>,
    Extension(request_id): Extension<RequestId>,
    Extension(details): Extension<Details>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let Parts {
        method,
        uri,
        headers,
        ..
    } = &head;
    let gateway = executor.gateway();
    let viewer = gateway
        .authenticator
        .viewer_of(headers)
        .await
        .map_err(|error| {
            error.log(&request_id.0);
            Problem::of(&error)
        })?;
    details.note_viewer(&viewer);
    let call = Call {
        store: gateway.store.counting(details.statements()),
        executor,
        route,
        viewer,
        request_id,
    };
    let bad_request = |detail| Problem::new(StatusCode::BAD_REQUEST, detail);
    let pairs = query_string::pairs(uri.query().unwrap_or_default()).map_err(bad_request)?;
    let action = call.route.action;
    if action == Action::List {
        let trusted = &call.executor.gateway().settings.trusted_proxies;
        let url = host::external_url(&head, trusted).unwrap_or_default();
        return call.list(&url, pairs).await;
    }
    if let Some((name, _)) = pairs.first() {
        return Err(bad_request(format!(
            "The parameter '{name}' is not known. This route takes none."
        )));
    }
    if matches!(action, Action::Create | Action::Update) {
        // This is checked before the body is read: its faults are no business of a caller who
        // may not write.
        let checked = call.viewer.require_write();
        checked.map_err(|error| Problem::of(&error))?;
    }
    let preconditions = Preconditions::of(headers).map_err(bad_request)?;
    let mut variables = Map::new();
    if matches!(action, Action::Read | Action::Update) {
        // An id in another spelling than the canonical one is no address of a record.
        let id = match id {
            Ok(Path(id)) if id.ends_with(JSON) => {
                return Err(Problem::new(StatusCode::NOT_FOUND, WITHOUT_JSON));
            }
            Ok(Path(id)) => parse_id(&id).ok(),
            Err(_) => None,
        };
        let id = id.ok_or_else(|| call.not_found())?;
        variables.insert(ID.to_owned(), id.to_string().into());
    }
    match action {
        Action::List | Action::Read => call.read(variables, &preconditions).await,
        Action::Create | Action::Update => {
            let key = Key::of(headers).map_err(bad_request)?;
            let limit = call.executor.gateway().settings.max_body_bytes;
            let sent = body::read_json(headers, body, limit, Declared::Somehow)
                .await
                .map_err(refused_body)?;
            let body = json::parse(&sent).map_err(|detail| {
                if body::is_form(headers) && !json::is_meant(&sent) {
                    refused_body(BodyRefusal::NotJson)
                } else {
                    bad_request(detail)
                }
            })?;
            let Route {
                operation,
                resource,
                ..
            } = &*call.route;
            let body =
                variables::from_body(operation, resource.wrapper, body).map_err(bad_request)?;
            let mut given = body.variables;
            given.append(&mut variables);
            let Some(key) = key else {
                return call.write(given, body.faults, &preconditions).await;
            };
            let request = KeyedRequest::new(call.viewer.token, key, method, uri, &sent);
            let request = request.counting(details.statements());
            call.write_once(request, given, body.faults, preconditions)
                .await
        }
    }
}

fn refused_body(refusal: BodyRefusal) -> Problem {
    let problem = Problem::new(refusal.status(), refusal.sentence());
    match refusal.header() {
        Some((name, value)) => problem.with_header(name, value),
        None => problem,
    }
}
