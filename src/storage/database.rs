//! The open [`Database`]: its pools of connections, its transactions and its migrations.
//!
//! SQLite gets two pools, because writers that wait for the one write lock would starve the
//! readers in a shared pool: one connection for writing, some for reading. PostgreSQL gets
//! one pool for both.

use std::{
    fs::File,
    io::ErrorKind,
    ops::Deref,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    SqlxError, Statement, TransactionOptions, TransactionTrait,
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
    statements::{Observer, Statements, Target},
    transaction::{self, Transaction},
};
use crate::{clock::Clock, error::Outage};

/// How long a request waits for a free connection.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a step of the schema, a token, or a gateway that starts waits for a lock. Long, because no request
/// waits meanwhile, and SQLite gives its lock to the program that asks at the right moment,
/// not to the one that has waited longest.
const PATIENT_LOCK_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a transaction may be idle.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first connection may take before the start is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// When to try again to open an SQLite file that another program is switching to a
/// write-ahead log.
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// SQLite connections for reading.
const SQLITE_READERS: u32 = 4;
/// The key of the advisory lock under which one gateway at a time migrates.
const MIGRATION_LOCK: i64 = 0x636c_6965_6e74_656c;

/// An open database. It is cheap to clone: all its parts share one reference count.
#[derive(Clone)]
pub struct Database(Arc<Pools>);

/// What is behind a [`Database`].
#[derive(Clone)]
pub struct Pools {
    /// For single statements that only read.
    pub reader: Statements,
    /// For single statements that write.
    writer: Statements,
    /// For transactions that write.
    transactions: Target,
    observer: Option<Observer>,
    /// How to open a connection that changes the schema.
    migration: ConnectOptions,
    /// Gives the instants that are stored.
    pub clock: Clock,
}

impl Deref for Database {
    type Target = Pools;

    fn deref(&self) -> &Pools {
        &self.0
    }
}

impl Database {
    /// Opens the database at `url`, which begins with `sqlite:` or `postgres:`.
    ///
    /// # Errors
    /// If the URL cannot be read or the database cannot be reached. The message
    /// is for the operator and holds no password.
    pub async fn connect(url: &str, max_connections: u32, clock: Clock) -> Result<Self> {
        let scheme = url.split(':').next().unwrap_or_default();
        let (readers, writers, migration) = match scheme {
            "sqlite" => connect_sqlite(url).await?,
            "postgres" | "postgresql" => connect_postgres(url, max_connections).await?,
            _ => bail!(
                "the database URL must begin with sqlite: or postgres:, as in \
                 sqlite://clientele.db?mode=rwc or postgres://user:password@host/database"
            ),
        };
        let (readers, writers) = (Target::Connections(readers), Target::Connections(writers));
        Ok(Self(Arc::new(Pools {
            reader: Statements::on(readers).that_read(),
            writer: Statements::on(writers.clone()),
            transactions: writers,
            observer: None,
            migration,
            clock,
        })))
    }

    /// Begins a transaction that may write, for at most [`transaction::DEADLINE`].
    ///
    /// # Errors
    /// If no connection is free in time, or the database is away.
    pub async fn begin(&self) -> std::result::Result<Transaction, DbErr> {
        let within = Some(transaction::DEADLINE);
        self.transactions.begin(self.observer.clone(), within).await
    }

