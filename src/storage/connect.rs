//! How connections to the two engines are opened: what each session sets, and what the
//! operator is told when that fails.

use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sea_orm::{
    ConnectOptions, SqlxError,
    sqlx::{
        ConnectOptions as _, Connection,
        postgres::{PgConnectOptions, PgConnection},
        sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
    },
};
use url::{Url, form_urlencoded};

use super::{
    breaker::Breaker,
    connections::{
        Connections, LOCK_ATTEMPT, LOCK_TIMEOUT, STATEMENT_TIMEOUT, manager::DatabaseFile,
    },
    server,
};
use crate::error::Outage;

/// How long a request waits for a free connection.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a command, or a gateway that starts, waits until it may change the schema or a token.
/// Long, because no request waits meanwhile, and SQLite gives its lock to the program that asks
/// at the right moment, not to the one that has waited longest.
pub(super) const PATIENT_LOCK_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a transaction may be idle.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first connection may take before the start is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// When to try again to open an SQLite file that another program is switching to a
/// write-ahead log.
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How many rows the thread of an SQLite connection reads ahead of the request. Measured: a page
/// of 500 clients with their locations takes a sixth less of the processors than with 50 rows, as
/// the two threads wake each other less often.
const ROWS_AHEAD: usize = 1_000;
/// SQLite connections for reading.
const SQLITE_READERS: u32 = 8;

pub(super) async fn connect_sqlite(
    url: &str,
) -> Result<(Connections, Connections, ConnectOptions)> {
    let options = SqliteConnectOptions::from_str(url)
        .with_context(|| format!("the database URL {url} cannot be read"))?;
    if !is_sqlite_file(url, &options) {
        bail!("an SQLite database must be a file, as in sqlite://clientele.db?mode=rwc");
    }
    if may_create(url) {
        create_private(options.get_filename());
    }
    // Open one connection outside the pool: its error says what is wrong, a pool's does not.
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(LOCK_TIMEOUT);
    open_sqlite(&options)
        .await
        .with_context(|| format!("cannot open the SQLite database at {url}"))?;

    // From here on a file that is missing must not be created again.
    let options = options
        .create_if_missing(false)
        .busy_timeout(LOCK_ATTEMPT)
        .row_buffer_size(ROWS_AHEAD);
    let file = DatabaseFile::at(options.get_filename())?;
    let breaker = Breaker::new();
    let connect = |connections| {
        let (options, file, breaker) = (options.clone(), file.clone(), Arc::clone(&breaker));
        Connections::to_sqlite(options, file, connections, ACQUIRE_TIMEOUT, breaker)
    };
    // SeaORM refuses URLs that SQLite takes, such as those with spaces.
    let mut migration = migration_options("sqlite:");
    let patient = options
        .clone()
        .busy_timeout(PATIENT_LOCK_TIMEOUT)
        .disable_statement_logging();
    migration.map_sqlx_sqlite_opts(move |_| patient.clone());
    Ok((connect(SQLITE_READERS)?, connect(1)?, migration))
}

/// Which database the URL names, for people: the absolute path of a file, or the server and the
/// name.
///
/// # Errors
/// If the URL cannot be read.
pub(crate) fn place(url: &str) -> Result<String> {
    if !url.starts_with("sqlite:") {
        return without_password(url);
    }
    let path = SqliteConnectOptions::from_str(url)?;
    let path = std::path::absolute(path.get_filename())?;
    Ok(path.display().to_string())
}

/// Refuses the URL of an SQLite file that is not there.
///
/// # Errors
/// If it is not there.
pub(crate) fn check_is_there(url: &str) -> Result<()> {
    if url.starts_with("sqlite:")
        && let Ok(options) = SqliteConnectOptions::from_str(url)
        && is_sqlite_file(url, &options)
        && !options.get_filename().exists()
    {
        let place = place(url)?;
        bail!(
            "there is no database at {place}: name the one of the gateway with --database-url, \
             or start 'clientele serve', which makes one"
        );
    }
    Ok(())
}

