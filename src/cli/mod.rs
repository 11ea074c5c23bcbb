//! The commands, one file for each.

mod backup;
mod check;
mod migrate;
mod schema;
mod seed;
mod serve;
mod token;

use std::{io::ErrorKind, process::ExitCode};

use anyhow::{Context, Result};
use sea_orm::DatabaseTransaction;

use crate::{
    clock::Clock,
    config::{Cli, Command, DatabaseOptions},
    storage::database::Database,
};

/// Reads the command line, and runs the command.
///
/// It makes the runtime here, and not in `main.rs`: what is run by it is compiled into
/// whatever makes it.
#[must_use]
pub fn main() -> ExitCode {
    let done = || {
        read_env_file()?;
        let cli = Cli::read();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cli.workers())
            .enable_all()
            .build()?;
        runtime.block_on(run(cli))
    };
    match done() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Runs the command that was given; without one, serves.
async fn run(cli: Cli) -> Result<()> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => serve::run(options).await,
        Command::Migrate(options) => migrate::run(&options).await,
        Command::Token(command) => token::run(command).await,
        Command::Seed(options) => seed::run(&options).await,
        Command::Backup(options) => backup::run(&options).await,
        Command::Check(options) => check::run(&options).await,
        Command::Schema => schema::run(),
    }
}

/// Reads `.env` in the working folder, if there is one. Variables that are set already keep
/// their values.
fn read_env_file() -> Result<()> {
    match dotenvy::from_filename(".env") {
        Err(error) if !error.not_found() => Err(error).context("the file .env cannot be read"),
        _ => Ok(()),
    }
}

/// Prints in one line what went wrong, with all causes.
fn fail(error: &anyhow::Error) -> ExitCode {
    let is_broken_pipe = |cause: &std::io::Error| cause.kind() == ErrorKind::BrokenPipe;
    if error.downcast_ref().is_some_and(is_broken_pipe) {
        // The program that reads the output has seen enough.
        return ExitCode::SUCCESS;
    }
    let mut line = String::from("clientele");
    for cause in error
        .chain()
        .map(|cause| cause.to_string().replace('\n', " "))
    {
        // Some errors repeat their cause in their own text.
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    eprintln!("{line}");
    ExitCode::FAILURE
}

/// Opens the database.
async fn open(options: &DatabaseOptions) -> Result<Database> {
    Database::connect(
        &options.database_url,
        options.database_max_connections,
        Clock::system(),
    )
    .await
}

/// Begins the transaction of the migrations: the first write to the database.
async fn begin_migration(database: &Database) -> Result<DatabaseTransaction> {
    let transaction = database.begin_migration().await;
    transaction.context("the database cannot be written to")
}

/// Opens the database and brings its schema up to date.
async fn open_migrated(options: &DatabaseOptions) -> Result<Database> {
    let database = open(options).await?;
    begin_migrated(&database).await?.commit().await?;
    Ok(database)
}

/// Begins a transaction and brings the schema up to date in it.
async fn begin_migrated(database: &Database) -> Result<DatabaseTransaction> {
    let transaction = begin_migration(database).await?;
    migrate::up(&transaction).await?;
    Ok(transaction)
}
