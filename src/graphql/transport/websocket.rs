//! `GET /graphql`: a query in the URL, or the upgrade to a WebSocket with the
//! subprotocol `graphql-transport-ws` (graphql-ws, PROTOCOL.md).
//!
//! The token comes in the payload of `connection_init` as `Authorization`. It is
//! checked again for every operation, so a revoked one stops working here, too.
//!
//! One task serves a connection, and reads the next message only when everything that it had
//! to send is on its way. So a client that does not read cannot make anything pile up.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_graphql::ServerError;
use async_graphql_axum::GraphQLProtocol;
use axum::{
    Extension,
    extract::{
        FromRequestParts, RawQuery, State,
        ws::{
            CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade,
            rejection::WebSocketUpgradeRejection,
        },
    },
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    },
    response::{IntoResponse, Response},
};
use entity::change::Face;
use futures_util::SinkExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
    time::{Instant, interval_at, timeout},
};

use super::http;
use crate::{
    auth::Credentials,
    error::Error,
    gateway::Gateway,
    graphql::{
        error::server_error,
        operation::executor::{Answer, Executor, OperationRequest, Source, Stage},
        projection::raw_json,
        schema::Shape,
    },
    http::{listener::Lifecycle, problem::Problem, request_id::RequestId},
    telemetry::request_log::Details,
};

/// The one subprotocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// The largest message from a client, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// The read buffer of a connection, which it holds even when idle, in bytes.
const READ_BUFFER: usize = 8 * 1024;
/// The most operations that one connection may have asked for at once.
const MAX_OPERATIONS: usize = 100;
/// The most operations of one connection that are executed at once, or whose answers wait to
/// be sent.
const MAX_EXECUTED: usize = 4;
/// How long a client may take to say who it is.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a message may take to be sent, to a client that reads slowly. One that reads
/// nothing is cut off by its socket, sooner.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// How often the server asks whether the client is still there. A client of whom nothing
/// came for twice as long is gone.
const PING_EVERY: Duration = Duration::from_secs(25);

/// How a connection ends: the code and the reason of the close frame.
type End = (u16, String);

/// Close codes of the protocol.
const INVALID_MESSAGE: u16 = 4400;
const UNAUTHORIZED: u16 = 4401;
const FORBIDDEN: u16 = 4403;
const INIT_TIMED_OUT: u16 = 4408;
const DUPLICATE: u16 = 4409;
const TOO_MANY_INITS: u16 = 4429;
/// The server failed (RFC 6455, section 7.4.1).
const INTERNAL: u16 = 1011;
/// The server is going away (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;
/// The longest reason that fits into a close frame, in bytes (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// Serves `GET /graphql`.
pub async fn get(
    state: State<Executor>,
    Extension(request_id): Extension<RequestId>,
    details: Extension<Details>,
    query: RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    // `Upgrade` may offer other protocols: clients that prefer HTTP/2 offer `h2c`.
    let is_socket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    if !headers.get(UPGRADE).is_some_and(is_socket) {
        return http::get(state, Extension(request_id), details, query, headers).await;
    }
    let State(executor) = state;
    if !is_own_origin(executor.gateway(), &headers) {
        let detail = "Web pages of this origin may not open a WebSocket here. The operator can \
                      allow the origin with --allow-origin.";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    match (upgrade, offers_protocol(&headers).await) {
        (Ok(upgrade), true) => upgrade
            .protocols([PROTOCOL])
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .read_buffer_size(READ_BUFFER)
            .on_upgrade(move |socket| serve(socket, executor, request_id)),
        (Ok(_), false) => {
            let detail = format!("The WebSocket must offer the subprotocol {PROTOCOL}.");
            Problem::new(StatusCode::BAD_REQUEST, detail).into_response()
        }
        (Err(rejection), _) => {
            Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()).into_response()
        }
    }
}

