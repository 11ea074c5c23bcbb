//! The listener: connections with time limits, and an end that drops no request.
//!
//! `axum::serve` has no limit for headers, so a client that never finishes them
//! would stay for ever, and stopping would wait for it.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take to send its headers, and may rest between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// The most bytes of a request's line and headers.
const MAX_HEAD: usize = 40 * 1024;
/// How long requests may take to finish once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
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
    let mut stop = pin!(stopping.cancelled());
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection is gone already");
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let stopping = stopping.clone();
        tasks.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stopping.cancelled() => {
                    // Answers what was asked for and takes no further request.
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    tasks.close();
    tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait())
        .await
        .is_ok()
}
