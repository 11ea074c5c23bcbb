//! Single records: read, created, updated, with their entity tags.

use entity::change::Face;
use std::{convert::Infallible, sync::Arc};

use async_graphql::{Response as GraphqlResponse, Value as ConstValue};
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse, Response},
};
use futures_util::stream;
use headers::ETag;
use serde_json::{Map, Value};

use super::{
    Action, ID, Route,
    answer::{self, Found, Input, Shaped},
    conditional::{self, Preconditions},
};
use crate::{
    auth::Viewer,
    error::{Code, Error},
    graphql::{
        operation::{
            documents::Document,
            executor::{Executor, OperationRequest, Source, Stage},
        },
        projection::columns::Ids,
        schema::Shape,
    },
    http::{
        problem::{self, BodyFaults, Problem, Stale},
        request_id::RequestId,
    },
    idempotency::{KeyedRequest, Outcome, Verdict},
    records::Store,
};

/// A cache must ask whether its copy still holds before it uses it.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// The variable that takes the version of `If-Match`.
const EXPECTED_VERSION: &str = "_expected_version";
/// A version that no record has: an update that expects it changes nothing, and says
/// how the record differs from what was sent.
const NO_VERSION: i32 = 0;

/// Ids are numbers, pages may begin at an offset, and single records are values, because they
/// are read for their tags.
const SHAPE: Shape = Shape {
    ids: Ids::Number,
    offsets: true,
    records_as_values: true,
};

/// One request to a route.
pub(super) struct Call {
    pub executor: Executor,
    /// Access to the database, and what is kept about its lists.
    pub store: Store,
    pub route: Arc<Route>,
    pub viewer: Viewer,
    pub request_id: RequestId,
}

impl Call {
    /// The document that the route runs.
    pub(super) fn document(&self) -> &Arc<Document> {
        &self.route.operation.document
    }

    /// Runs `document`, which is the route's or the one that reads a version.
    pub(super) async fn run(
        &self,
        document: &Arc<Document>,
        variables: Map<String, Value>,
        check_only: bool,
    ) -> Result<GraphqlResponse, (GraphqlResponse, Stage)> {
        let operation = OperationRequest {
            document: Source::Stored(Arc::clone(document)),
            name: None,
            variables,
            store: self.store.clone(),
            viewer: self.viewer.clone(),
            face: Face::Rest,
            shape: SHAPE,
            request_id: self.request_id.0.clone(),
            queries_only: false,
            check_only,
        };
        let answer = self.executor.execute(operation).await;
        // An answer with partial data and errors is a failure.
        if answer.response.errors.is_empty() {
            Ok(answer.response)
        } else {
            Err((answer.response, answer.stage))
        }
    }

    pub(super) fn failed(
        &self,
        response: &GraphqlResponse,
        input: Input<'_>,
        known: BodyFaults,
    ) -> Problem {
        match response.errors.first() {
            Some(error) => answer::problem(&self.route.operation, error, input, known),
            None => Problem::internal(),
        }
    }

