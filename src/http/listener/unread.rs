//! The rest of a request's body when its answer is decided. A client that is still sending
//! does not read yet; if the connection were closed now, the answer would be lost. So the
//! rest is read and dropped, within limits (RFC 9112, section 9.6).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// The most bytes that are dropped: several times the default limit of a body, so that a
/// client which sends a file by mistake can read the error.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How long that may take: as long as reading a body.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The rest of a body that its handler has not read.
pub struct Unread {
    body: Incoming,
    /// Whether the handler has begun to read the body. If not, a client that waits for `100
    /// Continue` has sent nothing of it.
    pub is_begun: bool,
}

impl Unread {
    /// Whether the rest is known to be longer than [`MAX_BYTES`].
    pub fn is_too_long(&self) -> bool {
        self.body.size_hint().lower() > MAX_BYTES
    }

    /// Reads the rest and drops it. Returns whether that was all of it.
    pub async fn discard(mut self) -> bool {
        let all = async {
            let mut left = MAX_BYTES;
            // A body of declared length is at its end once that length was read. `frame`
            // reports this end only when hyper looks for the next request.
            while !self.body.is_end_stream() {
                // A body that breaks off has ended, too.
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

/// Lends a body to its handler, and receives what the handler leaves of it. None if the
/// body is empty.
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

/// A body that returns to its owner if it is dropped before its end.
struct Lent {
    /// None once the end was read.
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
            // The receiver is gone if the connection is.
            let _ = owner.send(unread);
        }
    }
}
