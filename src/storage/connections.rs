//! Pools of connections, for single statements and for transactions.
//!
//! The pool of sqlx tests a connection each time that it comes back, by a round trip
//! which costs as much as reading a record does. This one does not: a connection that
//! breaks is thrown away instead, with all that rest beside it.
//!
//! All statements pass here, so here is the time limit that holds when the database
//! keeps none: one that was frozen, or whose network was cut, does not say so.

pub mod fault;
pub mod manager;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{self, BuildError, Object, PoolError};
use sea_orm::{
    ConnAcquireErr, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement,
    sqlx::{
        self, AssertSqlSafe, Executor, IntoArguments, Postgres, Sqlite,
        database::HasStatementCache, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::time::timeout_at;

use super::breaker::Breaker;
use super::connections::{
    fault::{Complaint, ConnectionFault, is_broken},
    manager::{AlarmedConnection, DatabaseFile, Engine, Manager},
};

/// How long SQLite works at one statement. PostgreSQL is told the same when a
/// connection is opened.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for a lock.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long SQLite itself waits for one. It asks less and less often, and another program
/// that asks at once gets the lock each time. So it is asked to begin anew.
pub const LOCK_ATTEMPT: Duration = Duration::from_millis(20);

/// The connections to one database, of either engine.
#[derive(Clone)]
pub enum Connections {
    /// To PostgreSQL.
    Postgres(Pool<Postgres>),
    /// To an SQLite file.
    Sqlite(Pool<Sqlite>),
}

type Pool<DB> = managed::Pool<Manager<DB>>;

impl Connections {
    /// Up to so many connections to PostgreSQL. Who needs one waits for it as long as
    /// `patience`.
    ///
    /// # Errors
    /// Never, without time limits of the pool's own.
    pub fn to_postgres(
        options: PgConnectOptions,
        connections: u32,
        patience: Duration,
        breaker: Arc<Breaker>,
    ) -> Result<Self, BuildError> {
        let manager = Manager::new(options, None, patience, breaker);
        pool(manager, connections).map(Self::Postgres)
    }

    /// Up to so many connections to an SQLite file.
    ///
    /// # Errors
    /// As [`Self::to_postgres`].
    pub fn to_sqlite(
        options: SqliteConnectOptions,
        file: DatabaseFile,
        connections: u32,
        patience: Duration,
        breaker: Arc<Breaker>,
    ) -> Result<Self, BuildError> {
        let manager = Manager::new(options, Some(file), patience, breaker);
        pool(manager, connections).map(Self::Sqlite)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// Takes a connection that rests, or opens one, to be used for the time `within`:
    /// what is under way then is given up, and the connection closed.
    ///
    /// # Errors
    /// If none is free in time, or the database cannot be reached.
    pub async fn lease(&self, within: Option<Duration>) -> Result<Lease, DbErr> {
        match self {
            Self::Postgres(pool) => Leased::acquire(pool, within).await.map(Lease::Postgres),
            Self::Sqlite(pool) => Leased::acquire(pool, within).await.map(Lease::Sqlite),
        }
    }

    /// Whether the database is known to be away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Postgres(pool) => pool.manager().breaker.is_open(),
            Self::Sqlite(pool) => pool.manager().breaker.is_open(),
        }
    }

    /// Whether the database file, if it is one, is where it was.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match self {
            Self::Postgres(pool) => pool.manager().check_place().is_ok(),
            Self::Sqlite(pool) => pool.manager().check_place().is_ok(),
        }
    }

    /// Closes those that rest, and each other one when it comes back.
    pub fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close(),
            Self::Sqlite(pool) => pool.close(),
        }
    }
}

fn pool<DB: Engine>(manager: Manager<DB>, connections: u32) -> Result<Pool<DB>, BuildError> {
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    Pool::builder(manager).max_size(connections).build()
}

