//! A clock that stands still until it is told otherwise.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use clientele::clock::Clock;

#[derive(Clone)]
pub struct TestClock(Arc<Mutex<DateTime<Utc>>>);

impl TestClock {
    /// Stands at `instant`, which is written as in RFC 3339.
    pub fn at(instant: &str) -> Self {
        let instant: DateTime<Utc> = instant.parse().unwrap();
        Self(Arc::new(Mutex::new(instant)))
    }

    /// Moves on, or back by a negative step.
    pub fn advance(&self, step: TimeDelta) {
        *self.0.lock().unwrap() += step;
    }

    /// The same clock, for the gateway to read.
    pub fn clock(&self) -> Clock {
        let instant = Arc::clone(&self.0);
        Clock::from_fn(move || *instant.lock().unwrap())
    }
}
