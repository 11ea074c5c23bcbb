//! What the service and the socket below it must know of one connection: whether a
//! request is under way, how many have begun, and what the connection has become.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What one connection does.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests that have begun since the connection was accepted.
    begun: AtomicUsize,
    /// Requests whose body is being read, or whose answer is being made.
    under_way: AtomicUsize,
    has_unread: AtomicBool,
    is_upgraded: AtomicBool,
}

impl Activity {
    /// The number of requests that have begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Notes whether a part of a request is unread, which the client may still be sending.
    pub fn set_unread(&self, has_unread: bool) {
        self.has_unread.store(has_unread, Ordering::Release);
    }

    /// Whether a part of a request is unread.
    pub fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Acquire)
    }

    /// Notes that the connection speaks another protocol from now on.
    pub fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Release);
    }

    /// Whether the connection speaks another protocol.
    pub fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }
}

/// A request, or the rest of one, that is under way until this is dropped.
pub struct UnderWay(Arc<Activity>);

impl UnderWay {
    /// A request begins.
    pub fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::AcqRel);
        Self::go_on(activity)
    }

    /// A part of a request that has begun already goes on by itself.
    pub fn go_on(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}