/// Whether the URL asks to create a missing file.
fn may_create(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "mode" && value == "rwc")
}

/// Creates the file if there is none, readable by its owner alone: it will hold the hashes
/// of tokens. SQLite takes an empty file for a new database, and gives the files beside it
/// the same mode. If this fails, SQLite will say what is wrong.
fn create_private(file: &Path) {
    let created = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    if let Err(error) = created
        && error.kind() != ErrorKind::AlreadyExists
    {
        tracing::debug!(%error, "cannot make the database file");
    }
}

/// Whether the URL, which was read into `options`, names a file and not a database in memory.
pub(crate) fn is_sqlite_file(url: &str, options: &SqliteConnectOptions) -> bool {
    let is_named = !options.get_filename().as_os_str().is_empty();
    is_named && !url.contains(":memory:") && !url.contains("mode=memory")
}

/// Opens the file once, which also switches it to a write-ahead log. If several programs do
/// so at the same moment, SQLite refuses all but one at once, whatever the time-out: hence
/// the loop.
async fn open_sqlite(options: &SqliteConnectOptions) -> std::result::Result<(), SqlxError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match SqliteConnection::connect_with(options).await {
            Ok(connection) => return connection.close().await,
            Err(error) if passes(&error) && Instant::now() < deadline => {
                tokio::time::sleep(OPEN_AGAIN_AFTER).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the error may pass within a moment. A read-only file stays read-only.
fn passes(error: &SqlxError) -> bool {
    Outage::behind(error).is_some_and(|outage| outage != Outage::ReadOnly)
}

/// Connects once outside the pool, where errors say what is wrong, and checks the server.
pub(crate) async fn reach_postgres(url: &str) -> Result<PgConnectOptions> {
    let shown = without_password(url)?;
    let options = PgConnectOptions::from_str(url)
        .with_context(|| format!("the database URL {shown} cannot be read"))?;
    let late = || format!("the database at {shown} did not answer in time");
    let mut connection =
        tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
            .await
            .with_context(late)?
            .with_context(|| format!("cannot reach the database at {shown}"))?;
    let checked = server::check(&mut connection, &options);
    let checked = tokio::time::timeout(CONNECT_TIMEOUT, checked).await;
    checked
        .with_context(late)?
        .with_context(|| format!("the database at {shown} cannot be used"))?;
    connection.close().await?;
    Ok(options)
}

pub(super) async fn connect_postgres(
    url: &str,
    max_connections: u32,
) -> Result<(Connections, Connections, ConnectOptions)> {
    let options = reach_postgres(url).await?;

    let settings = |options: PgConnectOptions| {
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        options.application_name("clientele").options([
            ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
            ("statement_timeout", milliseconds(STATEMENT_TIMEOUT)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
            ),
            // The database's own default may be stricter, and then concurrent writers of
            // one record would refuse each other. Transactions that need more ask for it.
            ("default_transaction_isolation", "read committed".to_owned()),
            // JIT pays for long reports, and there are none here. A batched statement would
            // pass the cost at which PostgreSQL compiles, though it is cheap.
            ("jit", "off".to_owned()),
        ])
    };
    let connections = Connections::to_postgres(
        settings(options),
        max_connections,
        ACQUIRE_TIMEOUT,
        Breaker::new(),
    )?;
    let mut migration = migration_options(url);
    migration.map_sqlx_postgres_opts(settings);
    Ok((connections.clone(), connections, migration))
}

/// Options of a single connection.
fn migration_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

/// The URL without user, password and query: sqlx reads a password from the query, too.
fn without_password(url: &str) -> Result<String> {
    let url = Url::parse(url).map_err(|error| {
        anyhow::anyhow!(
            "the database URL cannot be read ({error}); \
             it looks like postgres://user:password@host/database"
        )
    })?;
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    Ok(format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    ))
}
