//! How large an answer may become. Its bytes are counted while it is made, so that a short
//! query cannot make a long answer, and whoever makes one pauses for others.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::yield_now;

use crate::error::{Error, Result};

/// After so much time the task of an answer lets others go on. All parts of the answer that
/// wait are woken then, so this is not to be much less.
const TURN: Duration = Duration::from_millis(5);
/// Nobody looks at the clock before so many bytes are written.
pub const SHORT: usize = 16 * 1024;

/// How large an answer may become.
#[derive(Clone, Copy)]
pub struct MaxAnswer {
    /// In bytes.
    pub bytes: usize,
    /// Whether the request has changed something that a refusal of its answer does not undo.
    pub is_after_write: bool,
}

impl MaxAnswer {
    /// Refuses an answer of so many bytes if that is too many.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn check(&self, bytes: usize) -> Result<()> {
        let limit = self.bytes;
        if bytes <= limit {
            return Ok(());
        }
        let effect = if self.is_after_write {
            " The mutation has taken effect."
        } else {
            ""
        };
        Err(Error::TooLarge(format!(
            "The answer is too large: {limit} bytes are allowed here. Ask for fewer records, or \
             leave out long fields such as notes.{effect}"
        )))
    }
}

/// A time in which the task of an answer lets nobody else go on.
#[derive(Clone, Copy)]
struct Stretch {
    number: usize,
    began: Instant,
}

/// The bytes that the answer to one request has so far.
pub struct AnswerSize {
    max: MaxAnswer,
    bytes: AtomicUsize,
    turn: Mutex<Stretch>,
}

impl AnswerSize {
    /// The size of an answer that has nothing yet.
    #[must_use]
    pub fn new(max: MaxAnswer) -> Self {
        Self {
            max,
            bytes: AtomicUsize::new(0),
            turn: Mutex::new(Stretch {
                number: 0,
                began: Instant::now(),
            }),
        }
    }

    /// Counts bytes that were written.
    ///
    /// # Errors
    /// `TooLarge`, if the answer has too many now.
    pub fn add(&self, bytes: usize) -> Result<()> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.max.check(before.saturating_add(bytes))
    }

    /// Lets other requests go on if this one has kept its thread for long. Several parts of the
    /// answer may wait here: the first one to go on begins the next turn.
    pub async fn pause(&self) {
        if self.bytes.load(Ordering::Relaxed) < SHORT {
            return;
        }
        loop {
            let turn = *self.turn();
            if turn.began.elapsed() < TURN {
                return;
            }
            yield_now().await;
            let mut now = self.turn();
            if now.number == turn.number {
                now.number += 1;
                now.began = Instant::now();
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, Stretch> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