    pub(super) fn not_found(&self) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("There is no {} with this id.", self.route.resource.title),
        )
    }

    pub(super) async fn read(
        &self,
        variables: Map<String, Value>,
        preconditions: &Preconditions,
    ) -> Result<Response, Problem> {
        if preconditions.has_none_match() {
            // Most callers that send a tag have the current version, so the rest of the record
            // need not be read.
            let version = self.current_version(&variables).await?;
            let tag = conditional::tag(version)?;
            // RFC 9110, section 13.2.2, prescribes this order.
            if !preconditions.matches(&tag) {
                return Err(other_version(version));
            }
            if preconditions.is_unchanged(&tag) {
                return Ok(not_modified(&tag));
            }
        }
        let response = self
            .run(self.document(), variables, false)
            .await
            .map_err(|(response, _)| self.failed(&response, Input::Query, BodyFaults::default()))?;
        let found = Found::within(&response);
        if *found.body == ConstValue::Null {
            return Err(self.not_found());
        }
        // The tag is that of the record that is shown, which may have changed since its version
        // was read.
        let tag = tag_of(&found)?;
        if !preconditions.matches(&tag) {
            return Err(other_version(version_of(&found)?));
        }
        self.json(StatusCode::OK, conditional::header(&tag), &found)
    }

    pub(super) async fn write(
        &self,
        mut variables: Map<String, Value>,
        faults: BodyFaults,
        preconditions: &Preconditions,
    ) -> Result<Response, Problem> {
        let mut is_named = false;
        if self.route.action == Action::Update && preconditions.are_there() {
            let version = self.current_version(&variables).await?;
            let tag = conditional::tag(version)?;
            // RFC 9110, section 13.2.2, prescribes this order.
            let is_other = !preconditions.matches(&tag);
            is_named = !is_other && preconditions.is_unchanged(&tag);
            let expected = if is_other || is_named {
                Some(NO_VERSION)
            } else if preconditions.take_any() {
                None
            } else {
                // The expected version also protects against a write between this check and the
                // update.
                i32::try_from(version).ok()
            };
            if let Some(version) = expected {
                variables.insert(EXPECTED_VERSION.to_owned(), version.into());
            }
        }
        let run = self
            .run(self.document(), variables, !faults.is_empty())
            .await;
        let response = run.map_err(|(response, stage)| {
            let code = response.errors.first().and_then(answer::code_of);
            match code {
                _ if stage == Stage::Forbidden => Problem::of(&Error::Forbidden("write")),
                Some(Code::NotFound) => self.not_found(),
                _ => {
                    let input = Input::Body(self.route.resource.wrapper);
                    let problem = self.failed(&response, input, faults);
                    if is_named {
                        problem.named()
                    } else if preconditions.name_versions() {
                        problem
                    } else {
                        problem.overtaken()
                    }
                }
            }
        })?;
        let found = Found::within(&response);
        let mut headers = conditional::header(&tag_of(&found)?);
        if self.route.action == Action::Update {
            return self.json(StatusCode::OK, headers, &found);
        }
        let id = found.number("id").ok_or_else(Problem::internal)?;
        let location = format!("{}/{id}", self.route.resource.path);
        if let Ok(location) = HeaderValue::from_str(&location) {
            headers.insert(LOCATION, location);
        }
        self.json(StatusCode::CREATED, headers, &found)
    }

    /// Writes. If `request` was executed before, its first answer is given again.
    pub(super) async fn write_once(
        self,
        request: KeyedRequest,
        variables: Map<String, Value>,
        faults: BodyFaults,
        preconditions: Preconditions,
    ) -> Result<Response, Problem> {
        let (keys, request_id) = (
            self.executor.gateway().keys.clone(),
            self.request_id.clone(),
        );
        let run = |database| async move {
            let store = self.store.clone().within(database);
            let call = Self { store, ..self };
            let response = call.write(variables, faults, &preconditions).await;
            // A problem gets its body here, so that it can be kept.
            let response = problem::render(response.into_response(), &call.request_id);
            Outcome {
                verdict: Verdict::of(response.status()),
                response,
            }
        };
        let answered = keys.once(request, run).await;
        answered.map_err(|refusal| {
            refusal.log(&request_id.0);
            Problem::of_refusal(&refusal)
        })
    }

    /// The version that the record has now.
    async fn current_version(&self, variables: &Map<String, Value>) -> Result<i64, Problem> {
        let mut id = Map::new();
        if let Some(value) = variables.get(ID) {
            id.insert(ID.to_owned(), value.clone());
        }
        let response = self
            .run(&self.route.version, id, false)
            .await
            .map_err(|(response, _)| self.failed(&response, Input::Query, BodyFaults::default()))?;
        Found::within(&response)
            .number("version")
            .ok_or_else(|| self.not_found())
    }

    pub(super) fn json(
        &self,
        status: StatusCode,
        mut headers: HeaderMap,
        found: &Found<'_>,
    ) -> Result<Response, Problem> {
        let body = match found.body {
            // Lists come as JSON text.
            ConstValue::Binary(text) => text.clone(),
            value => {
                let shape = &self.route.operation.answer;
                let body = serde_json::to_vec(&Shaped { value, shape }).map_err(|error| {
                    tracing::error!(%error, "an answer cannot be written as JSON");
                    Problem::internal()
                })?;
                body.into()
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, REVALIDATE);
        Ok((status, headers, body).into_response())
    }
}

fn not_modified(tag: &ETag) -> Response {
    let mut headers = conditional::header(tag);
    headers.insert(CACHE_CONTROL, REVALIDATE);
    // The length is unknown: a Content-Length of 0 would claim to be that of the record (RFC
    // 9110, section 8.6).
    let body = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    (StatusCode::NOT_MODIFIED, headers, body).into_response()
}

fn version_of(found: &Found<'_>) -> Result<i64, Problem> {
    found.number("version").ok_or_else(Problem::internal)
}

fn tag_of(found: &Found<'_>) -> Result<ETag, Problem> {
    conditional::tag(version_of(found)?)
}

/// The answer to a GET whose `If-Match` names other versions. A GET sends no fields that could
/// differ.
fn other_version(version: i64) -> Problem {
    match i32::try_from(version) {
        Ok(current_version) => Problem::stale(Stale {
            current_version,
            differs: Vec::new(),
        }),
        Err(_) => Problem::internal(),
    }
}
