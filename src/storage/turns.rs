//! Turns: who gets the next connection of a pool.
//!
//! A pool that serves whoever asked first serves one caller who asks for much, and nobody
//! else. Here callers that wait get connections in turn, one each. A part of the pool is for
//! callers that have none in use, so that a caller with many statements under way keeps nobody
//! waiting; a caller with long statements has few connections; and writers, which may wait for
//! locks, never have all of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};

/// Lets one go on at a time of those who have to do with the same thing, such as the writers
/// of a record: they wait for each other here, where they keep no connection from others.
#[derive(Clone, Default)]
pub struct OneAtATime(Arc<Mutex<HashMap<i64, Weak<AsyncMutex<()>>>>>);

impl OneAtATime {
    /// Waits until nobody else has to do with the thing of this number.
    pub async fn alone(&self, number: i64) -> OwnedMutexGuard<()> {
        let mutex = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MANY {
                known.retain(|_, mutex| mutex.strong_count() > 0);
            }
            let mutex = known.get(&number).and_then(Weak::upgrade);
            mutex.unwrap_or_else(|| {
                let mutex = Arc::default();
                known.insert(number, Arc::downgrade(&mutex));
                mutex
            })
        };
        mutex.lock_owned().await
    }
}

/// Whoever is remembered beyond this number is forgotten when there is nothing to remember.
const MANY: usize = 1_024;
/// A caller whose statements take longer than this, on average, has long statements. Some are
/// slow because the database is busy, so it is not to be much less.
const LONG: Duration = Duration::from_millis(100);
/// The most connections of a caller with long statements: more would take the processors from
/// others.
const WITH_LONG: usize = 2;
/// The most statements of one request that run at a time.
const STATEMENTS_OF_REQUEST: usize = 2;

/// The number that stands for the gateway itself, which looks tokens up and tidies.
const GATEWAY: i64 = 0;
/// The number that stands for all whose statements a batch has.
const BATCHES: i64 = -1;

/// Whose statements these are: the gateway's own, unless told otherwise.
#[derive(Clone, Default)]
pub struct Share {
    /// The number of the caller's token.
    caller: i64,
    /// One permit for each statement of the request that may run now.
    request: Option<Arc<Semaphore>>,
}

impl Share {
    /// The statements of one request of a caller.
    #[must_use]
    pub fn of_request(caller: i64) -> Self {
        Self {
            caller,
            request: Some(Arc::new(Semaphore::new(STATEMENTS_OF_REQUEST))),
        }
    }

    /// Statements that serve several callers.
    #[must_use]
    pub fn of_batches() -> Self {
        Self {
            caller: BATCHES,
            request: None,
        }
    }

    /// Waits until one more statement of the request may run.
    pub async fn place(&self) -> PlaceOfRequest {
        let request = self.request.as_ref()?;
        // The semaphore is never closed.
        Arc::clone(request).acquire_owned().await.ok()
    }
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only for reading.
    Read,
    /// For writing, which may wait for a lock.
    Write,
}

/// The turns at the connections of one pool.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// The last connections, for callers that have none in use.
    reserve: usize,
    /// How many connections writers may still take.
    for_writers: usize,
    /// How many of them one caller may have: each may wait for the same lock.
    writes_of_caller: usize,
    callers: HashMap<i64, Usage>,
    /// The callers that wait: the one at the front has waited longest for its turn.
    queues: VecDeque<Queue>,
}

/// A caller who uses connections, or has done so lately.
#[derive(Default)]
struct Usage {
    in_use: usize,
    /// Those of them on which it writes.
    writes: usize,
    /// How long a connection was used for of late: an average in which the latest one counts
    /// a quarter.
    takes: Duration,
}

/// The statements of one caller that wait, in the order in which they came.
struct Queue {
    caller: i64,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    access: Access,
    turn: oneshot::Sender<Turn>,
}

/// The right to use a connection. It ends when this is dropped.
pub struct Turn {
    turns: Turns,
    caller: i64,
    access: Access,
    began: Instant,
    /// The place among the statements of the request.
    of_request: PlaceOfRequest,
}

/// A place among the statements of a request that may run now; none if it has no limit.
pub type PlaceOfRequest = Option<OwnedSemaphorePermit>;

