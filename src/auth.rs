//! Who is calling: from an `Authorization` value to a [`Viewer`].
//!
//! Every face asks here. A token travels as `Bearer TOKEN`, or as HTTP
//! Basic with the user `NAME/token` and the token as the password, where the name
//! must be the one that the token was made for.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, prelude::BASE64_STANDARD};
use entity::api_token::Scope;

use crate::{
    database::Database,
    error::{Error, Result},
    tokens,
};

/// What follows the user's name in HTTP Basic.
const USER_SUFFIX: &str = "/token";

/// The authenticated caller.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The name that the token was made for; history records it.
    pub user: String,
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

    /// Finds whom the token belongs to. It is looked up on every call, so a
    /// revoked token stops working at once.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn viewer(&self, database: &Database) -> Result<Viewer> {
        let stored = tokens::find(&database.reader, &self.token)
            .await?
            .ok_or(Error::Unauthenticated)?;
        match &self.user {
            Some(user) if *user != stored.user_name => Err(Error::Unauthenticated),
            _ => Ok(Viewer {
                user: stored.user_name,
                scope: stored.scope,
            }),
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

    /// Finds who sent a request.
    ///
    /// # Errors
    /// `Unauthenticated`, or what the database reports.
    pub async fn of(headers: &HeaderMap, database: &Database) -> Result<Self> {
        let credentials = Credentials::of(headers).ok_or(Error::Unauthenticated)?;
        credentials.viewer(database).await
    }
}