    /// Begins a transaction without a time limit, for maintenance.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_unhurried(&self) -> std::result::Result<Transaction, DbErr> {
        self.transactions.begin(self.observer.clone(), None).await
    }

    /// This database as seen from inside `transaction`: all that is read and written
    /// through it is part of the transaction, and the transactions that it begins are inner
    /// ones.
    #[must_use]
    pub fn within(&self, transaction: &Transaction) -> Self {
        let target = Target::Transaction(Arc::clone(transaction.session()));
        let statements = Statements::on(target.clone());
        Self(Arc::new(Pools {
            reader: statements.clone(),
            writer: statements,
            transactions: target,
            ..Pools::clone(&self.0)
        }))
    }

    /// Begins a transaction that may change the schema. It has a connection of its own,
    /// which waits long for locks.
    ///
    /// # Errors
    /// If the database is away, or has no more connections.
    pub async fn begin_migration(&self) -> std::result::Result<DatabaseTransaction, DbErr> {
        let connection = sea_orm::Database::connect(self.migration.clone()).await?;
        connection
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await
    }

    /// Runs single statements that write. Work of several statements needs a
    /// [transaction](Self::begin).
    #[must_use]
    pub fn writer(&self) -> &Statements {
        &self.writer
    }

    /// Brings the schema up to date, in `transaction`, and returns the names of the steps
    /// that were applied. Gateways that start at the same time do so one after the other.
    ///
    /// # Errors
    /// If a step fails; then the transaction must be dropped.
    pub async fn migrate(
        transaction: &DatabaseTransaction,
    ) -> std::result::Result<Vec<String>, DbErr> {
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction
                .execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = 0; \
                     SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
                    PATIENT_LOCK_TIMEOUT.as_millis()
                ))
                .await?;
        }
        let pending = Migrator::get_pending_migrations(transaction).await?;
        let pending = pending.iter().map(|step| step.name().to_owned()).collect();
        Migrator::up(transaction, None).await?;
        if transaction.get_database_backend() == DbBackend::Sqlite {
            // SQLite reports a read-only file only on a write, even on one that changes nothing.
            let nothing = "DELETE FROM seaql_migrations WHERE FALSE";
            transaction.execute_unprepared(nothing).await?;
        }
        Ok(pending)
    }

    /// Whether the database is known to be away: every statement would fail.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.transactions.is_away()
    }

    /// Whether the database answers and has the schema of this program.
    pub async fn is_ready(&self) -> bool {
        if !self.transactions.is_in_place() {
            return false;
        }
        Migrator::get_pending_migrations_read_only(&self.reader)
            .await
            .is_ok_and(|pending| pending.is_empty())
    }

    /// Whether PostgreSQL takes no writes, as a standby does after a fail-over. Never true
    /// of SQLite: a read-only file is a mistake of the operator, and does not pass.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_read_only(&self) -> std::result::Result<bool, DbErr> {
        let engine = self.reader.get_database_backend();
        if engine != DbBackend::Postgres {
            return Ok(false);
        }
        let sql = "SELECT current_setting('transaction_read_only') = 'on' AS is_read_only";
        let statement = Statement::from_string(engine, sql);
        match self.reader.query_one_raw(statement).await? {
            Some(row) => row.try_get("", "is_read_only"),
            None => Ok(false),
        }
    }

    /// Calls `observer` after each statement. Call it before the database is
    /// cloned: a clone made earlier is not observed.
    pub fn observe_statements(
        &mut self,
        observer: impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + 'static,
    ) {
        let observer: Observer = Arc::new(observer);
        let pools = Arc::make_mut(&mut self.0);
        pools.reader.observe(Arc::clone(&observer));
        pools.writer.observe(Arc::clone(&observer));
        pools.observer = Some(observer);
    }

    /// Closes the idle connections now, and those in use when they are returned.
    pub fn close(&self) {
        self.reader.close();
        self.writer.close();
    }
}

async fn connect_sqlite(url: &str) -> Result<(Connections, Connections, ConnectOptions)> {
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
    let options = options.create_if_missing(false).busy_timeout(LOCK_ATTEMPT);
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

/// Connects once outside the pool: this error says what is wrong, a pool's does not.
pub(crate) async fn reach_postgres(url: &str) -> Result<PgConnectOptions> {
    let shown = without_password(url)?;
    let options = PgConnectOptions::from_str(url)
        .with_context(|| format!("the database URL {shown} cannot be read"))?;
    tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .with_context(|| format!("the database at {shown} did not answer in time"))?
        .with_context(|| format!("cannot reach the database at {shown}"))?
        .close()
        .await?;
    Ok(options)
}

async fn connect_postgres(
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
