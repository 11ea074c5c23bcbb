//! The commands, one file for each.

mod backup;
mod check;
mod chores;
mod erase;
mod help;
mod migrate;
mod schema;
mod seed;
mod serve;
mod token;

use std::{fs, io::ErrorKind, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use sea_orm::{DatabaseTransaction, DbErr, RuntimeErr};

use crate::{
    clock::Clock,
    config::{self, Cli, Command, DatabaseOptions},
    error::suggest::nearest,
    storage::{connect, connections::fault::Complaint, database::Database},
};

/// Variables for the environment, in the working folder.
const ENV_FILE: &str = ".env";

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
        Command::Erase(options) => erase::run(&options).await,
        Command::Check(options) => check::run(&options).await,
        Command::Schema => schema::run(),
        Command::Completions { shell } => help::completions(shell),
        Command::Man => help::man(),
    }
}

/// Reads `.env` in the working folder, if there is one. Variables that are set already keep
/// their values. No error repeats what the file says, which may be a password.
fn read_env_file() -> Result<()> {
    match dotenvy::from_path(ENV_FILE) {
        Ok(()) => {}
        Err(error) if error.not_found() => return Ok(()),
        Err(dotenvy::Error::LineParse(line, _)) => {
            let text = fs::read_to_string(ENV_FILE).unwrap_or_default();
            // A value whose quote is never closed goes on to the end of the file.
            let first = line.lines().next().unwrap_or_default().trim();
            let place = text.lines().position(|found| found.trim() == first);
            let place = place.map_or(String::new(), |place| format!(", line {}", place + 1));
            bail!("the file {ENV_FILE}{place}: it must have lines such as NAME=VALUE");
        }
        Err(error) => return Err(error).context("the file .env cannot be read"),
    }
    let known = config::variables();
    for (name, _) in dotenvy::from_path_iter(ENV_FILE)?.flatten() {
        let is_known = known
            .iter()
            .any(|known| known == name.trim_start_matches('\u{feff}'));
        if !is_known && let Some(meant) = nearest(&name, known.iter().map(String::as_str)) {
            eprintln!("clientele: {ENV_FILE}: {name} is not known; did you mean {meant}?");
        }
    }
    Ok(())
}

/// Prints in one line what went wrong, with all causes.
fn fail(error: &anyhow::Error) -> ExitCode {
    let is_broken_pipe = |cause: &std::io::Error| cause.kind() == ErrorKind::BrokenPipe;
    if error.downcast_ref().is_some_and(is_broken_pipe) {
        // The program that reads the output has seen enough.
        return ExitCode::SUCCESS;
    }
    let mut line = String::from("clientele");
    for cause in error.chain() {
        let cause = cause.to_string().replace('\n', " ");
        let cause = without_place(&cause);
        // Some errors repeat their cause in their own text.
        if !line.contains(cause) {
            line = format!("{line}: {cause}");
        }
    }
    if error.chain().any(is_of_rights) {
        line.push_str(
            ": grant the database user rights on it, or connect as the owner of the tables",
        );
    }
    eprintln!("{line}");
    ExitCode::FAILURE
}

/// A message of PostgreSQL without the line of its source code where it arose.
fn without_place(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((message, line)) if line.chars().all(|digit| digit.is_ascii_digit()) => message,
        _ => message,
    }
}

/// Whether the database user lacks rights.
fn is_of_rights(cause: &(dyn std::error::Error + 'static)) -> bool {
    let cause = cause.downcast_ref::<DbErr>();
    let Some(
        DbErr::Query(RuntimeErr::SqlxError(cause)) | DbErr::Exec(RuntimeErr::SqlxError(cause)),
    ) = cause
    else {
        return false;
    };
    // Appendix A of PostgreSQL's manual: insufficient_privilege.
    matches!(Complaint::behind(cause), Some(Complaint::Postgres(code)) if code == "42501")
}

/// Opens the database, and says which it is: a command in another folder would open another
/// one without a word.
async fn open(options: &DatabaseOptions) -> Result<Database> {
    let url = &options.database_url;
    let opened = Database::connect(url, options.database_max_connections, Clock::system()).await;
    if let (Ok(_), Ok(place)) = (&opened, connect::place(url)) {
        eprintln!("Database: {place}");
    }
    opened
}

/// Opens a database that is there, and has the schema of this program.
async fn open_current(options: &DatabaseOptions) -> Result<Database> {
    connect::check_is_there(&options.database_url)?;
    let database = open(options).await?;
    check_current(&database).await?;
    Ok(database)
}

/// Refuses a database that has not the schema of this program.
async fn check_current(database: &Database) -> Result<()> {
    let steps = database.steps().await;
    let steps = steps.context("the database schema cannot be read")?;
    if let Some(refusal) = steps.refusal() {
        bail!(refusal);
    }
    ensure!(
        steps.may_be_used(),
        "the database has an older schema, or none: run 'clientele migrate' or 'clientele serve' \
         first"
    );
    Ok(())
}

/// Begins the transaction of the migrations: the first write to the database.
async fn begin_migration(database: &Database) -> Result<DatabaseTransaction> {
    let transaction = database.begin_migration().await;
    transaction.context("the database cannot be written to")
}
