//! The listener: connections with time limits, and a stop that drops no request.
//!
//! `axum::serve` has no time limit for headers: a client that never finishes them would
//! keep its connection for ever, and stopping would wait for it.

mod activity;
mod crowd;
mod socket;
mod unread;

use std::{
    convert::Infallible, io::ErrorKind, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use axum::{
    Router,
    body::HttpBody,
    http::{
        HeaderValue, Request, Response, StatusCode, Version,
        header::{CONNECTION, EXPECT},
        request::Parts,
    },
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    body::guarded::Guarded,
    host::{self, Peer},
};
use crate::config::Settings;
use activity::{Activity, UnderWay};
use crowd::Crowd;
use socket::{HEAD_TIMEOUT, Socket};

/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// The most bytes of a request's line and headers.
const MAX_HEAD: usize = 40 * 1024;
/// How long requests may take to finish once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a stopping server still takes requests. Its answers tell clients to send no
/// further ones on their connections.
const GRACE: Duration = Duration::from_millis(500);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The life of a server: when it begins to stop, and what it must wait for then.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Connections and operations under way.
    pub tasks: TaskTracker,
}

/// Serves `router` on `listener` until the server is to stop, then finishes the requests
/// under way. The settings say how long a connection may be idle between two requests, and
/// how many may be open. Returns whether everything was finished in time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    settings: &Settings,
) -> bool {
    let Lifecycle { stopping, tasks } = lifecycle;
    let keep_alive = settings.keep_alive();
    let crowd = Crowd::new(settings.max_connections as usize);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The socket has stricter limits. This one makes hyper poll the socket between requests.
        .header_read_timeout(keep_alive + HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let serve_connection = |stream: TcpStream, peer: SocketAddr| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection is gone already");
        }
        let activity = Arc::default();
        let Some(admission) = crowd.admit(&activity) else {
            tracing::debug!("all connections are being served: one more was refused");
            return;
        };
        let state = Arc::new(ConnectionState {
            router: router.clone(),
            peer: Peer(peer.ip()),
            activity,
            stopping: stopping.clone(),
            tasks: tasks.clone(),
        });
        let ended = admission.ended.clone();
        let activity = Arc::clone(&state.activity);
        let socket = Socket::new(stream, activity, keep_alive, admission);
        let served = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&served), request));
        let connection = builder
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                // Requests that have arrived by then are read and answered.
                biased;
                ended = &mut connection => ended,
                () = ended.cancelled() => {
                    // A request may have begun in this moment: it is answered.
                    if state.activity.is_at_rest() {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = grace_over(&stopping) => {
                    // Answers the requests that were read, and takes no further one.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    };
    let mut end = pin!(grace_over(&stopping));
    loop {
        tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => serve_connection(stream, peer),
                // The client has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Connections that the system has established, but that were not accepted yet. The
    // system is asked directly, as the runtime may not know of them.
    match listener.into_std() {
        Ok(listener) => {
            while let Ok((stream, peer)) = listener.accept() {
                let stream = stream.set_nonblocking(true).map(|()| stream);
                match stream.and_then(TcpStream::from_std) {
                    Ok(stream) => serve_connection(stream, peer),
                    Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                }
            }
        }
        Err(error) => tracing::warn!(%error, "cannot take what has connected"),
    }
    tasks.close();
    tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait())
        .await
        .is_ok()
}

/// Waits until the server begins to stop and [`GRACE`] is over.
async fn grace_over(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// What the requests of one connection share.
struct ConnectionState {
    router: Router,
    peer: Peer,
    activity: Arc<Activity>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// Answers a request, and then deals with the rest of its body. A stopping server closes
/// each connection after its next answer.
async fn answer(
    connection: Arc<ConnectionState>,
    request: Request<Incoming>,
) -> Result<Response<Guarded<UnderWay>>, Infallible> {
    let (head, body) = request.into_parts();
    let is_sized = body.size_hint().exact().is_some_and(|length| length > 0);
    let under_way = UnderWay::begin(&connection.activity, is_sized);
    let is_announced = is_announced(&head);
    let (body, left) = unread::lend(body);
    let mut request = Request::from_parts(head, body);
    let checked = host::check(&request);
    let mut is_last = checked.is_err();
    if let Err(problem) = checked {
        // The router gives the problem a request id and a line in the log.
        request.extensions_mut().insert(problem);
    }
    request.extensions_mut().insert(connection.peer);

    let mut response = connection.router.clone().oneshot(request).await?;
    is_last |= connection.stopping.is_cancelled();
    // Nothing comes back if the body was read to its end, or is still being read.
    if let Some(left) = left.and_then(|mut left| left.try_recv().ok()) {
        let is_slow = response.status() == StatusCode::REQUEST_TIMEOUT;
        // Set before the rest is dropped, as the socket looks at it when it is closed.
        connection.activity.set_unread(true);
        if is_slow {
            is_last = true;
        } else {
            // A client that waits for `100 Continue` gets the answer instead, and may then
            // send the body or leave it out: nobody knows what comes next.
            is_last |= left.is_too_long() || (is_announced && !left.is_begun);
            // This causes no `100 Continue`: the head of the answer goes out first.
            discard(&connection, left);
        }
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        connection.activity.upgrade();
    } else if is_last {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    // The request is under way until the body of its answer is dropped.
    Ok(response.map(|body| Guarded::new(body, under_way)))
}

/// Whether a client waits for `100 Continue` before it sends a body (RFC 9110, section
/// 10.1.1).
fn is_announced(head: &Parts) -> bool {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    head.version == Version::HTTP_11 && head.headers.get_all(EXPECT).iter().any(is_known)
}

/// Reads the rest of a body and drops it, while the client may already read the answer. If
/// the rest is too long, the connection ends.
fn discard(connection: &Arc<ConnectionState>, left: unread::Unread) {
    let connection = Arc::clone(connection);
    let under_way = UnderWay::go_on(&connection.activity);
    connection.tasks.clone().spawn(async move {
        let is_all = tokio::select! {
            is_all = left.discard() => is_all,
            () = grace_over(&connection.stopping) => false,
        };
        if is_all {
            connection.activity.set_unread(false);
        }
        drop(under_way);
    });
}
