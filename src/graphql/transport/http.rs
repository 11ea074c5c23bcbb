//! `/graphql` over HTTP, after the GraphQL-over-HTTP specification: JSON by POST,
//! queries by GET, one operation a request.

use async_graphql::{ServerError, Value as ConstValue};
use axum::{
    Extension,
    extract::{RawQuery, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};

use super::media::Media;
use crate::{
    auth::Viewer,
    error::{Code, Error},
    gateway::Gateway,
    graphql::{
        error::document_error,
        operation::executor::{Answer, Executor, OperationRequest, Prepared, Source, Stage},
        projection::raw_json,
        schema::Shape,
    },
    http::{
        body::{self, BodyRefusal, Declared},
        json, query_string,
        request_id::RequestId,
        retry,
    },
    idempotency::{Key, KeyedRequest, MAX_ANSWER, NotExecuted, Outcome, Verdict},
    records::Store,
    telemetry::request_log::Details,
};
use entity::change::Face;

/// The members of a request (GraphQL over HTTP, "Request Parameters").
pub(super) struct Parameters {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Map<String, Value>,
}

/// `POST /graphql`.
pub async fn post(
    State(executor): State<Executor>,
    Extension(request_id): Extension<RequestId>,
    Extension(details): Extension<Details>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Parts {
        method,
        uri,
        headers,
        ..
    } = head;
    let (viewer, media) = match admit(executor.gateway(), &headers, &request_id).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    details.note_viewer(&viewer);
    let limit = executor.gateway().settings.max_body_bytes;
    let sent = match body::read_json(&headers, body, limit, Declared::AsJson).await {
        Ok(sent) => sent,
        Err(refusal) => return refuse_body(refusal),
    };
    let parameters = match from_body(&sent) {
        Ok(parameters) => parameters,
        Err(message) => return bad_request(message),
    };
    let token = viewer.token;
    let store = executor.gateway().store.counting(details.statements());
    let operation = parameters.operation(store, viewer, &request_id);
    let prepared = match executor.prepare(operation) {
        Ok(prepared) => prepared,
        Err(refused) => return respond(media, &refused),
    };
    if let Some(name) = prepared.name() {
        details.note_operation(name);
    }
    if prepared.is_mutation() {
        match Key::of(&headers) {
            Ok(None) => {}
            Ok(Some(key)) => {
                let request = KeyedRequest::new(token, key, &method, &uri, &sent);
                let request = request.counting(details.statements());
                return run_once(executor, media, &request_id, request, prepared).await;
            }
            Err(message) => return bad_request(message),
        }
    }
    respond(media, &executor.run(prepared).await)
}

/// `GET /graphql`: queries only.
pub async fn get(
    State(executor): State<Executor>,
    Extension(request_id): Extension<RequestId>,
    Extension(details): Extension<Details>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let (viewer, media) = match admit(executor.gateway(), &headers, &request_id).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    details.note_viewer(&viewer);
    match from_url(&query.unwrap_or_default()) {
        Ok(parameters) => {
            let store = executor.gateway().store.counting(details.statements());
            let operation = OperationRequest {
                queries_only: true,
                ..parameters.operation(store, viewer, &request_id)
            };
            let prepared = match executor.prepare(operation) {
                Ok(prepared) => prepared,
                Err(refused) => return respond(media, &refused),
            };
            if let Some(name) = prepared.name() {
                details.note_operation(name);
            }
            respond(media, &executor.run(prepared).await)
        }
        Err(message) => bad_request(message),
    }
}

/// Authenticates the caller, and negotiates the media type of the answer.
async fn admit(
    gateway: &Gateway,
    headers: &HeaderMap,
    request_id: &RequestId,
) -> Result<(Viewer, Media), Response> {
    let viewer = gateway
        .authenticator
        .viewer_of(headers)
        .await
        .map_err(|error| refuse_error(&error, request_id))?;
    let media = Media::negotiate(headers).ok_or_else(not_acceptable)?;
    Ok((viewer, media))
}

impl Parameters {
    /// The operation that they ask for.
    pub(super) fn operation(
        self,
        store: Store,
        viewer: Viewer,
        request_id: &RequestId,
    ) -> OperationRequest {
        OperationRequest {
            document: Source::Text(self.query),
            name: self.operation_name,
            variables: self.variables,
            store,
            viewer,
            face: Face::Graphql,
            shape: Shape::GRAPHQL,
            request_id: request_id.0.clone(),
            queries_only: false,
            check_only: false,
        }
    }
}

/// Executes a mutation. If `request` was executed before, its first answer is given again.
async fn run_once(
    executor: Executor,
    media: Media,
    request_id: &RequestId,
    request: KeyedRequest,
    prepared: Prepared,
) -> Response {
    let keys = executor.gateway().keys.clone();
    let run = move |database| async move {
        let mut answer = executor.run(prepared.within(database, MAX_ANSWER)).await;
        let verdict = verdict_of(&mut answer);
        Outcome {
            response: respond(media, &answer),
            verdict,
        }
    };
    match keys.once(request, run).await {
        Ok(mut response) => {
            // The first answer may have had the other media type. Only executed answers are
            // kept, and these have the same status and the same content in both media types.
            if let Some(kept) = response.headers_mut().get_mut(CONTENT_TYPE) {
                *kept = media.content_type();
            }
            response
        }
        Err(NotExecuted::Failed(error)) => refuse_error(&error, request_id),
        Err(refusal) => {
            let code = refusal.code();
            refuse(code.status(), code, refusal.sentence())
        }
    }
}

/// What an answer means for the mutations of a request with an idempotency key. The mutations
/// take effect together, so an answer without data has changed nothing. An error that may pass
/// is answered alone: the mutations are undone, so the rest of the answer is not true.
fn verdict_of(answer: &mut Answer) -> Verdict {
    if answer.stage != Stage::Executed {
        return Verdict::Open;
    }
    let response = &mut answer.response;
    let may_pass = |error: &async_graphql::ServerError| {
        let code = error.source::<Error>().map(Error::code);
        code.is_some_and(|code| Verdict::of(code.status()) == Verdict::Open)
    };
    if let Some(place) = response.errors.iter().position(may_pass) {
        response.data = ConstValue::Null;
        response.errors = vec![response.errors.swap_remove(place)];
        return Verdict::Open;
    }
    match response.data {
        ConstValue::Null => Verdict::Refused,
        _ => Verdict::Done,
    }
}

/// An answer as it is sent, with its status.
fn respond(media: Media, answer: &Answer) -> Response {
    let Answer { stage, response } = answer;
    let status = match (stage, media) {
        (Stage::NotAQuery, _) => StatusCode::METHOD_NOT_ALLOWED,
        (Stage::Forbidden, _) => StatusCode::FORBIDDEN,
        (Stage::Failed, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (Stage::Refused, Media::Response) => StatusCode::BAD_REQUEST,
        (Stage::Refused, Media::Json) | (Stage::Executed, _) => StatusCode::OK,
    };
    let mut answer = json_response(status, media, *stage, response);
    if *stage == Stage::NotAQuery {
        let allowed = HeaderValue::from_static("POST");
        answer.headers_mut().insert(ALLOW, allowed);
    }
    let is_outage = |error: &ServerError| {
        let source = error.source::<Error>();
        matches!(source, Some(Error::Unavailable(..)))
    };
    if response.errors.iter().any(is_outage) {
        retry::soon(answer.headers_mut());
    }
    answer
}

fn from_body(body: &[u8]) -> Result<Parameters, String> {
    match json::parse(body)? {
        Value::Object(members) => from_members(members),
        Value::Array(_) => {
            Err("Batches are not supported: send one operation in a request.".to_owned())
        }
        _ => Err("The body must be a JSON object with the member \"query\".".to_owned()),
    }
}

fn from_members(mut members: Map<String, Value>) -> Result<Parameters, String> {
    let Some(Value::String(query)) = members.remove("query") else {
        return Err("\"query\" must be there, as a string.".to_owned());
    };
    let operation_name = match members.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err("\"operationName\" must be a string.".to_owned()),
    };
    let variables = match members.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err("\"variables\" must be an object.".to_owned()),
    };
    match members.remove("extensions") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(_) => return Err("\"extensions\" must be an object.".to_owned()),
    }
    Ok(Parameters {
        query,
        operation_name,
        variables,
    })
}

