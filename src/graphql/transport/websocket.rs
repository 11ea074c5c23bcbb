//! `GET /graphql`: a query in the URL, or the upgrade to a WebSocket with the
//! subprotocol `graphql-transport-ws`.
//!
//! The token comes in the payload of `connection_init` as `Authorization`. It is
//! checked again for every operation, so a revoked one stops working here, too.

use entity::change::Face;
use std::{sync::Arc, time::Duration};

use async_graphql::{
    Data, Executor as GraphqlExecutor, Request, Response as GraphqlResponse, Variables,
    http::ClientMessage,
};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    Extension,
    extract::{
        FromRequestParts, RawQuery, State,
        ws::{
            CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection,
        },
    },
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    },
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt, future, stream, stream::BoxStream};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::http;
use crate::{
    auth::Credentials,
    error::Error,
    gateway::Gateway,
    graphql::{
        error::server_error,
        operation::executor::{Executor, OperationRequest, Source},
        projection::raw_json,
        schema::Shape,
    },
    http::{listener::Lifecycle, problem::Problem, request_id::RequestId},
};

/// The one subprotocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// The largest message, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// The read buffer of a connection, which it holds even when idle, in bytes.
const READ_BUFFER: usize = 8 * 1024;
/// The most operations under way on one connection.
const MAX_OPERATIONS: usize = 100;
/// How long a client may take to say who it is.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Close codes of the protocol.
const UNAUTHORIZED: u16 = 4401;
const FORBIDDEN: u16 = 4403;
const INIT_TIMED_OUT: u16 = 4408;
const INVALID_MESSAGE: u16 = 4400;
/// The server failed (RFC 6455, section 7.4.1).
const INTERNAL: u16 = 1011;
/// The server is going away (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Serves `GET /graphql`.
pub async fn get(
    state: State<Executor>,
    Extension(request_id): Extension<RequestId>,
    query: RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    // `Upgrade` may offer other protocols: clients that prefer HTTP/2 offer `h2c`.
    let is_socket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    if !headers.get(UPGRADE).is_some_and(is_socket) {
        return http::get(state, Extension(request_id), query, headers).await;
    }
    let State(executor) = state;
    if !is_own_origin(executor.gateway(), &headers) {
        let detail = "Web pages of this origin may not open a WebSocket here. The operator can \
                      allow the origin with --allow-origin.";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    match (upgrade, protocol(&headers).await) {
        (Ok(upgrade), Some(protocol)) => upgrade
            .protocols([PROTOCOL])
            .max_message_size(MAX_MESSAGE)
            .max_frame_size(MAX_MESSAGE)
            .read_buffer_size(READ_BUFFER)
            .on_upgrade(move |socket| converse(socket, protocol, executor, request_id)),
        (Ok(_), None) => {
            let detail = format!("The WebSocket must offer the subprotocol {PROTOCOL}.");
            Problem::new(StatusCode::BAD_REQUEST, detail).into_response()
        }
        (Err(rejection), _) => {
            Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()).into_response()
        }
    }
}

