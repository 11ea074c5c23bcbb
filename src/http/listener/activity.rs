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
pub struct UnderWay(Arc<Activity>);

impl UnderWay {
    /// Begins a request. `is_sized` says whether its body has a declared length, and is not
    /// empty.
    pub fn begin(activity: &Arc<Activity>, is_sized: bool) -> Self {
        activity.is_sized.store(is_sized, Ordering::Release);
        activity.is_beside.store(false, Ordering::Release);
        activity.begun.fetch_add(1, Ordering::AcqRel);
        Self::of(activity)
    }

    /// Begins a part of the latest request that runs in a task of its own.
    pub fn go_on(activity: &Arc<Activity>) -> Self {
        activity.is_beside.store(true, Ordering::Release);
        Self::of(activity)
    }

    fn of(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(activity) = self;
        let was_last = activity.under_way.fetch_sub(1, Ordering::AcqRel) == 1;
        // Otherwise the connection itself has done all the work, and needs no waking.
        if was_last && activity.is_beside.load(Ordering::Acquire) {
            activity.wake();
        }
    }
}
