//! A connection in use: statements run on it within their time limits.

use std::time::{Duration, Instant};

use deadpool::managed::{Object, PoolError};
use sea_orm::{
    ConnAcquireErr, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement,
    sqlx::{
        self, AssertSqlSafe, Executor, IntoArguments, Postgres, Sqlite, database::HasStatementCache,
    },
};
use sea_query_sqlx::SqlxValues;
use tokio::time::timeout_at;

use super::{
    LOCK_TIMEOUT, Pool, STATEMENT_TIMEOUT,
    fault::{ConnectionFault, is_broken, is_of_lock},
    manager::{AlarmedConnection, Engine, Manager},
};
use crate::storage::turns::{Access, Share, Turn};

/// How long a statement waits for the others of its request: for longer than anybody waits
/// for the answer.
const PLACE_TIMEOUT: Duration = Duration::from_secs(9);

/// Repeats an attempt until SQLite's lock is free or `LOCK_TIMEOUT` has passed. A macro,
/// because a function would have to borrow the connection anew for each attempt, and its
/// future could not move to another thread.
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

/// A connection in use. Dropped, it returns to its pool. It is closed instead if a
/// statement was abandoned before its answer was read, for the next user would get that
/// answer.
pub enum Lease {
    /// To PostgreSQL.
    Postgres(Leased<Postgres>),
    /// To an SQLite file.
    Sqlite(Leased<Sqlite>),
}

impl Lease {
    /// Reads all rows of a prepared statement; `custom_plan` has it prepared and planned anew.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn query(
        &mut self,
        statement: &Statement,
        custom_plan: bool,
    ) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Postgres(leased) => leased.query(statement, custom_plan).await,
            Self::Sqlite(leased) => until_unlocked!(leased.query(statement, custom_plan).await),
        }
    }

    /// Executes a prepared statement; `custom_plan` has it prepared and planned anew.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn execute(
        &mut self,
        statement: &Statement,
        custom_plan: bool,
    ) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(leased) => leased.execute(statement, custom_plan).await,
            Self::Sqlite(leased) => until_unlocked!(leased.execute(statement, custom_plan).await),
        }
    }

    /// Executes a script: statements without values.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(leased) => leased.execute_script(sql).await,
            Self::Sqlite(leased) => until_unlocked!(leased.execute_script(sql).await),
        }
    }

    /// The result of a statement that makes a write permanent. If there is no answer, or
    /// the SQLite file is gone, nobody knows whether the write will last, and the error
    /// says so.
    ///
    /// # Errors
    /// The statement's own, or [`ConnectionFault::Unconfirmed`].
    pub fn confirm<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        match self {
            Self::Postgres(leased) => leased.confirm(result),
            Self::Sqlite(leased) => leased.confirm(result),
        }
    }

    /// Whether this connection had been used before and turned out to be broken: a new one
    /// may work.
    #[must_use]
    pub fn was_stale(&self) -> bool {
        match self {
            Self::Postgres(leased) => leased.was_stale(),
            Self::Sqlite(leased) => leased.was_stale(),
        }
    }

    /// Whether a statement was abandoned before its answer was read.
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

/// Whether SQLite did nothing because another program holds its lock.
fn is_locked<T>(done: &Result<T, DbErr>) -> bool {
    let Err(DbErr::Query(RuntimeErr::SqlxError(cause))) = done else {
        return false;
    };
    is_of_lock(cause)
}

/// A [`Lease`] of a connection to one engine.
pub struct Leased<DB: Engine> {
    session: Option<Object<Manager<DB>>>,
    /// It ends after the connection has gone back.
    _turn: Turn,
    is_busy: bool,
    /// Whether the connection had been used before.
    is_kept: bool,
    /// When the work must be done; none if there is no time limit.
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
    /// The time limit also covers trying several idle connections that are broken.
    pub(super) async fn acquire(
        pool: &Pool<DB>,
        share: &Share,
        access: Access,
        within: Option<Duration>,
    ) -> Result<Self, DbErr> {
        let Manager {
            breaker,
            patience,
            turns,
            ..
        } = pool.manager();
        if breaker.is_open() {
            return Err(ConnectionFault::Away.into());
        }
        let timed_out = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        // The other statements of the request take their time, which is no sign of a database
        // that is busy.
        let place = tokio::time::timeout(PLACE_TIMEOUT, share.place()).await;
        let place = place.map_err(|_| DbErr::from(ConnectionFault::Late))?;
        let acquire = async {
            let turn = turns.next(share, place, access).await;
            (turn, pool.get().await)
        };
        let acquired = tokio::time::timeout(*patience, acquire).await;
        let (turn, session) = acquired.map_err(|_| timed_out())?;
        let session = session.map_err(|error| match error {
            PoolError::Backend(error) => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
            PoolError::Timeout(_) => timed_out(),
            _ => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        })?;
        Ok(Self {
            is_kept: Object::metrics(&session).recycle_count > 0,
            session: Some(session),
            _turn: turn,
            is_busy: false,
            end: within.map(|within| Instant::now() + within),
        })
    }

    /// Runs a statement on the connection, until the time of the lease is over.
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

    /// Notes what came of a statement. If it broke the connection, the idle ones are
    /// closed, too: the server is gone, or was for a moment.
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
        custom_plan: bool,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let statement = prepared(statement, custom_plan);
        let rows = self.run(|connection| statement.fetch_all(connection)).await;
        let rows = self.note_failure(rows)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    async fn execute(
        &mut self,
        statement: &Statement,
        custom_plan: bool,
    ) -> Result<ExecResult, DbErr> {
        let statement = prepared(statement, custom_plan);
        let done = self.run(|connection| statement.execute(connection)).await;
        self.note_failure(done).map(ExecResult::from)
    }

    async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = self.run(|connection| connection.execute(script)).await;
        self.note_failure(done).map(ExecResult::from)
    }
}

fn prepared<DB>(statement: &Statement, custom_plan: bool) -> sqlx::query::Query<'_, DB, SqlxValues>
where
    DB: sqlx::Database + HasStatementCache,
    SqlxValues: IntoArguments<DB>,
{
    let values = statement.values.clone();
    let values = SqlxValues(values.unwrap_or_else(|| sea_orm::Values(Vec::new())));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), values).persistent(!custom_plan)
}