/// Whether the client offers our subprotocol. async-graphql knows an older one, too.
async fn offers_protocol(headers: &HeaderMap) -> bool {
    let mut request = axum::http::Request::new(());
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = offered.filter_map(|value| value.to_str().ok());
    let offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    for name in offered.filter(|name| *name == PROTOCOL) {
        if let Ok(name) = HeaderValue::from_str(name) {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
    }
    let (mut head, ()) = request.into_parts();
    GraphQLProtocol::from_request_parts(&mut head, &())
        .await
        .is_ok()
}

/// Browsers let any page open a WebSocket to any server, so the server must check the origin.
/// Other programs send no origin.
fn is_own_origin(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok())
        .and_then(|origin| origin.authority().map(ToString::to_string));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let mut allowed = gateway.settings.allow_origin.iter().flatten();
    allowed.any(|allowed| allowed == origin)
        || authority.is_some_and(|authority| Some(authority.as_str()) == host)
}

/// A message from the client.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Received {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Subscribe { id: String, payload: Subscribe },
    Complete { id: String },
    Ping { payload: Option<Value> },
    Pong,
}

/// What a client asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscribe {
    query: String,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
}

async fn serve(mut socket: WebSocket, executor: Executor, request_id: RequestId) {
    let Lifecycle { stopping, tasks } = executor.gateway().lifecycle.clone();
    // While this token lives, a server that stops waits, so that the close frame is sent.
    let _task = tasks.token();
    let ended = tokio::select! {
        ended = converse(&mut socket, executor, request_id) => ended,
        () = stopping.cancelled() => Some((GOING_AWAY, "The server is stopping.".to_owned())),
    };
    if let Some((code, mut reason)) = ended {
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        let reason = reason.into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // The client may have left already.
        let _ = timeout(SEND_TIMEOUT, socket.send(close)).await;
    }
}

/// Answers what the client sends. None if the client has left, or does not read.
async fn converse(
    socket: &mut WebSocket,
    executor: Executor,
    request_id: RequestId,
) -> Option<End> {
    let credentials = match timeout(INIT_TIMEOUT, greet(socket)).await {
        Err(_) => {
            let reason = "Connection initialisation timeout";
            return Some((INIT_TIMED_OUT, reason.to_owned()));
        }
        Ok(Err(end)) => return end,
        Ok(Ok(credentials)) => credentials,
    };
    match executor.gateway().authenticator.viewer(&credentials).await {
        Ok(_) => {}
        Err(Error::Unauthenticated) => return Some(forbidden()),
        Err(error) => {
            error.log(&request_id.0);
            return Some((INTERNAL, "The database does not answer".to_owned()));
        }
    }
    send(socket, &json!({ "type": "connection_ack" })).await?;
    let mut session = Session {
        executor,
        credentials: Arc::new(credentials),
        request_id,
        under_way: HashMap::new(),
        answers: JoinSet::new(),
        turns: Arc::new(Semaphore::new(MAX_EXECUTED)),
    };
    let mut heard = Instant::now();
    let mut ping = interval_at(heard + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
            received = socket.recv() => {
                heard = Instant::now();
                let reply = match received?.ok()? {
                    Message::Text(text) => session.take(text.as_bytes()),
                    Message::Binary(bytes) => session.take(&bytes),
                    Message::Ping(_) | Message::Pong(_) => Ok(None),
                    Message::Close(_) => {
                        // The reply was made, and not sent yet.
                        let _ = timeout(SEND_TIMEOUT, socket.flush()).await;
                        return None;
                    }
                };
                match reply {
                    Ok(Some(reply)) => send(socket, &reply).await?,
                    // A ping of the transport was answered, but not sent yet.
                    Ok(None) => timeout(SEND_TIMEOUT, socket.flush()).await.ok()?.ok()?,
                    Err(end) => return Some(end),
                }
            }
            answered = session.next() => match answered {
                Ok(Answered { messages, turn }) => {
                    for message in messages {
                        send_text(socket, message).await?;
                    }
                    drop(turn);
                    // The client was not listened to meanwhile.
                    heard = Instant::now();
                    ping.reset();
                }
                Err(end) => return Some(end),
            },
            _ = ping.tick() => {
                if heard.elapsed() > 2 * PING_EVERY {
                    return None;
                }
                let ping = Message::Ping(Vec::new().into());
                timeout(SEND_TIMEOUT, socket.send(ping)).await.ok()?.ok()?;
            }
        }
    }
}

