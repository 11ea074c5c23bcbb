//! Pools of connections, for single statements and for transactions.
//!
//! The pool of sqlx tests a connection each time that it comes back, by a round trip
//! which costs as much as reading a record does. This one does not: a connection that
//! breaks is thrown away instead, with all that rest beside it.

use std::time::Duration;

use deadpool::managed::{self, BuildError, Metrics, Object, PoolError, RecycleResult};
use sea_orm::{
    ConnAcquireErr, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement,
    sqlx::{
        self, AssertSqlSafe, ConnectOptions, Connection, Executor, IntoArguments, Postgres, Sqlite,
        database::HasStatementCache, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
    },
};
use sea_query_sqlx::SqlxValues;

/// A connection that rested longer than this is tried before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(30);
/// A connection is replaced after this time: what a session gathers is freed, and a
/// database behind another address is found.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

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
    ) -> Result<Self, BuildError> {
        pool(options, connections, patience).map(Self::Postgres)
    }

    /// Up to so many connections to an SQLite file.
    ///
    /// # Errors
    /// As [`Self::to_postgres`].
    pub fn to_sqlite(
        options: SqliteConnectOptions,
        connections: u32,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        pool(options, connections, patience).map(Self::Sqlite)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// Takes a connection that rests, or opens one.
    ///
    /// # Errors
    /// If none is free in time, or the database cannot be reached.
    pub async fn lease(&self) -> Result<Lease, DbErr> {
        match self {
            Self::Postgres(pool) => Leased::acquire(pool).await.map(Lease::Postgres),
            Self::Sqlite(pool) => Leased::acquire(pool).await.map(Lease::Sqlite),
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

fn pool<DB: sqlx::Database>(
    options: <DB::Connection as Connection>::Options,
    connections: u32,
    patience: Duration,
) -> Result<Pool<DB>, BuildError> {
    let options = options.disable_statement_logging();
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    Pool::builder(Manager { options, patience })
        .max_size(connections)
        .build()
}

/// Opens and tries connections.
pub struct Manager<DB: sqlx::Database> {
    options: <DB::Connection as Connection>::Options,
    /// How long a statement waits for its connection.
    patience: Duration,
}

impl<DB: sqlx::Database> managed::Manager for Manager<DB> {
    type Type = DB::Connection;
    type Error = SqlxError;

    async fn create(&self) -> Result<DB::Connection, SqlxError> {
        // Boxed, for it is large and rare: every statement would move it about.
        Box::pin(self.options.connect()).await
    }

    async fn recycle(
        &self,
        connection: &mut DB::Connection,
        metrics: &Metrics,
    ) -> RecycleResult<SqlxError> {
        if metrics.age() > MAX_LIFETIME {
            return Err(managed::RecycleError::message("it is old"));
        }
        if metrics.last_used() > PING_AFTER_IDLE {
            Box::pin(connection.ping()).await?;
        }
        Ok(())
    }
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
            Self::Sqlite(leased) => leased.query(statement, each_time).await,
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
            Self::Sqlite(leased) => leased.execute(statement, each_time).await,
        }
    }

    /// Executes statements as they are, with no values.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(leased) => leased.execute_script(sql).await,
            Self::Sqlite(leased) => leased.execute_script(sql).await,
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

/// A [`Lease`] of a connection of one kind.
pub struct Leased<DB: sqlx::Database> {
    connection: Option<Object<Manager<DB>>>,
    is_busy: bool,
}

impl<DB: sqlx::Database> Drop for Leased<DB> {
    fn drop(&mut self) {
        if self.is_busy {
            self.discard();
        }
    }
}

impl<DB: sqlx::Database> Leased<DB> {
    /// One limit holds for all that this takes: trying several that rest and are
    /// broken, too.
    async fn acquire(pool: &Pool<DB>) -> Result<Self, DbErr> {
        let timed_out = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let patience = pool.manager().patience;
        let acquired = tokio::time::timeout(patience, pool.get()).await;
        let acquired = acquired.map_err(|_| timed_out())?;
        let connection = acquired.map_err(|error| match error {
            PoolError::Backend(error) => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
            PoolError::Timeout(_) => timed_out(),
            _ => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        })?;
        Ok(Self {
            connection: Some(connection),
            is_busy: false,
        })
    }

    /// The connection, for a statement that [settles](Self::settle) it.
    fn occupy(&mut self) -> Result<&mut DB::Connection, DbErr> {
        let closed = DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
        let connection = self.connection.as_deref_mut().ok_or(closed)?;
        self.is_busy = true;
        Ok(connection)
    }

    /// What came of a statement. If that broke the connection, those that rest will
    /// not be any better: the server is gone, or was.
    fn settle<T>(&mut self, result: Result<T, SqlxError>) -> Result<T, DbErr> {
        self.is_busy = false;
        result.map_err(|error| {
            if is_broken(&error) {
                if let Some(pool) = self.connection.as_ref().and_then(Object::pool) {
                    pool.retain(|_, _| false);
                }
                self.discard();
            }
            DbErr::Query(RuntimeErr::SqlxError(error.into()))
        })
    }

    fn discard(&mut self) {
        self.is_busy = false;
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl<DB> Leased<DB>
where
    DB: sqlx::Database + HasStatementCache,
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
        let rows = statement.fetch_all(self.occupy()?).await;
        let rows = self.settle(rows)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    async fn execute(
        &mut self,
        statement: &Statement,
        each_time: bool,
    ) -> Result<ExecResult, DbErr> {
        let statement = prepared(statement, each_time);
        let done = statement.execute(self.occupy()?).await;
        self.settle(done).map(ExecResult::from)
    }

    async fn execute_script(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = self.occupy()?.execute(script).await;
        self.settle(done).map(ExecResult::from)
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

/// Whether a connection is of no use after this error.
fn is_broken(error: &SqlxError) -> bool {
    match error {
        // The session was ended, or the server stops (PostgreSQL, appendix A).
        SqlxError::Database(cause) => cause
            .code()
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::WorkerCrashed => true,
        _ => false,
    }
}
