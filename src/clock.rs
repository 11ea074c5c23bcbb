//! The gateway's clock: UTC, cut to the millisecond precision that is stored,
//! compared and returned (SPEC section 1).

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Where the current instant comes from. Tests put in a clock of their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
        Self::from_fn(Utc::now)
    }

    /// A clock that reads `instant` each time it is asked.
    pub fn from_fn(instant: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(instant))
    }

    /// The current instant, cut to milliseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)().trunc_subsecs(3)
    }

    /// The instant of a change to a record last changed at `previous`: now, but
    /// always later than `previous`, also when this machine's clock was set
    /// back or has not ticked since. A poller never sees time stand still.
    #[must_use]
    pub fn after(&self, previous: DateTime<Utc>) -> DateTime<Utc> {
        self.now().max(previous + TimeDelta::milliseconds(1))
    }
}
