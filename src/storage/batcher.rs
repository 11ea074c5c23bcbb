//! Batches: requests that ask for the same kind of work at the same time share one statement.
//!
//! A statement for ten requests costs the database and the gateway little more than a
//! statement for one. So while enough batches of a kind are running, further requests wait,
//! and the next batch serves all that have arrived meanwhile: one of them is the leader and
//! runs the statement, the others are its followers. A request that need not wait runs
//! alone at once.
//!
//! A batch takes no request that arrives after it has begun. So each request sees all that
//! was written before it arrived.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

/// The most rows that one batch reads or writes: far larger answers would arrive in bursts.
const MOST_TOGETHER: u64 = 256;
/// The longest that a batch should take. When one takes longer, new requests run alone
/// instead of waiting, and a batch gets only as many jobs as are expected to end within
/// this time.
const LONG: Duration = Duration::from_millis(20);
/// After this time a request stops waiting for a batch and runs its own statement: the
/// leader may hang.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many batches of one kind run at a time. More than one, so that the database and the
/// gateway work at the same time, and one leader that hangs does not stop the others.
static MOST_UNDER_WAY: LazyLock<usize> = LazyLock::new(|| {
    thread::available_parallelism().map_or(2, |processors| processors.get().max(2))
});

/// Requests by the kind of their work. `J` is the job of one request, `R` its result.
pub struct Batcher<J, R>(Arc<Mutex<State<J, R>>>);

struct State<J, R> {
    queues: HashMap<Arc<str>, Queue<J, R>>,
    /// Identifies a waiting request.
    next_number: u64,
}

/// The requests of one kind; removed when no batch of the kind is running.
struct Queue<J, R> {
    under_way: usize,
    /// When the latest batch began.
    began: Instant,
    waiting: Vec<Follower<J, R>>,
}

impl<J, R> Queue<J, R> {
    /// Takes the requests of the next batch, at most `most` of them.
    fn next(&mut self, most: usize) -> impl Iterator<Item = Follower<J, R>> {
        // These requests do not wait any more.
        self.waiting.retain(|waiting| !waiting.role.is_closed());
        let mut rows = 0;
        let few = self.waiting.iter().take_while(|waiting| {
            rows += waiting.rows;
            rows <= MOST_TOGETHER
        });
        let together = few.count().max(1).min(most).min(self.waiting.len());
        self.waiting.drain(..together)
    }
}

/// A request that waits, or whose job a leader does.
pub struct Follower<J, R> {
    /// What the request asks for.
    pub job: J,
    /// About how many rows the job reads or writes.
    rows: u64,
    number: u64,
    role: oneshot::Sender<Role<J, R>>,
}

impl<J, R> Follower<J, R> {
    /// Gives the request its result. If it does not wait any more, the result is dropped.
    pub fn tell(self, result: R) {
        let _ = self.role.send(Role::Done(result));
    }

    /// Has the request do its job by itself.
    pub fn leave(self) {
        let _ = self.role.send(Role::Alone);
    }
}

/// What a request has to do after [`Batcher::join`].
pub enum Role<J, R> {
    /// Nothing: the leader of a batch has done its job.
    Done(R),
    /// Its own job and those of its followers.
    Leader(Leader<J, R>),
    /// Its own job only.
    Alone,
    /// Nothing is known: its leader took the job, and has gone without a result.
    Lost,
}

/// The right to run a batch. When it is dropped, the request that has waited longest gets it.
pub struct Leader<J, R> {
    batcher: Batcher<J, R>,
    kind: Arc<str>,
    followers: Vec<Follower<J, R>>,
    jobs: u32,
    began: Instant,
}

impl<J, R> Default for Batcher<J, R> {
    fn default() -> Self {
        let state = State {
            queues: HashMap::new(),
            next_number: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl<J, R> Clone for Batcher<J, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<J, R> Batcher<J, R> {
    /// Waits until it is decided who does `job`, which is of this kind and reads or writes
    /// about so many rows.
    pub async fn join(&self, kind: &str, rows: u64, job: impl FnOnce() -> J) -> Role<J, R> {
        let (number, mut role) = {
            let mut state = self.lock();
            let State {
                queues,
                next_number,
            } = &mut *state;
            let Some(queue) = queues.get_mut(kind) else {
                let kind = Arc::from(kind);
                let queue = Queue {
                    under_way: 1,
                    began: Instant::now(),
                    waiting: Vec::new(),
                };
                queues.insert(Arc::clone(&kind), queue);
                return Role::Leader(self.lead(kind, Vec::new()));
            };
            if queue.under_way < *MOST_UNDER_WAY {
                queue.under_way += 1;
                queue.began = Instant::now();
                return Role::Leader(self.lead(Arc::from(kind), Vec::new()));
            }
            if queue.began.elapsed() > LONG {
                return Role::Alone;
            }
            let (sender, receiver) = oneshot::channel();
            let number = *next_number;
            *next_number += 1;
            queue.waiting.push(Follower {
                job: job(),
                rows,
                number,
                role: sender,
            });
            (number, receiver)
        };
        if let Ok(role) = timeout(PATIENCE, &mut role).await {
            return role.unwrap_or(Role::Lost);
        }
        if let Some(queue) = self.lock().queues.get_mut(kind) {
            let waiting = &mut queue.waiting;
            let place = waiting.iter().position(|other| other.number == number);
            if let Some(place) = place {
                waiting.remove(place);
                return Role::Alone;
            }
        }
        // A leader is doing the job.
        role.await.unwrap_or(Role::Lost)
    }

    fn lead(&self, kind: Arc<str>, followers: Vec<Follower<J, R>>) -> Leader<J, R> {
        Leader {
            batcher: self.clone(),
            kind,
            jobs: u32::try_from(followers.len()).map_or(u32::MAX, |others| others + 1),
            followers,
            began: Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J, R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J, R> Leader<J, R> {
    /// The requests whose jobs this leader has to do, too.
    pub fn take_followers(&mut self) -> Vec<Follower<J, R>> {
        std::mem::take(&mut self.followers)
    }

    /// How many jobs fit into [`LONG`], if each takes as long as those of this batch did.
    fn jobs_in_time(&self) -> usize {
        let job = self.began.elapsed() / self.jobs;
        let jobs = LONG.as_nanos() / job.as_nanos().max(1);
        usize::try_from(jobs).unwrap_or(usize::MAX)
    }
}

impl<J, R> Drop for Leader<J, R> {
    fn drop(&mut self) {
        // The followers are still here if the leader never took them.
        self.take_followers().into_iter().for_each(Follower::leave);
        let mut state = self.batcher.lock();
        let Some(queue) = state.queues.get_mut(&self.kind) else {
            return;
        };
        let mut next = queue.next(self.jobs_in_time());
        let Some(first) = next.next() else {
            drop(next);
            // Requests are left only if jobs are so slow that each had better run alone.
            let rest = std::mem::take(&mut queue.waiting);
            queue.under_way -= 1;
            if queue.under_way == 0 {
                state.queues.remove(&self.kind);
            }
            drop(state);
            rest.into_iter().for_each(Follower::leave);
            return;
        };
        let followers = next.collect();
        queue.began = Instant::now();
        drop(state);
        let lead = self.batcher.lead(Arc::clone(&self.kind), followers);
        // If the request has gone just now, this drops the new leader, which hands the right on.
        let _ = first.role.send(Role::Leader(lead));
    }
}
