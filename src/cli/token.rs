//! `clientele token`: makes, lists and revokes API tokens.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use chrono::SecondsFormat;
use entity::api_token::Scope;

use super::{begin_migration, open_current};
use crate::{
    auth::tokens,
    config::{DatabaseOptions, ScopeName, TokenCommand},
};

/// Runs one of the token commands.
pub async fn run(command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create {
            user,
            scope,
            database,
        } => create(&user, scope, &database).await,
        TokenCommand::List(database) => list(&database).await,
        TokenCommand::Revoke { token, database } => revoke(&token, &database).await,
    }
}

/// Prints the token alone on stdout, so that a script can take it.
async fn create(user: &str, scope: ScopeName, options: &DatabaseOptions) -> Result<()> {
    let database = open_current(options).await?;
    let transaction = begin_migration(&database).await?;
    let token = tokens::create(&transaction, &database.clock, user, scope.into()).await?;
    transaction.commit().await?;
    writeln!(stdout(), "{token}")?;
    eprintln!("Keep it: it is not stored and cannot be shown again.");
    Ok(())
}

async fn list(options: &DatabaseOptions) -> Result<()> {
    let database = open_current(options).await?;
    writeln!(
        stdout(),
        "{:<12} {:<6} {:<21} {:<21} USER",
        "PREFIX",
        "SCOPE",
        "CREATED",
        "REVOKED"
    )?;
    for token in tokens::list(&database.reader).await? {
        let scope = match token.scope {
            Scope::Read => "read",
            Scope::Write => "write",
        };
        let time = |at: chrono::DateTime<_>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let created = time(token.created_at);
        let revoked = token.revoked_at.map_or_else(|| "-".to_owned(), time);
        writeln!(
            stdout(),
            "{:<12} {scope:<6} {created:<21} {revoked:<21} {}",
            token.prefix,
            token.user_name
        )?;
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
