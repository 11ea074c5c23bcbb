//! API tokens: how they are made, found, listed and revoked.
//!
//! A token reads `clt_<prefix>_<secret>`. The prefix is public and finds the row; of the
//! whole token only a SHA-256 hash is stored. A slow password hash would add nothing to 256
//! random bits.

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use entity::api_token::{self, Scope};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, sea_query::Expr,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{clock::Clock, error::Result, storage::id_lists::any_of};

/// Begins every token, so that people and secret scanners recognise one.
const MARK: &str = "clt";
/// Digits of the prefix.
const PREFIX_LENGTH: usize = 12;
const PREFIX_MASK: u64 = (1 << (4 * PREFIX_LENGTH)) - 1;
const SECRET_BYTES: usize = 32;
/// The length of every token; anything else is refused without a look-up.
const LENGTH: usize = MARK.len() + 1 + PREFIX_LENGTH + 1 + 43;
/// The longest user name, in characters.
const MAX_USER_NAME: usize = 255;
/// The longest label, in characters.
const MAX_LABEL: usize = 255;

/// A token that is to be made.
pub struct NewToken<'a> {
    /// The user that it is for.
    pub user: &'a str,
    /// What it may do.
    pub scope: Scope,
    /// What it is for.
    pub label: Option<&'a str>,
    /// How long it works; for ever unless told otherwise.
    pub lasts: Option<TimeDelta>,
}

/// Makes a token and stores its hash. The token is returned, and cannot be shown again.
///
/// # Errors
/// If the name or the label cannot be used, the system gives no random bytes, or the database
/// fails.
pub async fn create(
    db: &impl ConnectionTrait,
    clock: &Clock,
    token: NewToken<'_>,
) -> anyhow::Result<String> {
    let NewToken {
        user,
        scope,
        label: name,
        lasts,
    } = token;
    let user = user_name(user).map_err(|message| anyhow!("the user name {message}"))?;
    let label_of = |name| label(name).map_err(|message| anyhow!("the label {message}"));
    let label = name.map(label_of).transpose()?;
    let now = clock.now();
    let ends = |lasts| now.checked_add_signed(lasts);
    let expires_at = lasts.map(|lasts| ends(lasts).context("the token would last too long"));
    // In hexadecimal, because it is typed on command lines, where a dash begins an option.
    let prefix = u64::from_be_bytes(random()?) & PREFIX_MASK;
    let prefix = format!("{prefix:0PREFIX_LENGTH$x}");
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
    let token = format!("{MARK}_{prefix}_{secret}");
    api_token::Entity::insert(api_token::ActiveModel {
        user_name: Set(user),
        prefix: Set(prefix),
        hash: Set(hash(&token)),
        scope: Set(scope),
        label: Set(label),
        created_at: Set(now),
        expires_at: Set(expires_at.transpose()?),
        ..Default::default()
    })
    .exec(db)
    .await?;
    Ok(token)
}

/// The rule for user names: what is stored, or a message that completes the sentence
/// "the user name ...".
///
/// # Errors
/// If the name cannot be used.
pub fn user_name(user: &str) -> Result<String, String> {
    let user = user.trim();
    if user.is_empty() || user.chars().count() > MAX_USER_NAME {
        return Err(format!("must have 1 to {MAX_USER_NAME} characters"));
    }
    if user.contains(|character: char| character == ':' || character.is_control()) {
        return Err(
            "must not contain colons or control characters: it is sent as \
             'NAME/token:TOKEN' in HTTP Basic"
                .to_owned(),
        );
    }
    Ok(user.to_owned())
}

/// The rule for labels: what is stored, or a message that completes the sentence "the label
/// ...".
///
/// # Errors
/// If the label cannot be used.
pub fn label(label: &str) -> Result<String, String> {
    let label = label.trim();
    if label.is_empty() || label.chars().count() > MAX_LABEL {
        return Err(format!("must have 1 to {MAX_LABEL} characters"));
    }
    if label.contains(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(label.to_owned())
}

/// The rule for stored prefixes.
///
/// # Errors
/// If [`create`] makes no such prefixes.
pub fn prefix(text: &str) -> Result<String, String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == PREFIX_LENGTH && text.bytes().all(is_digit) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be {PREFIX_LENGTH} hexadecimal digits"))
    }
}

/// Makes the first token of a database; none if there is a token already, revoked or not.
///
/// # Errors
/// As [`create`].
pub async fn create_first(
    db: &impl ConnectionTrait,
    clock: &Clock,
    user: &str,
) -> anyhow::Result<Option<String>> {
    if are_there(db).await? {
        return Ok(None);
    }
    let token = NewToken {
        user,
        scope: Scope::Admin,
        label: Some("made at the first start"),
        lasts: None,
    };
    create(db, clock, token).await.map(Some)
}

/// Whether there are any tokens, revoked or not.
///
/// # Errors
/// If the database fails.
pub async fn are_there(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(api_token::Entity::find().count(db).await? > 0)
}

/// The row of `token`; none if the token is unknown, or is revoked or over by now.
///
/// # Errors
/// If the database fails.
pub async fn find(
    db: &impl ConnectionTrait,
    token: &str,
    clock: &Clock,
) -> Result<Option<api_token::Model>> {
    let Some(prefix) = prefix_of(token) else {
        return Ok(None);
    };
    let stored = api_token::Entity::find_by_prefix(prefix).one(db).await?;
    Ok(stored.filter(|stored| {
        let is_same: bool = hash(token).ct_eq(&stored.hash).into();
        let is_over = stored.expires_at.is_some_and(|end| end <= clock.now());
        is_same && stored.revoked_at.is_none() && !is_over
    }))
}

/// Notes that these tokens were used at `at`.
///
/// # Errors
/// If the database fails.
pub async fn note_use(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = i64>,
    at: DateTime<Utc>,
) -> Result<(), DbErr> {
    let ids: Vec<_> = ids.into_iter().collect();
    api_token::Entity::update_many()
        .col_expr(api_token::Column::UsedAt, Expr::val(at))
        .filter(any_of(db, api_token::Column::Id.into_expr(), &ids))
        .exec(db)
        .await?;
    Ok(())
}

/// All tokens, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<api_token::Model>, DbErr> {
    api_token::Entity::find().order_by_id_asc().all(db).await
}

/// Revokes the token with this prefix for good, and returns its row; none if there is no
/// such token. Gateways may remember it as valid for a moment, see
/// [`super::Authenticator`].
///
/// # Errors
/// If the database fails.
pub async fn revoke(
    db: &impl ConnectionTrait,
    clock: &Clock,
    prefix: &str,
) -> Result<Option<api_token::Model>, DbErr> {
    let Some(token) = api_token::Entity::find_by_prefix(prefix).one(db).await? else {
        return Ok(None);
    };
    if token.revoked_at.is_none() {
        api_token::Entity::update(api_token::ActiveModel {
            id: Set(token.id),
            revoked_at: Set(Some(clock.now())),
            ..Default::default()
        })
        .exec(db)
        .await?;
    }
    Ok(Some(token))
}

/// The prefix of a text that has the form of a token.
#[must_use]
pub fn prefix_of(token: &str) -> Option<&str> {
    let rest = token.strip_prefix(MARK)?.strip_prefix('_')?;
    let prefix = rest.get(..PREFIX_LENGTH)?;
    (token.len() == LENGTH && rest.as_bytes().get(prefix.len()) == Some(&b'_')).then_some(prefix)
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
