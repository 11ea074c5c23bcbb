//! Who is calling: from an `Authorization` value to a [`Viewer`].
//!
//! Every face asks here. A token travels as `Bearer TOKEN`, or as HTTP
//! Basic with the user `NAME/token` and the token as the password, where the name
//! must be the one that the token was made for.
//!
//! A token that was found valid is taken for valid for a moment without asking the
//! database again: a look-up costs as much as reading a client does.

pub mod tokens;

use std::{
    sync::Arc,
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

/// What follows the user's name in HTTP Basic.
const USER_SUFFIX: &str = "/token";
/// The most tokens that are remembered.
const MAX_REMEMBERED: usize = 4_096;

/// The authenticated caller.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The name that the token was made for; history records it.
    pub user: Arc<str>,
    /// The token's id, which is not the token: each token has idempotency keys of its own.
    pub token: i64,
    /// What the token may do.
    pub scope: Scope,
}

/// A token as it was sent, not yet checked.
#[derive(Clone)]
pub struct Credentials {
    /// The user that HTTP Basic names; a Bearer token names none.
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

    /// Reads the one `Authorization` header of a request.
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
            Scope::Write => Ok(()),
            Scope::Read => Err(Error::Forbidden),
        }
    }
}

/// Finds whom tokens belong to.
#[derive(Clone)]
pub struct Authenticator {
    database: Database,
    /// Valid tokens by their hash, and until when they are taken for valid.
    known: Arc<Cache<[u8; 32], (Instant, Viewer)>>,
    remember: Duration,
    tasks: TaskTracker,
}

impl Authenticator {
    /// Looks tokens up in `database`. A valid one is taken for valid for the time
    /// `remember`, so a revoked one stops working after it at the latest. Look-ups are
    /// among `tasks` until they end.
    #[must_use]
    pub fn new(database: Database, remember: Duration, tasks: TaskTracker) -> Self {
        Self {
            database,
            known: Arc::new(Cache::new(MAX_REMEMBERED)),
            remember,
            tasks,
        }
    }

    /// Finds who sent a request.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn viewer_of(&self, headers: &HeaderMap) -> Result<Viewer> {
        let credentials = Credentials::of(headers).ok_or(Error::Unauthenticated)?;
        self.viewer(&credentials).await
    }

    /// Finds whom a token belongs to.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn viewer(&self, credentials: &Credentials) -> Result<Viewer> {
        // Before the token, for whoever is let in would only fail further on.
        if self.database.is_away() {
            return Err(Error::from(DbErr::from(ConnectionFault::Away)));
        }
        let hash = Sha256::digest(&credentials.token).into();
        let now = Instant::now();
        let known = self.known.get(&hash).filter(|(until, _)| now < *until);
        let viewer = if let Some((_, viewer)) = known {
            viewer
        } else {
            let Some(stored) = self.find(&credentials.token).await? else {
                self.known.remove(&hash);
                return Err(Error::Unauthenticated);
            };
            let viewer = Viewer {
                user: stored.user_name.into(),
                token: stored.id,
                scope: stored.scope,
            };
            self.known
                .insert(hash, (now + self.remember, viewer.clone()));
            viewer
        };
        match &credentials.user {
            Some(user) if **user != *viewer.user => Err(Error::Unauthenticated),
            _ => Ok(viewer),
        }
    }

    /// Looks a token up, in a task of its own: if the caller hung up in between, the
    /// connection would be lost with the answer that it waits for, and anybody could
    /// make the gateway open one after the other.
    async fn find(&self, token: &str) -> Result<Option<api_token::Model>> {
        let (database, token) = (self.database.clone(), token.to_owned());
        let task = self
            .tasks
            .spawn(async move { tokens::find(&database.reader, &token).await });
        task.await
            .unwrap_or_else(|panic| Err(Error::Internal(Arc::new(panic))))
    }
}
