//! API tokens: how they are made, found, listed and revoked.
//!
//! A token reads `clt_<prefix>_<secret>`. The prefix is public and finds the row; of the
//! whole token only a SHA-256 hash is stored. A slow password hash would add nothing to 256
//! random bits.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use entity::api_token::{self, Scope};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{clock::Clock, error::Result};

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

/// Makes a token for `user` and stores its hash. The token is returned, and cannot be shown
/// again.
///
/// # Errors
/// If the name cannot be used, the system gives no random bytes, or the database
/// fails.
pub async fn create(
    db: &impl ConnectionTrait,
    clock: &Clock,
    user: &str,
    scope: Scope,
) -> anyhow::Result<String> {
    let user = user_name(user).map_err(|message| anyhow::anyhow!("the user name {message}"))?;
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
        created_at: Set(clock.now()),
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
    if api_token::Entity::find().count(db).await? > 0 {
        return Ok(None);
    }
    create(db, clock, user, Scope::Write).await.map(Some)
}

/// The row of `token`; none if the token is unknown or revoked.
///
/// # Errors
/// If the database fails.
pub async fn find(db: &impl ConnectionTrait, token: &str) -> Result<Option<api_token::Model>> {
    let Some(prefix) = prefix_of(token) else {
        return Ok(None);
    };
    let stored = api_token::Entity::find_by_prefix(prefix).one(db).await?;
    Ok(stored.filter(|stored| {
        let is_same: bool = hash(token).ct_eq(&stored.hash).into();
        is_same && stored.revoked_at.is_none()
    }))
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
