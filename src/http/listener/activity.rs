//! What the service and the socket below it share of one connection: whether a request is
//! under way, how many have begun, and whether the connection was upgraded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// The state of one connection.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests that have begun since the connection was accepted.
    begun: AtomicUsize,
    /// Requests, and rests of requests, that are under way.
    under_way: AtomicUsize,
    /// The requests among them.
    served: AtomicUsize,
    /// Whether an answer waits for the client to read on.
    is_stalled: AtomicBool,
    /// Whether the body of the latest request has a declared length.
    is_sized: AtomicBool,
    /// Whether a part of the latest request runs, or ran, in a task of its own.
    is_beside: AtomicBool,
    /// Wakes the connection, which rests while a request is under way or a write is stalled.
    resting: AtomicWaker,
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

    /// Whether nobody is served: no request is under way, no answer waits to be read, and the
    /// connection speaks HTTP.
    pub fn is_at_rest(&self) -> bool {
        self.served.load(Ordering::Acquire) == 0
            && !self.is_stalled.load(Ordering::Acquire)
            && !self.is_upgraded()
    }

    /// Notes whether an answer waits for the client to read on.
    pub fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Release);
    }

    /// Whether the latest request has a body of declared length. Other requests end with an
    /// empty line: that of the head, or that of the last chunk.
    pub fn is_sized(&self) -> bool {
        self.is_sized.load(Ordering::Acquire)
    }

    /// Has the connection woken by [`wake`](Self::wake), or when the last part of a request
    /// that runs in a task of its own ends.
    pub fn rest(&self, connection: &Waker) {
        self.resting.register(connection);
    }

    /// Has the connection check its time limits again.
    pub fn wake(&self) {
        self.resting.wake();
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

/// A request, or the rest of one, which is under way until this is dropped.
pub struct UnderWay {
    activity: Arc<Activity>,
    is_request: bool,
}

impl UnderWay {
    /// Begins a request. `is_sized` says whether its body has a declared length, and is not
    /// empty.
    pub fn begin(activity: &Arc<Activity>, is_sized: bool) -> Self {
        activity.is_sized.store(is_sized, Ordering::Release);
        activity.is_beside.store(false, Ordering::Release);
        activity.begun.fetch_add(1, Ordering::AcqRel);
        activity.served.fetch_add(1, Ordering::AcqRel);
        Self::of(activity, true)
    }

    /// Begins a part of the latest request that runs in a task of its own.
    pub fn go_on(activity: &Arc<Activity>) -> Self {
        activity.is_beside.store(true, Ordering::Release);
        Self::of(activity, false)
    }

    fn of(activity: &Arc<Activity>, is_request: bool) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        Self {
            activity: Arc::clone(activity),
            is_request,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self {
            activity,
            is_request,
        } = self;
        if *is_request {
            activity.served.fetch_sub(1, Ordering::AcqRel);
        }
        let was_last = activity.under_way.fetch_sub(1, Ordering::AcqRel) == 1;
        // Otherwise the connection itself has done all the work, and needs no waking.
        if was_last && activity.is_beside.load(Ordering::Acquire) {
            activity.wake();
        }
    }
}
