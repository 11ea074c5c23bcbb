//! `GET /graphql`: a query in the URL, or the upgrade to a WebSocket with the
//! subprotocol `graphql-transport-ws` (graphql-ws, PROTOCOL.md).
//!
//! The token comes in the payload of `connection_init` as `Authorization`. It is
//! checked again for every operation, so a revoked one stops working here, too.
//!
//! One task serves a connection, and reads the next message only when everything that it had
//! to send is on its way. So a client that does not read cannot make anything pile up.

mod session;

use std::time::Duration;

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
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, timeout};

use super::http;
use crate::{
    auth::Credentials,
    error::Error,
    gateway::Gateway,
    graphql::operation::executor::Executor,
    http::{listener::Lifecycle, problem::Problem, request_id::RequestId},
    telemetry::request_log::Details,
};
use session::{Answered, Conversation, Received};

/// The one subprotocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// The largest message from a client, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// The read buffer of a connection, which it holds even when idle, in bytes.
const READ_BUFFER: usize = 8 * 1024;
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

/// Close codes of the protocol. `session.rs` decides on those of operations.
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
    let mut session = Conversation::new(executor, credentials, request_id);
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
