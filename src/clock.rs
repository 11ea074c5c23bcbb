//! The gateway's clock: UTC, cut to the millisecond precision that is stored,
//! compared and returned.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};

/// Where the current instant comes from. Tests put in a clock of their own.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    is_system: bool,
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
        let clock = Self::from_fn(Utc::now);
        Self {
            is_system: true,
            ..clock
        }
    }

    /// A clock that reads `instant` each time it is asked.
    pub fn from_fn(instant: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(instant),
            is_system: false,
        }
    }

    /// The current instant, cut to milliseconds.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.now)().trunc_subsecs(3)
    }

    /// The current instant of a clock that was put in, to use in place of any other; none
    /// of the machine's, which several gateways over one server do not share.
    #[must_use]
    pub fn given(&self) -> Option<DateTime<Utc>> {
        (!self.is_system).then(|| self.now())
    }
}
