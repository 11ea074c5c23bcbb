//! Single records that several requests ask for at the same time are read together.
//!
//! A statement that finds one record costs the database and the gateway little more
//! when it finds ten. So whoever asks while others are being read waits for those, and
//! is then read with all who have come meanwhile. Who comes alone is read at once.
//!
//! A statement never serves a request that came after it began: what was written
//! before a request came, it sees.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sea_orm::{ConnAcquireErr, DbErr};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{database::ACQUIRE_TIMEOUT, error::Result};

/// Statements under way at a time. More than one, so that a connection that hangs does
/// not stop the others.
const MOST_UNDER_WAY: usize = 2;
/// The most records that one statement reads.
const MOST_TOGETHER: usize = 64;

/// Requests for records of one kind, by their ids.
pub struct Gathering<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    waiting: Vec<Waiting<T>>,
    under_way: usize,
}

/// A request that waits for its turn.
struct Waiting<T> {
    id: i64,
    turn: oneshot::Sender<Turn<T>>,
}

/// What a request that waited is told.
enum Turn<T> {
    /// It was read.
    Read(Result<Option<T>>),
    /// It is to read, also for others.
    Lead(Lead<T>),
}

/// The right to read. Dropped, it goes to whoever has waited longest.
struct Lead<T> {
    state: Arc<Mutex<State<T>>>,
    companions: Vec<Waiting<T>>,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        let state = State {
            waiting: Vec::new(),
            under_way: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl<T: Clone> Gathering<T> {
    /// The record with this id, if there is one. Reads it by `read`, or has it read by
    /// the `read` of another request.
    ///
    /// # Errors
    /// Those of `read`, or as if no connection were free when the turn does not come.
    pub async fn get<F>(&self, id: i64, read: impl Fn(Vec<i64>) -> F) -> Result<Option<T>>
    where
        F: Future<Output = Result<HashMap<i64, T>>>,
    {
        // As long as for a connection.
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        loop {
            let turn = timeout_at(deadline, self.turn(id)).await;
            let turn = turn.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
            match turn {
                Some(Turn::Read(found)) => return found,
                Some(Turn::Lead(mut lead)) => {
                    let companions = std::mem::take(&mut lead.companions);
                    let ids = companions.iter().map(|companion| companion.id);
                    let found = read(ids.chain([id]).collect()).await;
                    // The next ones begin while these are told.
                    drop(lead);
                    let of = |id| match &found {
                        Ok(found) => Ok(found.get(&id).cloned()),
                        Err(error) => Err(error.clone()),
                    };
                    for companion in companions {
                        // Who does not wait any more needs no answer.
                        let _ = companion.turn.send(Turn::Read(of(companion.id)));
                    }
                    return of(id);
                }
                // Whoever read for it was stopped half way.
                None => {}
            }
        }
    }

    async fn turn(&self, id: i64) -> Option<Turn<T>> {
        let turn = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.under_way < MOST_UNDER_WAY {
                state.under_way += 1;
                return Some(Turn::Lead(Lead {
                    state: Arc::clone(&self.0),
                    companions: Vec::new(),
                }));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push(Waiting { id, turn: sender });
            receiver
        };
        turn.await.ok()
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has given up is passed by.
        state.waiting.retain(|waiting| !waiting.turn.is_closed());
        let together = state.waiting.len().min(MOST_TOGETHER);
        let mut companions = state.waiting.drain(..together);
        let Some(next) = companions.next() else {
            drop(companions);
            state.under_way -= 1;
            return;
        };
        let companions = companions.collect();
        drop(state);
        let lead = Self {
            state: Arc::clone(&self.state),
            companions,
        };
        // If it has gone just now, this is dropped here, and so handed on.
        let _ = next.turn.send(Turn::Lead(lead));
    }
}
