//! How many connections are open at a time. When there are too many, one on which nobody is
//! served makes room, so that peers who connect and say nothing shut nobody out.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// How long a connection may be silent before it goes first: its head may be on its way.
const TIME_TO_SPEAK: Duration = Duration::from_secs(1);

/// The open connections.
#[derive(Clone)]
pub struct Crowd(Arc<Mutex<Open>>);

struct Open {
    most: usize,
    next: u64,
    /// In the order in which they were accepted.
    places: IndexMap<u64, Member>,
}

struct Member {
    since: Instant,
    activity: Arc<Activity>,
    ended: CancellationToken,
}

/// A place among the open connections, until this is dropped.
pub struct Admission {
    crowd: Crowd,
    number: u64,
    /// Cancelled when the connection is to make room for another one.
    pub ended: CancellationToken,
}

impl Crowd {
    /// Room for so many connections.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Open {
            most,
            next: 0,
            places: IndexMap::new(),
        })))
    }

    /// Takes a place for a connection; none if all others are being served.
    pub fn admit(&self, activity: &Arc<Activity>) -> Option<Admission> {
        let mut open = self.lock();
        if open.places.len() >= open.most {
            let number = open.dispensable()?;
            if let Some(place) = open.places.shift_remove(&number) {
                place.ended.cancel();
            }
        }
        let number = open.next;
        open.next += 1;
        let ended = CancellationToken::new();
        let place = Member {
            since: Instant::now(),
            activity: Arc::clone(activity),
            ended: ended.clone(),
        };
        open.places.insert(number, place);
        Some(Admission {
            crowd: self.clone(),
            number,
            ended,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The oldest connection that has had time to send a request and has sent none, or else
    /// the oldest at rest, or else the oldest that has sent none.
    fn dispensable(&self) -> Option<u64> {
        let first = |is_dispensable: fn(&Member) -> bool| {
            let mut places = self.places.iter();
            let found = places.find(|(_, place)| is_dispensable(place));
            found.map(|(number, _)| *number)
        };
        let is_silent = |place: &Member| place.activity.begun() == 0;
        first(|place| place.activity.begun() == 0 && place.since.elapsed() > TIME_TO_SPEAK)
            .or_else(|| first(|place| place.activity.begun() > 0 && place.activity.is_at_rest()))
            .or_else(|| first(is_silent))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.crowd.lock().places.shift_remove(&self.number);
    }
}