fn from_url(query: &str) -> Result<Parameters, String> {
    let mut members = Map::new();
    for (name, value) in query_string::pairs(query)? {
        let value = match name.as_str() {
            // Forms and some clients send an empty value for what they leave out.
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" | "extensions" => json::parse(value.as_bytes())
                .map_err(|_| format!("The parameter '{name}' must be a JSON object."))?,
            _ => Value::String(value),
        };
        members.insert(name, value);
    }
    from_members(members)
}

fn refuse_body(refusal: BodyRefusal) -> Response {
    let code = match refusal {
        BodyRefusal::TooLarge(_) => Code::LimitExceeded,
        _ => Code::ValidationFailed,
    };
    let mut response = refuse(refusal.status(), code, refusal.sentence());
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(name, value);
    }
    response
}

fn not_acceptable() -> Response {
    let message = format!("Answers are {} or {}.", Media::RESPONSE, Media::JSON);
    refuse(StatusCode::NOT_ACCEPTABLE, Code::ValidationFailed, message)
}

/// Refuses a request whose caller may not send it, or cannot be authenticated.
pub fn refuse_error(error: &Error, request_id: &RequestId) -> Response {
    error.log(&request_id.0);
    let code = error.code();
    let mut response = refuse(code.status(), code, error.sentence());
    if code == Code::Unauthenticated {
        // The challenge is not Basic: a browser would open its own login box over GraphiQL.
        let challenge = HeaderValue::from_static("Bearer realm=\"clientele\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn bad_request(message: String) -> Response {
    refuse(StatusCode::BAD_REQUEST, Code::ValidationFailed, message)
}

fn refuse(status: StatusCode, code: Code, message: String) -> Response {
    let error = document_error(code, message, None);
    let response = async_graphql::Response::from_errors(vec![error]);
    json_response(status, Media::Json, Stage::Refused, &response)
}

/// An answer as it is sent. Requests that were refused before execution have no data.
fn json_response(
    status: StatusCode,
    media: Media,
    stage: Stage,
    response: &async_graphql::Response,
) -> Response {
    let data = (stage == Stage::Executed).then_some(&response.data);
    match raw_json::write_answer(data, &response.errors) {
        Ok(body) => (
            status,
            [
                (CONTENT_TYPE, media.content_type()),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            body,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
