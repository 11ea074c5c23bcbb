//! `clientele token`: makes, lists and revokes API tokens.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use chrono::{SecondsFormat, TimeDelta};
use entity::api_token::Scope;

use super::{begin_migration, open_current};
use crate::{
    auth::tokens::{self, NewToken},
    config::{DatabaseOptions, TokenCommand},
};

/// Runs one of the token commands.
pub async fn run(command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create {
            user,
            scope,
            label,
            expires,
            database,
        } => {
            let lasts = expires.map(TimeDelta::from_std);
            let token = NewToken {
                user: &user,
                scope: scope.into(),
                label: label.as_deref(),
                lasts: lasts.transpose().context("the token would last too long")?,
            };
            create(token, &database).await
        }
        TokenCommand::List(database) => list(&database).await,
        TokenCommand::Revoke { token, database } => revoke(&token, &database).await,
    }
}

/// Prints the token alone on stdout, so that a script can take it.
async fn create(token: NewToken<'_>, options: &DatabaseOptions) -> Result<()> {
    let database = open_current(options).await?;
    let transaction = begin_migration(&database).await?;
    let token = tokens::create(&transaction, &database.clock, token).await?;
    transaction.commit().await?;
    writeln!(stdout(), "{token}")?;
    eprintln!("Keep it: it is not stored and cannot be shown again.");
    Ok(())
}

async fn list(options: &DatabaseOptions) -> Result<()> {
    let database = open_current(options).await?;
    writeln!(
        stdout(),
        "{:<12} {:<6} {:<21} {:<21} {:<21} {:<21} {:<20} LABEL",
        "PREFIX",
        "SCOPE",
        "CREATED",
        "USED",
        "ENDS",
        "REVOKED",
        "USER"
    )?;
    for token in tokens::list(&database.reader).await? {
        let scope = match token.scope {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        };
        let time = |at: chrono::DateTime<_>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let created = time(token.created_at);
        let [used, ends, revoked] = [token.used_at, token.expires_at, token.revoked_at]
            .map(|at| at.map_or_else(|| "-".to_owned(), time));
        let line = format!(
            "{:<12} {scope:<6} {created:<21} {used:<21} {ends:<21} {revoked:<21} {:<20} {}",
            token.prefix,
            token.user_name,
            token.label.unwrap_or_default()
        );
        writeln!(stdout(), "{}", line.trim_end())?;
    }
    Ok(())
}

async fn revoke(token: &str, options: &DatabaseOptions) -> Result<()> {
    let prefix = tokens::prefix_of(token).unwrap_or(token);
    let database = open_current(options).await?;
    let transaction = begin_migration(&database).await?;
    let revoked = tokens::revoke(&transaction, &database.clock, prefix)
        .await?
        .with_context(|| format!("there is no token with the prefix {prefix}"))?;
    transaction.commit().await?;
    writeln!(
        stdout(),
        "revoked {} of {}",
        revoked.prefix,
        revoked.user_name
    )?;
    Ok(())
}