/// Our subprotocol, if the client offers it. async-graphql's handler knows an older one, too,
/// so it is shown only ours.
async fn protocol(headers: &HeaderMap) -> Option<GraphQLProtocol> {
    let mut offered = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    if !offered.any(|offered| offered.trim() == PROTOCOL) {
        return None;
    }
    let request = axum::http::Request::builder().header(SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    let (mut parts, ()) = request.body(()).ok()?.into_parts();
    GraphQLProtocol::from_request_parts(&mut parts, &())
        .await
        .ok()
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

async fn converse(
    mut socket: WebSocket,
    protocol: GraphQLProtocol,
    executor: Executor,
    request_id: RequestId,
) {
    let (greeting, credentials) = match greet(&mut socket, executor.gateway(), &request_id).await {
        Ok(greeted) => greeted,
        Err(refusal) => {
            let frame = CloseFrame {
                code: refusal.0,
                reason: refusal.1.into(),
            };
            // The client may have left already.
            let _ = socket.send(Message::Close(Some(frame))).await;
            return;
        }
    };
    let Lifecycle { stopping, tasks } = executor.gateway().lifecycle.clone();
    // While this token lives, a server that stops waits, so that the close frame is sent.
    let _task = tasks.token();
    let revoked = CancellationToken::new();
    let session = SocketExecutor(Arc::new(SocketSession {
        revoked: revoked.clone(),
        executor,
        credentials,
        request_id,
        permits: Arc::new(Semaphore::new(MAX_OPERATIONS)),
    }));
    let (sink, messages) = socket.split();
    // A reason of more than 123 bytes does not fit into a close frame. async-graphql's handler
    // closes with 1002 where the protocol has 4400, an invalid message.
    let mut sink = sink.with(|message| {
        let message = match message {
            Message::Close(Some(CloseFrame { code: 1002, .. })) => {
                Message::Close(Some(CloseFrame {
                    code: INVALID_MESSAGE,
                    reason: "Invalid message".into(),
                }))
            }
            message => message,
        };
        future::ready(Ok::<_, axum::Error>(message))
    });
    let messages = stream::once(future::ready(Ok(greeting))).chain(messages);
    let conversation = GraphQLWebSocket::new_with_pair(&mut sink, messages, session, protocol);
    let (code, reason) = tokio::select! {
        () = conversation.serve() => return,
        () = revoked.cancelled() => (FORBIDDEN, "Forbidden"),
        () = stopping.cancelled() => (GOING_AWAY, "The server is stopping."),
    };
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let _ = sink.send(Message::Close(Some(frame))).await;
}

/// Waits for `connection_init` and checks the token in it. Returns the message, because
/// async-graphql's handler must still answer it.
async fn greet(
    socket: &mut WebSocket,
    gateway: &Gateway,
    request_id: &RequestId,
) -> Result<(Message, Credentials), (u16, &'static str)> {
    let message = tokio::time::timeout(INIT_TIMEOUT, first_message(socket))
        .await
        .map_err(|_| (INIT_TIMED_OUT, "Connection initialisation timeout"))?
        .ok_or((INVALID_MESSAGE, "No connection_init"))?;
    let payload = match serde_json::from_slice(&message.clone().into_data()) {
        Ok(ClientMessage::ConnectionInit { payload }) => payload.unwrap_or_default(),
        Ok(_) => return Err((UNAUTHORIZED, "Unauthorized")),
        Err(_) => return Err((INVALID_MESSAGE, "Invalid message")),
    };
    let credentials = payload
        .get("Authorization")
        .or_else(|| payload.get("authorization"))
        .and_then(Value::as_str)
        .and_then(Credentials::parse)
        .ok_or((FORBIDDEN, "Forbidden"))?;
    match gateway.authenticator.viewer(&credentials).await {
        Ok(_) => Ok((message, credentials)),
        Err(Error::Unauthenticated) => Err((FORBIDDEN, "Forbidden")),
        Err(error) => {
            error.log(&request_id.0);
            Err((INTERNAL, "The database does not answer"))
        }
    }
}

/// The first message that is not a ping or a pong of the transport.
async fn first_message(socket: &mut WebSocket) -> Option<Message> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return Some(message),
        }
    }
}

struct SocketSession {
    /// Cancelled when the token is found to be valid no more.
    revoked: CancellationToken,
    executor: Executor,
    credentials: Credentials,
    request_id: RequestId,
    /// One permit for each operation that may be under way.
    permits: Arc<Semaphore>,
}

/// Executes what comes through a socket.
#[derive(Clone)]
struct SocketExecutor(Arc<SocketSession>);

impl SocketExecutor {
    async fn run(&self, request: Request) -> GraphqlResponse {
        let session = &*self.0;
        let refuse = |error: Error| {
            error.log(&session.request_id.0);
            GraphqlResponse::from_errors(vec![server_error(error)])
        };
        let Ok(_permit) = session.permits.try_acquire() else {
            return refuse(Error::Limit(format!(
                "At most {MAX_OPERATIONS} operations may be under way on one connection."
            )));
        };
        let authenticator = &session.executor.gateway().authenticator;
        let viewer = match authenticator.viewer(&session.credentials).await {
            Ok(viewer) => viewer,
            Err(error) => {
                if matches!(error, Error::Unauthenticated) {
                    session.revoked.cancel();
                }
                return refuse(error);
            }
        };
        let operation = OperationRequest {
            document: Source::Text(request.query),
            name: request.operation_name,
            variables: json_of(request.variables),
            store: session.executor.gateway().store.clone(),
            viewer,
            face: Face::Graphql,
            shape: Shape::GRAPHQL,
            request_id: session.request_id.0.clone(),
            queries_only: false,
            check_only: false,
        };
        let mut response = session.executor.execute(operation).await.response;
        // async-graphql writes the answer, and does not know JSON text in it.
        match raw_json::expand(&mut response.data) {
            Ok(()) => response,
            Err(error) => refuse(Error::Internal(Arc::new(error))),
        }
    }
}

/// The variables as they were sent. async-graphql has parsed them.
fn json_of(variables: Variables) -> Map<String, Value> {
    match variables.into_value().into_json() {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

impl GraphqlExecutor for SocketExecutor {
    async fn execute(&self, request: Request) -> GraphqlResponse {
        self.run(request).await
    }

    fn execute_stream(
        &self,
        request: Request,
        _session: Option<Arc<Data>>,
    ) -> BoxStream<'static, GraphqlResponse> {
        let executor = self.clone();
        stream::once(async move { executor.run(request).await }).boxed()
    }
}
