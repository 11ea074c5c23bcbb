//! Read-only transactions that see one state of a database, for the commands `check` and
//! `backup`.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use sea_orm::{
    AccessMode, ConnectOptions, DatabaseTransaction, IsolationLevel, TransactionOptions,
    TransactionTrait,
    sqlx::{
        Connection,
        sqlite::{SqliteConnectOptions, SqliteConnection},
    },
};

use super::connect::{is_sqlite_file, reach_postgres};

/// How long one statement may run: some read every row.
const STATEMENT_TIMEOUT: &str = "30min";
/// How long the connection may be idle while this program works on what it has read.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10min";
/// How long to wait for a program that is switching an SQLite file to a write-ahead log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Begins a transaction that reads one state of the database at `url`, whatever is written
/// meanwhile. A missing database is not created.
///
/// # Errors
/// If the URL cannot be read or the database cannot be reached. The message is for
/// the operator and holds no password.
pub async fn open(url: &str) -> Result<DatabaseTransaction> {
    match url.split(':').next() {
        Some("sqlite") => {
            let options = SqliteConnectOptions::from_str(url)
                .with_context(|| format!("the database URL {url} cannot be read"))?;
            ensure!(
                is_sqlite_file(url, &options),
                "an SQLite database must be a file"
            );
            open_file(options.get_filename()).await
        }
        Some("postgres" | "postgresql") => open_on_server(url).await,
        _ => bail!("the database URL must begin with sqlite: or postgres:"),
    }
}

/// As [`open`], for an SQLite file.
///
/// # Errors
/// As [`open`].
pub async fn open_file(file: &Path) -> Result<DatabaseTransaction> {
    let options = file_options(file)?;
    // Connect outside the pool first: its error says what is wrong, a pool's does not.
    connect_file(file).await?.close().await?;
    let mut pool = pool_options("sqlite:");
    pool.map_sqlx_sqlite_opts(move |_| options.clone());
    let connection = sea_orm::Database::connect(pool).await?;
    Ok(connection.begin().await?)
}

/// Connects to an existing SQLite file, without writing to it.
///
/// # Errors
/// If there is no such file, or it is no database.
pub async fn connect_file(file: &Path) -> Result<SqliteConnection> {
    let options = file_options(file)?;
    SqliteConnection::connect_with(&options)
        .await
        .with_context(|| format!("cannot open the SQLite database {}", file.display()))
}

fn file_options(file: &Path) -> Result<SqliteConnectOptions> {
    let metadata = file
        .metadata()
        .with_context(|| format!("there is no SQLite database at {}", file.display()))?;
    ensure!(metadata.is_file(), "{} is not a file", file.display());
    // SQLite keeps its log beside the file that a link leads to.
    let file = file
        .canonicalize()
        .with_context(|| format!("cannot find {}", file.display()))?;
    Ok(SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(false)
        // A connection that may write copies an existing write-ahead log into the file when
        // it closes; one that may only read leaves an empty log behind where there was
        // none.
        .read_only(beside(&file, "-wal").exists())
        .busy_timeout(BUSY_TIMEOUT))
}

/// The path of the file that SQLite keeps beside a database, with this suffix.
#[must_use]
pub fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

async fn open_on_server(url: &str) -> Result<DatabaseTransaction> {
    reach_postgres(url).await?;
    let mut pool = pool_options(url);
    pool.map_sqlx_postgres_opts(|options| {
        options.application_name("clientele").options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT,
            ),
        ])
    });
    let connection = sea_orm::Database::connect(pool).await?;
    let transaction = connection
        .begin_with_options(TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        })
        .await?;
    Ok(transaction)
}

fn pool_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}
