//! The listener: connections with time limits, and an end that drops no request.
//!
//! `axum::serve` has no limit for headers, so a client that never finishes them
//! would stay for ever, and stopping would wait for it.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{
        HeaderValue, Request, StatusCode, Version,
        header::{CONNECTION, HOST},
    },
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// How long a client may take to send its headers, and may rest between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// The most bytes of a request's line and headers.
const MAX_HEAD: usize = 40 * 1024;
/// How long requests may take to finish once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
/// How long a stopping server still takes what is on its way, and tells clients to
/// open no further request on their connections.
const GRACE: Duration = Duration::from_millis(500);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The life of a server: when it begins to stop, and what it must wait for then.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Set off when the server begins to stop.
    pub stopping: CancellationToken,
    /// Connections and operations under way.
    pub tasks: TaskTracker,
}

/// Serves `router` on `listener` until the server is to stop, then finishes what was
/// asked for. Returns whether everything was finished in time.
pub async fn serve(listener: TcpListener, router: Router, lifecycle: Lifecycle) -> bool {
    let Lifecycle { stopping, tasks } = lifecycle;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let serve_connection = |stream: TcpStream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection is gone already");
        }
        // Cloning a token takes a lock, and every request wants one.
        let (router, is_stopping) = (router.clone(), Arc::new(stopping.clone()));
        let service =
            service_fn(move |request| answer(request, router.clone(), Arc::clone(&is_stopping)));
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                // What has arrived by then is read, and answered.
                biased;
                ended = &mut connection => ended,
                () = grace_over(&stopping) => {
                    // Answers what was asked for and takes no further request.
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
                Ok((stream, _peer)) => serve_connection(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Connections that are established already, but were not accepted yet. The system is
    // asked, for the runtime may not have heard of them.
    match listener.into_std() {
        Ok(listener) => {
            while let Ok((stream, _peer)) = listener.accept() {
                let stream = stream.set_nonblocking(true).map(|()| stream);
                match stream.and_then(TcpStream::from_std) {
                    Ok(stream) => serve_connection(stream),
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

/// Waits until the server stops, and a while longer.
async fn grace_over(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Answers a request. HTTP/1.1 requires `Host` (RFC 9112, section 3.2). A stopping
/// server closes each connection after its next answer.
async fn answer(
    request: Request<Incoming>,
    router: Router,
    stopping: Arc<CancellationToken>,
) -> Result<Response, Infallible> {
    let mut response =
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
            StatusCode::BAD_REQUEST.into_response()
        } else {
            router.oneshot(request.map(Body::new)).await?
        };
    if stopping.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}
