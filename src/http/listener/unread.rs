//! What is left of a request's body when the answer is decided. Somebody who is still
//! sending does not read yet; if the connection were closed now, the answer would be lost
//! with it. So the rest is read and thrown away, within limits (RFC 9112, section 9.6).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// The most bytes that are thrown away: several times the largest body that is taken
/// unless told otherwise, so that whoever sends a file by mistake is told so.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How long it may take: as long as a body that is wanted.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The rest of a body that nobody wants.
pub struct Unread {
    body: Incoming,
    /// Whether anybody has begun to read it. If nobody has, a client that waits for
    /// `100 Continue` sends nothing of it.
    pub is_begun: bool,
}

impl Unread {
    /// Whether it is known to be longer than what is thrown away.
    pub fn is_too_long(&self) -> bool {
        self.body.size_hint().lower() > MAX_BYTES
    }

    /// Throws the rest away. Returns whether that was all of it.
    pub async fn discard(mut self) -> bool {
        let all = async {
            let mut left = MAX_BYTES;
            // The end of a body whose length was told is where that is reached: hyper says so
            // no sooner than it looks for the next request.
            while !self.body.is_end_stream() {
                // What breaks off has an end, too.
                let Some(Ok(frame)) = self.body.frame().await else {
                    break;
                };
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
            true
        };
        timeout(TIMEOUT, all).await.unwrap_or(false)
    }
}

/// Lends a body to whoever is to read it, and gets back what is left. None if there
/// is nothing in it.
pub fn lend(body: Incoming) -> (Body, Option<oneshot::Receiver<Unread>>) {
    if body.is_end_stream() {
        return (Body::empty(), None);
    }
    let (owner, receiver) = oneshot::channel();
    let lent = Lent {
        unread: Some(Unread {
            body,
            is_begun: false,
        }),
        owner: Some(owner),
    };
    (Body::new(lent), Some(receiver))
}

/// A body that goes back to its owner when it is dropped before its end.
struct Lent {
    /// None once its end was read.
    unread: Option<Unread>,
    owner: Option<oneshot::Sender<Unread>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(unread) = &mut self.unread else {
            return Poll::Ready(None);
        };
        unread.is_begun = true;
        let frame = ready!(Pin::new(&mut unread.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.unread = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.unread
            .as_ref()
            .is_none_or(|unread| unread.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.unread
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |unread| unread.body.size_hint())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_end_stream() {
            return;
        }
        if let (Some(unread), Some(owner)) = (self.unread.take(), self.owner.take()) {
            // Nobody waits for it when the connection is gone.
            let _ = owner.send(unread);
        }
    }
}
