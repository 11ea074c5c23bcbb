//! The open [`Database`]: its pools of connections, its transactions and its migrations.
//!
//! SQLite gets two pools, because writers that wait for the one write lock would starve the
//! readers in a shared pool: one connection for writing, some for reading. PostgreSQL gets
//! one pool for both.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use migration::{Migrator, MigratorTrait, OLDEST_PROGRAM};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::time::timeout;

use super::{
    connect::{PATIENT_LOCK_TIMEOUT, connect_postgres, connect_sqlite},
    connections::{LOCK_TIMEOUT, fault::ConnectionFault},
    schema::{SUPPORT, Steps},
    statements::{Observer, Statements, Target},
    transaction::{self, Transaction},
    turns::{OneAtATime, Share},
};
use crate::clock::Clock;

/// The key of the advisory lock under which one gateway at a time migrates.
const MIGRATION_LOCK: i64 = 0x636c_6965_6e74_656c;
/// How long a step of the schema waits for a lock on a table. All who come after it wait for it
/// meanwhile, so it gives up soon, and is tried again.
const STEP_LOCK_TIMEOUT: Duration = Duration::from_millis(150);

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
    /// Whose transactions these are.
    share: Share,
    /// Who writes which record.
    writers: OneAtATime,
    observer: Option<Observer>,
    /// How to open a connection that changes the schema.
    migration: Arc<ConnectOptions>,
    /// Gives the instants that are stored.
    pub clock: Clock,
}

/// How many statements a request has sent.
pub type StatementCount = Arc<AtomicU32>;

impl Pools {
    fn observe(&mut self, observer: Observer) {
        self.reader.observe(Arc::clone(&observer));
        self.writer.observe(Arc::clone(&observer));
        self.observer = Some(observer);
    }
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
            share: Share::default(),
            writers: OneAtATime::default(),
            observer: None,
            migration: Arc::new(migration),
            clock,
        })))
    }

    /// Begins a transaction that may write, for at most [`transaction::DEADLINE`].
    ///
    /// # Errors
    /// If no connection is free in time, or the database is away.
    pub async fn begin(&self) -> std::result::Result<Transaction, DbErr> {
        self.begin_within(Some(transaction::DEADLINE)).await
    }

    /// Begins a transaction that writes the record with this number, and what belongs to it:
    /// one at a time. An inner transaction does not wait for others, as it has a connection.
    ///
    /// # Errors
    /// As [`Self::begin`], or if others write the record for too long.
    pub async fn begin_alone(&self, record: i64) -> std::result::Result<Transaction, DbErr> {
        if matches!(self.transactions, Target::Transaction(_)) {
            return self.begin().await;
        }
        let alone = timeout(LOCK_TIMEOUT, self.writers.alone(record)).await;
        let alone = alone.map_err(|_| DbErr::from(ConnectionFault::Locked))?;
        Ok(self.begin().await?.alone(alone))
    }

    /// Begins a transaction without a time limit, for maintenance.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn begin_unhurried(&self) -> std::result::Result<Transaction, DbErr> {
        self.begin_within(None).await
    }

    async fn begin_within(
        &self,
        within: Option<Duration>,
    ) -> std::result::Result<Transaction, DbErr> {
        let observer = self.observer.clone();
        self.transactions.begin(&self.share, observer, within).await
    }

    /// This database for one request of a caller, whose turns at the connections it takes.
    #[must_use]
    pub fn of_request(&self, caller: i64) -> Self {
        self.of(Share::of_request(caller))
    }

    /// This database, which counts the statements that are sent to it. Those that a batch sends
    /// for several requests count for the one that leads it.
    #[must_use]
    pub fn counting(&self, count: StatementCount) -> Self {
        let observer = self.observer.clone();
        let counting: Observer = Arc::new(move |info: &sea_orm::metric::Info<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(observer) = &observer {
                observer(info);
            }
        });
        let mut pools = Pools::clone(&self.0);
        pools.observe(counting);
        Self(Arc::new(pools))
    }

    /// This database, whose reads share no statements with other requests.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self(Arc::new(Pools {
            reader: self.reader.unshared(),
            ..Pools::clone(&self.0)
        }))
    }

    /// This database for the gateway itself.
    #[must_use]
    pub fn of_gateway(&self) -> Self {
        self.of(Share::default())
    }

    fn of(&self, share: Share) -> Self {
        Self(Arc::new(Pools {
            reader: self.reader.of(share.clone()),
            writer: self.writer.of(share.clone()),
            share,
            ..Pools::clone(&self.0)
        }))
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
        let connection = sea_orm::Database::connect(ConnectOptions::clone(&self.migration)).await?;
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
    /// What was there before is copied later: [`super::backfill`].
    ///
    /// # Errors
    /// If a step fails, or a table is locked; then the transaction must be dropped.
    pub async fn migrate(
        transaction: &DatabaseTransaction,
    ) -> std::result::Result<Vec<String>, DbErr> {
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction
                .execute_unprepared(&format!(
                    "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = 0; \
                     SELECT pg_advisory_xact_lock({MIGRATION_LOCK}); \
                     SET LOCAL lock_timeout = {}",
                    PATIENT_LOCK_TIMEOUT.as_millis(),
                    STEP_LOCK_TIMEOUT.as_millis()
                ))
                .await?;
        }
        let steps = Steps::read(transaction).await?;
        if let Some(refusal) = steps.refusal() {
            return Err(DbErr::Custom(refusal));
        }
        let pending = steps.pending;
        // A newer program has applied all of these, and more.
        if steps.newer.is_empty() {
            Migrator::up(transaction, None).await?;
        } else if !pending.is_empty() {
            let both = "the schema has steps of a newer program, and lacks some of this one";
            return Err(DbErr::Custom(both.to_owned()));
        }
        if !pending.is_empty() {
            let state = format!(
                "DELETE FROM {SUPPORT}; \
                 INSERT INTO {SUPPORT} (oldest_program) VALUES ('{OLDEST_PROGRAM}')"
            );
            transaction.execute_unprepared(&state).await?;
        }
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

    /// Whether the database answers and has a schema that this program may use.
    pub async fn is_ready(&self) -> bool {
        self.is_in_place() && self.steps().await.is_ok_and(|steps| steps.may_be_used())
    }

    /// Whether the SQLite file is still where it was opened; true of PostgreSQL.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.transactions.is_in_place()
    }

    /// The steps of the schema, compared with those of this program.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn steps(&self) -> std::result::Result<Steps, DbErr> {
        Steps::read(&self.reader).await
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
        Arc::make_mut(&mut self.0).observe(Arc::new(observer));
    }

    /// The pools: the name of each, how many connections are open, and how many are idle.
    /// PostgreSQL has one.
    #[must_use]
    pub fn connections(&self) -> Vec<(&'static str, usize, usize)> {
        let mut pools = Vec::new();
        if let Some((open, idle)) = self.reader.connections() {
            pools.push(("read", open, idle));
        }
        if self.reader.get_database_backend() == DbBackend::Sqlite
            && let Some((open, idle)) = self.writer.connections()
        {
            pools.push(("write", open, idle));
        }
        pools
    }

    /// Closes the idle connections now, and those in use when they are returned.
    pub fn close(&self) {
        self.reader.close();
        self.writer.close();
    }
}
