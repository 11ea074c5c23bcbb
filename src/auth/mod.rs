//! Authentication: from an `Authorization` header to a [`Viewer`].
//!
//! All faces use this. A token is sent as `Bearer TOKEN`, or as HTTP Basic with the user
//! `NAME/token` and the token as the password, where the token must have been made for
//! NAME.
//!
//! A token is remembered for a moment, as a valid one or as an unknown one: a look-up in the
//! database costs as much as reading a client.

pub mod tokens;

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, prelude::BASE64_STANDARD};
use entity::api_token::{self, Scope};
use quick_cache::sync::Cache;
use sea_orm::DbErr;
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use crate::{
    error::{Error, Result},
    storage::{connections::fault::ConnectionFault, database::Database},
};

/// The end of the user in HTTP Basic, after the name.
const USER_SUFFIX: &str = "/token";
/// The most valid tokens that are remembered, and the most unknown ones.
const MAX_REMEMBERED: usize = 4_096;

/// The authenticated caller.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The name that the token was made for; history records it.
    pub user: Arc<str>,
    /// The id of the token's row: each token has idempotency keys of its own.
    pub token: i64,
    /// The public part of the token, by which the log knows it.
    pub prefix: Arc<str>,
    /// What the token may do.
    pub scope: Scope,
}

/// A token as it was sent, not yet checked.
#[derive(Clone)]
pub struct Credentials {
    /// The user that HTTP Basic names; none with a Bearer token.
    user: Option<String>,
    token: String,
}

impl Credentials {
    /// Reads the value of an `Authorization` header (RFC 7617, RFC 6750).
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, value) = value.trim().split_once(' ')?;
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self {
                user: None,
                token: value.to_owned(),
            });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
        let (user, token) = decoded.split_once(':')?;
        Some(Self {
            user: Some(user.strip_suffix(USER_SUFFIX)?.to_owned()),
            token: token.to_owned(),
        })
    }

    /// Reads the `Authorization` header of a request; none if it has several.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next()?.to_str().ok()?;
        match values.next() {
            None => Self::parse(value),
            Some(_second) => None,
        }
    }
}

impl Viewer {
    /// Refuses a caller whose token may only read.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require_write(&self) -> Result<()> {
        match self.scope {
            Scope::Write | Scope::Admin => Ok(()),
            Scope::Read => Err(Error::Forbidden("write")),
        }
    }
}

/// Refuses a scope that does not cover what concerns the gateway itself.
///
/// # Errors
/// `Forbidden`.
pub fn require_admin(scope: Scope) -> Result<()> {
    match scope {
        Scope::Admin => Ok(()),
        Scope::Read | Scope::Write => Err(Error::Forbidden("admin")),
    }
}

/// Finds the viewer that a token belongs to.
#[derive(Clone)]
pub struct Authenticator {
    database: Database,
    /// Valid tokens by their hash, and until when they are remembered.
    known: Arc<Cache<[u8; 32], (Instant, Viewer)>>,
    /// Tokens that were not found, likewise. They are apart, so that they drive out no others.
    unknown: Arc<Cache<[u8; 32], Instant>>,
    /// The tokens that were looked up since their use was last noted.
    used: Arc<Mutex<HashSet<i64>>>,
    remember: Duration,
    tasks: TaskTracker,
}

impl Authenticator {
    /// Looks tokens up in `database`, as part of `tasks`. A token is remembered for the time
    /// `remember`, so a revoked one stops working after it at the latest, and one that was
    /// tried before it was made works after it.
    #[must_use]
    pub fn new(database: Database, remember: Duration, tasks: TaskTracker) -> Self {
        Self {
            database,
            known: Arc::new(Cache::new(MAX_REMEMBERED)),
            unknown: Arc::new(Cache::new(MAX_REMEMBERED)),
            used: Arc::default(),
            remember,
            tasks,
        }
    }

    /// Notes in the database which tokens were used since this was last called. Requests
    /// leave it to this, so that they pay nothing for it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_use(&self) -> Result<(), DbErr> {
        let used = mem::take(&mut *lock(&self.used));
        if used.is_empty() {
            return Ok(());
        }
        let now = self.database.clock.now();
        tokens::note_use(self.database.writer(), used, now).await
    }

    /// Finds the viewer that sent a request.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn viewer_of(&self, headers: &HeaderMap) -> Result<Viewer> {
        let credentials = Credentials::of(headers).ok_or(Error::Unauthenticated)?;
        self.viewer(&credentials).await
    }

    /// Finds the viewer that a token belongs to.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn viewer(&self, credentials: &Credentials) -> Result<Viewer> {
        // First of all: a remembered token would let the caller in, only to fail further on.
        if self.database.is_away() {
            return Err(Error::from(DbErr::from(ConnectionFault::Away)));
        }
        let hash = Sha256::digest(&credentials.token).into();
        let now = Instant::now();
        let known = self.known.get(&hash).filter(|(until, _)| now < *until);
        let viewer = if let Some((_, viewer)) = known {
            viewer
        } else {
            if self.unknown.get(&hash).is_some_and(|until| now < until) {
                return Err(Error::Unauthenticated);
            }
            let Some(stored) = self.find(&credentials.token).await? else {
                self.known.remove(&hash);
                self.unknown.insert(hash, now + self.remember);
                return Err(Error::Unauthenticated);
            };
            let viewer = Viewer {
                user: stored.user_name.into(),
                token: stored.id,
                prefix: stored.prefix.into(),
                scope: stored.scope,
            };
            lock(&self.used).insert(stored.id);
            let left = stored.expires_at.map(|end| end - self.database.clock.now());
            // One that has ended meanwhile is not remembered.
            let left = left.map(|left| left.to_std().unwrap_or_default());
            let remember = left.map_or(self.remember, |left| left.min(self.remember));
            self.known.insert(hash, (now + remember, viewer.clone()));
            viewer
        };
        match &credentials.user {
            Some(user) if **user != *viewer.user => Err(Error::Unauthenticated),
            _ => Ok(viewer),
        }
    }

    /// Looks a token up, in a task of its own. If it ended when the caller hangs up, its
    /// connection would be closed with the answer unread, and anybody could make the
    /// gateway open one connection after the other.
    async fn find(&self, token: &str) -> Result<Option<api_token::Model>> {
        let (database, token) = (self.database.clone(), token.to_owned());
        let task = self
            .tasks
            .spawn(async move { tokens::find(&database.reader, &token, &database.clock).await });
        task.await
            .unwrap_or_else(|panic| Err(Error::Internal(Arc::new(panic))))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under this lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