impl Turns {
    /// Turns at so many connections.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        let part = connections / 4;
        Self(Arc::new(Mutex::new(State {
            free: connections,
            reserve: part,
            for_writers: connections - part,
            writes_of_caller: ((connections - part) / 2).max(1),
            callers: HashMap::new(),
            queues: VecDeque::new(),
        })))
    }

    /// Waits for a turn.
    pub async fn next(&self, share: &Share, place: PlaceOfRequest, access: Access) -> Turn {
        let of_request = place;
        let caller = share.caller;
        let receiver = {
            let mut state = self.lock();
            if !state.has_waiting(caller, access) && state.may_take(caller, access) {
                state.take(caller, access);
                return self.turn(caller, access, of_request);
            }
            let (turn, receiver) = oneshot::channel();
            state.queue_of(caller).push_back(Waiting { access, turn });
            receiver
        };
        match receiver.await {
            Ok(mut turn) => {
                turn.of_request = of_request;
                turn
            }
            // No sender is dropped before it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    fn turn(&self, caller: i64, access: Access, of_request: PlaceOfRequest) -> Turn {
        Turn {
            turns: self.clone(),
            caller,
            access,
            began: Instant::now(),
            of_request,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a caller may take a connection now.
    fn may_take(&self, caller: i64, access: Access) -> bool {
        let nobody = Usage::default();
        let known = self.callers.get(&caller).unwrap_or(&nobody);
        let has_long = known.takes > LONG && !matches!(caller, GATEWAY | BATCHES);
        self.free > if known.in_use == 0 { 0 } else { self.reserve }
            && (known.in_use < WITH_LONG || !has_long)
            && (access == Access::Read
                || (self.for_writers > 0 && known.writes < self.writes_of_caller))
    }

    /// Whether statements of the caller wait for the same kind of access. Its reads need not wait
    /// for its writes.
    fn has_waiting(&self, caller: i64, access: Access) -> bool {
        let queue = self.queues.iter().find(|queue| queue.caller == caller);
        let is_same = |waiting: &Waiting| waiting.access == access && !waiting.turn.is_closed();
        queue.is_some_and(|queue| queue.waiting.iter().any(is_same))
    }

    fn take(&mut self, caller: i64, access: Access) {
        let known = self.callers.entry(caller).or_default();
        known.in_use += 1;
        self.free -= 1;
        if access == Access::Write {
            known.writes += 1;
            self.for_writers -= 1;
        }
    }

    fn give_back(&mut self, caller: i64, access: Access, took: Duration) {
        self.free += 1;
        if access == Access::Write {
            self.for_writers += 1;
        }
        if let Some(known) = self.callers.get_mut(&caller) {
            known.in_use -= 1;
            if access == Access::Write {
                known.writes -= 1;
            }
            known.takes = (known.takes * 3 + took) / 4;
        }
        if self.callers.len() > MANY {
            self.callers.retain(|_, known| known.in_use > 0);
        }
    }

    fn queue_of(&mut self, caller: i64) -> &mut VecDeque<Waiting> {
        let place = self.queues.iter().position(|queue| queue.caller == caller);
        let place = place.unwrap_or_else(|| {
            self.queues.push_back(Queue {
                caller,
                waiting: VecDeque::new(),
            });
            self.queues.len() - 1
        });
        &mut self.queues[place].waiting
    }

    /// Takes a connection for the next statement that may have one, and puts its caller at
    /// the end.
    fn next(&mut self) -> Option<(i64, Waiting)> {
        self.queues.retain_mut(|queue| {
            // These requests do not wait any more.
            queue.waiting.retain(|waiting| !waiting.turn.is_closed());
            !queue.waiting.is_empty()
        });
        for place in 0..self.queues.len() {
            let queue = self.queues.get(place)?;
            let caller = queue.caller;
            let may_take = |waiting: &Waiting| self.may_take(caller, waiting.access);
            // A caller's reads need not wait for its writes.
            let Some(first) = queue.waiting.iter().position(may_take) else {
                continue;
            };
            let mut queue = self.queues.remove(place)?;
            let waiting = queue.waiting.remove(first)?;
            if !queue.waiting.is_empty() {
                self.queues.push_back(queue);
            }
            self.take(caller, waiting.access);
            return Some((caller, waiting));
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.turns.lock().give_back(self.caller, self.access, took);
        // Whoever has gone in this moment gives the turn back, which calls this again.
        loop {
            let next = self.turns.lock().next();
            let Some((caller, Waiting { access, turn })) = next else {
                return;
            };
            // Not under the lock, which a turn that nobody takes would need.
            let _ = turn.send(self.turns.turn(caller, access, None));
        }
    }
}
