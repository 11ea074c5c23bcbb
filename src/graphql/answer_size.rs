//! How large an answer may become. Its bytes are counted while it is made, so that a short
//! query cannot make a long answer, and whoever makes one pauses for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::yield_now;

use crate::error::{Error, Result};

/// After so many bytes the task of an answer lets others go on: a few milliseconds' work.
const TURN: usize = 64 * 1024;

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
    /// `Limit`.
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
        Err(Error::Limit(format!(
            "The answer is too large: {limit} bytes are allowed here. Ask for fewer records, or \
             leave out long fields such as notes.{effect}"
        )))
    }
}

/// The bytes that the answer to one request has so far.
pub struct AnswerSize {
    max: MaxAnswer,
    bytes: AtomicUsize,
    /// Bytes since the task last let others go on.
    in_turn: AtomicUsize,
}

impl AnswerSize {
    /// The size of an answer that has nothing yet.
    #[must_use]
    pub fn new(max: MaxAnswer) -> Self {
        Self {
            max,
            bytes: AtomicUsize::new(0),
            in_turn: AtomicUsize::new(0),
        }
    }

    /// Counts bytes that were written.
    ///
    /// # Errors
    /// `Limit`, if the answer has too many now.
    pub fn add(&self, bytes: usize) -> Result<()> {
        self.in_turn.fetch_add(bytes, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.max.check(before.saturating_add(bytes))
    }

    /// Lets other requests go on if this one has written much since it last did.
    pub async fn pause(&self) {
        if self.in_turn.load(Ordering::Relaxed) >= TURN {
            yield_now().await;
            self.in_turn.store(0, Ordering::Relaxed);
        }
    }
}