/// Waits for `connection_init`, and reads the token in it.
async fn greet(socket: &mut WebSocket) -> Result<Credentials, Option<End>> {
    loop {
        let message = match socket.recv().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                socket.flush().await.map_err(|_| None)?;
                continue;
            }
            Some(Ok(Message::Binary(_))) => return Err(Some(invalid())),
            _ => return Err(None),
        };
        match serde_json::from_str(&message) {
            Ok(Received::ConnectionInit { payload }) => {
                let payload = payload.unwrap_or_default();
                let sent = payload
                    .get("Authorization")
                    .or_else(|| payload.get("authorization"))
                    .and_then(Value::as_str);
                let credentials = sent.and_then(Credentials::parse);
                return credentials.ok_or_else(|| Some(forbidden()));
            }
            Ok(Received::Ping { payload }) => {
                send(socket, &pong(payload)).await.ok_or(None)?;
            }
            Ok(Received::Pong) => {}
            Ok(_) => return Err(Some((UNAUTHORIZED, "Unauthorized".to_owned()))),
            Err(_) => return Err(Some(invalid())),
        }
    }
}

fn pong(payload: Option<Value>) -> Value {
    match payload {
        None => json!({ "type": "pong" }),
        Some(payload) => json!({ "type": "pong", "payload": payload }),
    }
}

fn forbidden() -> End {
    (FORBIDDEN, "Forbidden".to_owned())
}

fn invalid() -> End {
    (INVALID_MESSAGE, "Invalid message".to_owned())
}

/// Sends a message; none if the client has left, or does not read.
async fn send(socket: &mut WebSocket, message: &Value) -> Option<()> {
    send_text(socket, message.to_string().into()).await
}

async fn send_text(socket: &mut WebSocket, text: Utf8Bytes) -> Option<()> {
    let sent = timeout(SEND_TIMEOUT, socket.send(Message::Text(text))).await;
    sent.ok()?.ok()
}

/// What one connection is asked for.
struct Session {
    executor: Executor,
    credentials: Arc<Credentials>,
    request_id: RequestId,
    /// The operations under way, by the ids that the client gave them.
    under_way: HashMap<String, UnderWay>,
    answers: JoinSet<(String, Result<Answer, Error>, Turn)>,
    turns: Arc<Semaphore>,
}

/// The right to be executed, which an answer keeps until it was sent.
type Turn = Option<OwnedSemaphorePermit>;

/// An operation that was asked for.
struct UnderWay {
    task: AbortHandle,
    has_begun: Arc<AtomicBool>,
}

/// The messages of an operation that has ended.
struct Answered {
    messages: Vec<Utf8Bytes>,
    turn: Turn,
}

impl Session {
    /// Takes a message. Returns what to answer at once.
    fn take(&mut self, message: &[u8]) -> Result<Option<Value>, End> {
        match serde_json::from_slice(message).map_err(|_| invalid())? {
            Received::ConnectionInit { .. } => {
                let reason = "Too many initialisation requests";
                Err((TOO_MANY_INITS, reason.to_owned()))
            }
            Received::Ping { payload } => Ok(Some(pong(payload))),
            Received::Pong => Ok(None),
            Received::Complete { id } => {
                // One that has begun goes on to its end, and keeps its turn until then.
                if let Some(operation) = self.under_way.remove(&id)
                    && !operation.has_begun.load(Ordering::Acquire)
                {
                    operation.task.abort();
                }
                Ok(None)
            }
            Received::Subscribe { id, payload } => self.begin(id, payload),
        }
    }

