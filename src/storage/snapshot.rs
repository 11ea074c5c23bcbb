//! One look at a database, at one instant, that changes nothing in it: for the
//! commands that check and that copy.

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

use super::database::{is_sqlite_file, reach_postgres};

/// How long one statement may run: some pass by every row.
const STATEMENT_TIMEOUT: &str = "30min";
/// How long the connection may rest while this program thinks about what it read.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10min";
/// How long to wait for a program that is switching an SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Begins a transaction that reads one state of the database at `url`, whatever is
/// written meanwhile. What is not there is not made.
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

/// The same on an SQLite file.
///
/// # Errors
/// As [`open`].
pub async fn open_file(file: &Path) -> Result<DatabaseTransaction> {
    let options = file_options(file)?;
    // By hand first: its error says what is wrong, a pool's does not.
    connect_file(file).await?.close().await?;
    let mut pool = pool_options("sqlite:");
    pool.map_sqlx_sqlite_opts(move |_| options.clone());
    let connection = sea_orm::Database::connect(pool).await?;
    Ok(connection.begin().await?)
}

/// A connection to an SQLite file that is there, which does not write to it.
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
    Ok(SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        // Whoever may write copies a write-ahead log into the file on closing, and
        // whoever may not leaves an empty one behind where there was none.
        .read_only(beside(file, "-wal").exists())
        .busy_timeout(BUSY_TIMEOUT))
}

/// The file that SQLite keeps beside a database under this suffix.
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
