//! Work of one kind that several requests ask for at the same time is done together.
//!
//! A statement that serves one request costs the database and the gateway little more
//! when it serves ten. So who asks while others are served waits for those, and is then
//! served with all who have come meanwhile. Who comes alone is served at once.
//!
//! No work serves a request that came after it began: what was written before a request
//! came, it sees.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

/// The most rows that are read or written together: far larger answers come in fits and
/// starts.
const MOST_TOGETHER: u64 = 256;
/// Work that takes longer than this gains nothing: nobody waits for it, and no more is
/// done together than is expected to take so long.
const LONG: Duration = Duration::from_millis(20);
/// Who has waited so long for a turn goes on alone: whoever is at work hangs.
const PATIENCE: Duration = Duration::from_millis(250);

/// How much of one kind is under way at a time. More than one, so that the database and
/// the gateway work at the same time, and so that one who hangs does not stop the others.
static MOST_UNDER_WAY: LazyLock<usize> = LazyLock::new(|| {
    thread::available_parallelism().map_or(2, |processors| processors.get().max(2))
});

/// Requests by the kind of their work. `J` is what one of them asks for, `R` what it gets.
pub struct Batcher<J, R>(Arc<Mutex<State<J, R>>>);

struct State<J, R> {
    queues: HashMap<Arc<str>, Queue<J, R>>,
    /// Who waits has a number.
    next_number: u64,
}

/// The work of one kind; it is there as long as some is under way.
struct Queue<J, R> {
    under_way: usize,
    /// When the last of it began.
    began: Instant,
    waiting: Vec<Follower<J, R>>,
}

impl<J, R> Queue<J, R> {
    /// Takes those whose jobs are to be done together, at `most` so many.
    fn next(&mut self, most: usize) -> impl Iterator<Item = Follower<J, R>> {
        // Who has given up is passed by.
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        let mut rows = 0;
        let few = self.waiting.iter().take_while(|waiting| {
            rows += waiting.rows;
            rows <= MOST_TOGETHER
        });
        let together = few.count().max(1).min(most).min(self.waiting.len());
        self.waiting.drain(..together)
    }
}

/// A request that waits for its turn, or is served together with another.
pub struct Follower<J, R> {
    /// What it asks for.
    pub job: J,
    /// About so many rows.
    rows: u64,
    number: u64,
    turn: oneshot::Sender<Role<J, R>>,
}

impl<J, R> Follower<J, R> {
    /// Tells it what came of its job. One who does not wait any more needs no answer.
    pub fn tell(self, result: R) {
        let _ = self.turn.send(Role::Done(result));
    }

    /// Has it do its job by itself.
    pub fn leave(self) {
        let _ = self.turn.send(Role::Alone);
    }
}

/// What a request is to do.
pub enum Role<J, R> {
    /// Nothing: another one has done its job.
    Done(R),
    /// Its job, and those of others with it.
    Leader(Leader<J, R>),
    /// Its job alone, without others.
    Alone,
    /// Nothing: another one was doing its job, and has gone.
    Lost,
}

/// The right to work. Dropped, it goes to whoever has waited longest.
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
    /// Waits until it is clear who does `job`, which is of this kind and reads or writes
    /// about so many rows.
    pub async fn join(&self, kind: &str, rows: u64, job: impl FnOnce() -> J) -> Role<J, R> {
        let (number, mut turn) = {
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
                turn: sender,
            });
            (number, receiver)
        };
        if let Ok(turn) = timeout(PATIENCE, &mut turn).await {
            return turn.unwrap_or(Role::Lost);
        }
        if let Some(queue) = self.lock().queues.get_mut(kind) {
            let waiting = &mut queue.waiting;
            let place = waiting.iter().position(|other| other.number == number);
            if let Some(place) = place {
                waiting.remove(place);
                return Role::Alone;
            }
        }
        // Somebody is doing its job.
        turn.await.unwrap_or(Role::Lost)
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
    /// Those whose jobs are to be done, too.
    pub fn take_followers(&mut self) -> Vec<Follower<J, R>> {
        std::mem::take(&mut self.followers)
    }

    /// How many jobs may be done in time, if they take as long as these did.
    fn jobs_in_time(&self) -> usize {
        let job = self.began.elapsed() / self.jobs;
        let jobs = LONG.as_nanos() / job.as_nanos().max(1);
        usize::try_from(jobs).unwrap_or(usize::MAX)
    }
}

impl<J, R> Drop for Leader<J, R> {
    fn drop(&mut self) {
        // They are still there if it was never used.
        self.take_followers().into_iter().for_each(Follower::leave);
        let mut state = self.batcher.lock();
        let Some(queue) = state.queues.get_mut(&self.kind) else {
            return;
        };
        let mut next = queue.next(self.jobs_in_time());
        let Some(first) = next.next() else {
            drop(next);
            // There are any only if each is so slow that they had better not wait.
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
        // If it has gone just now, the right is dropped here, and so handed on.
        let _ = first.turn.send(Role::Leader(lead));
    }
}