    fn begin(&mut self, id: String, sent: Subscribe) -> Result<Option<Value>, End> {
        let is_full = self.answers.len() >= MAX_OPERATIONS;
        let place = match self.under_way.entry(id) {
            Entry::Occupied(place) => {
                let reason = format!("Subscriber for {} already exists", place.key());
                return Err((DUPLICATE, reason));
            }
            Entry::Vacant(place) if is_full => {
                let error = server_error(Error::Limit(format!(
                    "At most {MAX_OPERATIONS} operations may be under way on one connection."
                )));
                let refused = json!({ "id": place.key(), "type": "error", "payload": [error] });
                return Ok(Some(refused));
            }
            Entry::Vacant(place) => place,
        };
        let id = place.key().clone();
        let turns = Arc::clone(&self.turns);
        let executor = self.executor.clone();
        let credentials = Arc::clone(&self.credentials);
        let request_id = self.request_id.clone();
        let has_begun = Arc::<AtomicBool>::default();
        let begins = Arc::clone(&has_begun);
        let task = self.answers.spawn(async move {
            // The semaphore is never closed.
            let turn = turns.acquire_owned().await.ok();
            begins.store(true, Ordering::Release);
            let answer = execute(&executor, &credentials, &request_id, sent).await;
            (id, answer, turn)
        });
        place.insert(UnderWay { task, has_begun });
        Ok(None)
    }

    /// The messages of the next operation that ends. Waits for ever if none is under way.
    async fn next(&mut self) -> Result<Answered, End> {
        loop {
            let Some(ended) = self.answers.join_next_with_id().await else {
                return pending().await;
            };
            // An operation that the client has given up was aborted.
            let Ok((task, (id, answer, turn))) = ended else {
                continue;
            };
            // It may have ended before that, and its id may have been given to another.
            let operation = self.under_way.get(&id);
            if operation.is_none_or(|operation| operation.task.id() != task) {
                continue;
            }
            self.under_way.remove(&id);
            let answered = |messages| Ok(Answered { messages, turn });
            let answer = match answer {
                Ok(answer) => answer,
                Err(Error::Unauthenticated) => return Err(forbidden()),
                Err(error) => {
                    error.log(&self.request_id.0);
                    return answered(vec![failed(&id, &[server_error(error)])]);
                }
            };
            let response = &answer.response;
            if answer.stage != Stage::Executed {
                return answered(vec![failed(&id, &response.errors)]);
            }
            let written = raw_json::write_answer(Some(&response.data), &response.errors);
            let written = written.ok().and_then(|text| String::from_utf8(text).ok());
            let Some(payload) = written else {
                tracing::error!(id = self.request_id.0.as_ref(), "an answer is no JSON");
                return Err((INTERNAL, "Internal error".to_owned()));
            };
            let name = json!(id);
            let next = format!("{{\"id\":{name},\"type\":\"next\",\"payload\":{payload}}}");
            let complete = json!({ "id": id, "type": "complete" });
            return answered(vec![next.into(), complete.to_string().into()]);
        }
    }
}

/// The message about an operation that was not executed.
fn failed(id: &str, errors: &[ServerError]) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Failed<'a> {
        id: &'a str,
        r#type: &'static str,
        payload: &'a [ServerError],
    }
    let message = Failed {
        id,
        r#type: "error",
        payload: errors,
    };
    // Names, texts and numbers: nothing in it can fail to be written.
    serde_json::to_string(&message).unwrap_or_default().into()
}

async fn execute(
    executor: &Executor,
    credentials: &Credentials,
    request_id: &RequestId,
    sent: Subscribe,
) -> Result<Answer, Error> {
    let gateway = executor.gateway();
    let viewer = gateway.authenticator.viewer(credentials).await?;
    let operation = OperationRequest {
        document: Source::Text(sent.query),
        name: sent.operation_name,
        variables: sent.variables.unwrap_or_default(),
        store: gateway.store.clone(),
        viewer,
        face: Face::Graphql,
        shape: Shape::GRAPHQL,
        request_id: request_id.0.clone(),
        queries_only: false,
        check_only: false,
    };
    Ok(executor.execute(operation).await)
}