/// Does something again until SQLite's lock is free, or it has waited long enough. A
/// function would have to borrow the connection for each time anew, and then the future
/// could not go to another thread.
macro_rules! until_unlocked {
    ($attempt:expr) => {{
        let end = Instant::now() + LOCK_TIMEOUT;
        loop {
            let done = $attempt;
            if !is_locked(&done) || Instant::now() >= end {
                break done;
            }
        }
    }};
}

/// A connection in use. It goes back to its pool when it is dropped, but for one that
/// is let go before its answer has been read: the next user would get that answer.
pub enum Lease {
    /// To PostgreSQL.
    Postgres(Leased<Postgres>),
    /// To an SQLite file.
    Sqlite(Leased<Sqlite>),
}

impl Lease {
    /// Reads all rows of a prepared statement, which is planned anew `each_time` or
    /// kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn query(
        &mut self,
        statement: &Statement,
        each_time: bool,
    ) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Postgres(leased) => leased.query(statement, each_time).await,
            Self::Sqlite(leased) => until_unlocked!(leased.query(statement, each_time).await),
        }
    }

    /// Executes a prepared statement, which is planned anew `each_time` or kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn execute(
        &mut self,
        statement: &Statement,
        each_time: bool,
    ) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(leased) => leased.execute(statement, each_time).await,
            Self::Sqlite(leased) => until_unlocked!(leased.execute(statement, each_time).await),
        }
    }

    /// Executes statements as they are, with no values.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(leased) => leased.execute_script(sql).await,
            Self::Sqlite(leased) => until_unlocked!(leased.execute_script(sql).await),
        }
    }

    /// What came of a statement that makes a write last. Without an answer nobody knows
    /// whether it has, and that must be said.
    ///
    /// # Errors
    /// That of the statement; if it gave no answer, [`ConnectionFault::Unconfirmed`].
    pub fn confirm<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        match self {
            Self::Postgres(leased) => leased.confirm(result),
            Self::Sqlite(leased) => leased.confirm(result),
        }
    }

    /// Whether this connection rested before, and turned out to be broken: then a new
    /// one may well work.
    #[must_use]
    pub fn was_stale(&self) -> bool {
        match self {
            Self::Postgres(leased) => leased.was_stale(),
            Self::Sqlite(leased) => leased.was_stale(),
        }
    }

    /// Whether a statement was given up before its answer has been read.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Postgres(leased) => leased.is_busy,
            Self::Sqlite(leased) => leased.is_busy,
        }
    }

    /// Closes the connection.
    pub fn discard(&mut self) {
        match self {
            Self::Postgres(leased) => leased.discard(),
            Self::Sqlite(leased) => leased.discard(),
        }
    }
}

/// Whether SQLite did nothing, for another program holds its lock.
fn is_locked<T>(done: &Result<T, DbErr>) -> bool {
    const BUSY: u8 = 5;
    let Err(DbErr::Query(RuntimeErr::SqlxError(cause))) = done else {
        return false;
    };
    matches!(Complaint::behind(cause), Some(Complaint::Sqlite(BUSY)))
}

/// A [`Lease`] of a connection of one kind.
pub struct Leased<DB: Engine> {
    session: Option<Object<Manager<DB>>>,
    is_busy: bool,
    /// Whether somebody has used it before.
    is_kept: bool,
    /// When work must be done; none for work that may take its time.
    end: Option<Instant>,
}

impl<DB: Engine> Drop for Leased<DB> {
    fn drop(&mut self) {
        if self.is_busy {
            self.discard();
        }
    }
}

impl<DB: Engine> Leased<DB> {
    /// One limit holds for all that this takes: trying several that rest and are
    /// broken, too.
    async fn acquire(pool: &Pool<DB>, within: Option<Duration>) -> Result<Self, DbErr> {
        let Manager {
            breaker, patience, ..
        } = pool.manager();
        if breaker.is_open() {
            return Err(ConnectionFault::Away.into());
        }
        let timed_out = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let acquired = tokio::time::timeout(*patience, pool.get()).await;
        let acquired = acquired.map_err(|_| timed_out())?;
        let session = acquired.map_err(|error| match error {
            PoolError::Backend(error) => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
            PoolError::Timeout(_) => timed_out(),
            _ => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        })?;
        Ok(Self {
            is_kept: Object::metrics(&session).recycle_count > 0,
            session: Some(session),
            is_busy: false,
            end: within.map(|within| Instant::now() + within),
        })
    }

    /// Runs a statement on the connection, as long as there is time.
    async fn run<'a, T, F>(
        &'a mut self,
        statement: impl FnOnce(&'a mut DB::Connection) -> F,
    ) -> Result<T, SqlxError>
    where
        F: Future<Output = Result<T, SqlxError>>,
    {
        let AlarmedConnection { connection, alarm } =
            self.session.as_deref_mut().ok_or(ConnectionFault::Away)?;
        self.is_busy = true;
        let Some(end) = self.end else {
            alarm.set(None);
            return statement(connection).await;
        };
        alarm.set(Some(end.min(Instant::now() + STATEMENT_TIMEOUT)));
        let in_time = timeout_at(end.into(), statement(connection)).await;
        in_time.unwrap_or_else(|_| Err(ConnectionFault::Late.into()))
    }

    /// What came of a statement. If that broke the connection, those that rest will
    /// not be any better: the server is gone, or was.
    fn note_failure<T>(&mut self, result: Result<T, SqlxError>) -> Result<T, DbErr> {
        self.is_busy = false;
        result.map_err(|error| {
            if is_broken(&error) {
                if let Some(pool) = self.session.as_ref().and_then(Object::pool) {
                    pool.retain(|_, _| false);
                }
                self.discard();
            }
            DbErr::Query(RuntimeErr::SqlxError(error.into()))
        })
    }

    fn confirm<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        match (result, &self.session) {
            (Ok(done), Some(session)) => {
                let pool = Object::pool(session);
                match pool.map_or(Ok(()), |pool| pool.manager().check_place()) {
                    Ok(()) => Ok(done),
                    Err(error) => {
                        let error = DbErr::Query(RuntimeErr::SqlxError(error.into()));
                        Err(ConnectionFault::Unconfirmed(error).into())
                    }
                }
            }
            (Err(error), None) => Err(ConnectionFault::Unconfirmed(error).into()),
            (result, _) => result,
        }
    }

    fn was_stale(&self) -> bool {
        let has_time = self.end.is_none_or(|end| Instant::now() < end);
        self.is_kept && self.session.is_none() && has_time
    }

    fn discard(&mut self) {
        self.is_busy = false;
        if let Some(session) = self.session.take() {
            drop(Object::take(session));
        }
    }
}

impl<DB> Leased<DB>
where
    DB: Engine + HasStatementCache,
    SqlxValues: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    QueryResult: From<DB::Row>,
    ExecResult: From<DB::QueryResult>,
{
    async fn query(
        &mut self,
        statement: &Statement,
        each_time: bool,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let statement = prepared(statement, each_time);
        let rows = self.run(|connection| statement.fetch_all(connection)).await;
        let rows = self.note_failure(rows)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    async fn execute(
        &mut self,
        statement: &Statement,
        each_time: bool,
    ) -> Result<ExecResult, DbErr> {
        let statement = prepared(statement, each_time);
        let done = self.run(|connection| statement.execute(connection)).await;
        self.note_failure(done).map(ExecResult::from)
    }

    async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = self.run(|connection| connection.execute(script)).await;
        self.note_failure(done).map(ExecResult::from)
    }
}

fn prepared<DB>(statement: &Statement, each_time: bool) -> sqlx::query::Query<'_, DB, SqlxValues>
where
    DB: sqlx::Database + HasStatementCache,
    SqlxValues: IntoArguments<DB>,
{
    let values = statement.values.clone();
    let values = SqlxValues(values.unwrap_or_else(|| sea_orm::Values(Vec::new())));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), values).persistent(!each_time)
}
