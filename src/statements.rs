//! Single statements, on connections of their own.
//!
//! The pool of sqlx tests a connection each time that it comes back, by a round trip
//! which costs as much as reading a record does. This one does not: a connection that
//! breaks is thrown away instead, with all that rest beside it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use deadpool::managed::{self, BuildError, Metrics, Object, Pool, PoolError, RecycleResult};
use sea_orm::{
    ColumnTrait, ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, SqlxError, Statement,
    metric::Info,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
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

/// Told of each statement.
pub type Observer = Arc<dyn Fn(&Info<'_>) + Send + Sync>;

/// Runs single statements, each in a transaction of its own.
#[derive(Clone)]
pub struct Statements {
    connections: Connections,
    observer: Option<Observer>,
    /// Whether a statement is planned for its values each time.
    planned_each_time: bool,
}

#[derive(Clone)]
enum Connections {
    Postgres(Pool<Manager<Postgres>>),
    Sqlite(Pool<Manager<Sqlite>>),
    /// The one that transactions use, too.
    Shared(DatabaseConnection),
}

impl Statements {
    /// On up to so many connections to PostgreSQL.
    ///
    /// # Errors
    /// Never, without time limits of the pool's own.
    pub fn on_postgres(
        options: PgConnectOptions,
        connections: u32,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        let pool = pool(options, connections, patience)?;
        Ok(Self::on(Connections::Postgres(pool)))
    }

    /// On up to so many connections to an SQLite file.
    ///
    /// # Errors
    /// As [`Self::on_postgres`].
    pub fn on_sqlite(
        options: SqliteConnectOptions,
        connections: u32,
        patience: Duration,
    ) -> Result<Self, BuildError> {
        let pool = pool(options, connections, patience)?;
        Ok(Self::on(Connections::Sqlite(pool)))
    }

    /// On the connections that transactions use, too.
    #[must_use]
    pub fn shared(connection: DatabaseConnection) -> Self {
        Self::on(Connections::Shared(connection))
    }

    fn on(connections: Connections) -> Self {
        Self {
            connections,
            observer: None,
            planned_each_time: false,
        }
    }

    /// Calls `observer` after each statement.
    pub fn observe(&mut self, observer: Observer) {
        match &mut self.connections {
            Connections::Shared(connection) => {
                connection.set_metric_callback(move |info| observer(info));
            }
            _ => self.observer = Some(observer),
        }
    }

    /// The same, but PostgreSQL plans each statement for its values, even if it was
    /// sent before.
    #[must_use]
    pub fn planned_each_time(&self) -> Self {
        Self {
            planned_each_time: true,
            ..self.clone()
        }
    }

    /// Closes all connections.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn close(&self) -> Result<(), DbErr> {
        match &self.connections {
            Connections::Postgres(pool) => pool.close(),
            Connections::Sqlite(pool) => pool.close(),
            Connections::Shared(connection) => connection.clone().close().await?,
        }
        Ok(())
    }

    /// Runs a statement and tells the observer.
    async fn observed<T>(
        &self,
        statement: &Statement,
        run: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let Some(observer) = &self.observer else {
            return run.await;
        };
        let began = Instant::now();
        let result = run.await;
        observer(&Info {
            elapsed: began.elapsed(),
            statement,
            failed: result.is_err(),
        });
        result
    }
}

#[async_trait]
impl ConnectionTrait for Statements {
    fn get_database_backend(&self) -> DbBackend {
        match &self.connections {
            Connections::Postgres(_) => DbBackend::Postgres,
            Connections::Sqlite(_) => DbBackend::Sqlite,
            Connections::Shared(connection) => connection.get_database_backend(),
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let each_time = self.planned_each_time;
        let run = async {
            match &self.connections {
                Connections::Postgres(pool) => execute(pool, &statement, each_time).await,
                Connections::Sqlite(pool) => execute(pool, &statement, each_time).await,
                Connections::Shared(connection) => connection.execute_raw(statement.clone()).await,
            }
        };
        self.observed(&statement, run).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.connections {
            Connections::Postgres(pool) => execute_script(pool, sql).await,
            Connections::Sqlite(pool) => execute_script(pool, sql).await,
            Connections::Shared(connection) => connection.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let each_time = self.planned_each_time;
        let run = async {
            match &self.connections {
                Connections::Postgres(pool) => query(pool, &statement, each_time).await,
                Connections::Sqlite(pool) => query(pool, &statement, each_time).await,
                Connections::Shared(connection) => {
                    connection.query_all_raw(statement.clone()).await
                }
            }
        };
        self.observed(&statement, run).await
    }
}

/// The condition that `column` has one of `ids`, as one parameter: with a parameter for
/// each, every number of ids would be a statement of its own to prepare and to plan.
pub fn any_of(db: &impl ConnectionTrait, column: impl ColumnTrait, ids: &[i64]) -> Expr {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    if db.get_database_backend() == DbBackend::Postgres {
        let ids = Expr::val(format!("{{{ids}}}")).cast_as("bigint[]");
        column.into_expr().eq(PgFunc::any(ids))
    } else {
        let ids = Func::cust("json_each").arg(format!("[{ids}]"));
        let ids = Query::select()
            .column("value")
            .from_function(ids, "ids")
            .take();
        column.into_expr().in_subquery(ids)
    }
}

/// Opens and tries connections.
struct Manager<DB: sqlx::Database> {
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

fn pool<DB: sqlx::Database>(
    options: <DB::Connection as Connection>::Options,
    connections: u32,
    patience: Duration,
) -> Result<Pool<Manager<DB>>, BuildError> {
    let options = options.disable_statement_logging();
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    Pool::builder(Manager { options, patience })
        .max_size(connections)
        .build()
}

async fn query<DB>(
    pool: &Pool<Manager<DB>>,
    statement: &Statement,
    each_time: bool,
) -> Result<Vec<QueryResult>, DbErr>
where
    DB: sqlx::Database + HasStatementCache,
    SqlxValues: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    QueryResult: From<DB::Row>,
{
    let mut lease = Lease::acquire(pool).await?;
    let rows = prepared(statement, each_time)
        .fetch_all(lease.connection()?)
        .await;
    let rows = lease.settle(rows)?;
    Ok(rows.into_iter().map(QueryResult::from).collect())
}

async fn execute<DB>(
    pool: &Pool<Manager<DB>>,
    statement: &Statement,
    each_time: bool,
) -> Result<ExecResult, DbErr>
where
    DB: sqlx::Database + HasStatementCache,
    SqlxValues: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    ExecResult: From<DB::QueryResult>,
{
    let mut lease = Lease::acquire(pool).await?;
    let done = prepared(statement, each_time)
        .execute(lease.connection()?)
        .await;
    lease.settle(done).map(ExecResult::from)
}

async fn execute_script<DB>(pool: &Pool<Manager<DB>>, sql: &str) -> Result<ExecResult, DbErr>
where
    DB: sqlx::Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    ExecResult: From<DB::QueryResult>,
{
    let mut lease = Lease::acquire(pool).await?;
    let script = sqlx::raw_sql(AssertSqlSafe(sql));
    let done = lease.connection()?.execute(script).await;
    lease.settle(done).map(ExecResult::from)
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

/// A connection in use. One that is let go before its answer has been read is closed:
/// the next user would get that answer.
struct Lease<DB: sqlx::Database>(Option<Object<Manager<DB>>>);

impl<DB: sqlx::Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

impl<DB: sqlx::Database> Lease<DB> {
    /// Takes a connection that rests, or opens one. One limit holds for all that this
    /// takes: trying several that rest and are broken, too.
    async fn acquire(pool: &Pool<Manager<DB>>) -> Result<Self, DbErr> {
        let timed_out = || DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        let patience = pool.manager().patience;
        let acquired = tokio::time::timeout(patience, pool.get()).await;
        let acquired = acquired.map_err(|_| timed_out())?;
        acquired
            .map(|connection| Self(Some(connection)))
            .map_err(|error| match error {
                PoolError::Backend(error) => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
                PoolError::Timeout(_) => timed_out(),
                _ => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            })
    }

    fn connection(&mut self) -> Result<&mut DB::Connection, DbErr> {
        let closed = DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
        self.0.as_deref_mut().ok_or(closed)
    }

    /// Gives the connection back, unless it is broken.
    fn settle<T>(mut self, result: Result<T, SqlxError>) -> Result<T, DbErr> {
        let connection = self.0.take();
        result.map_err(|error| {
            if is_broken(&error)
                && let Some(connection) = connection
            {
                // Those that rest will not be any better: the server is gone, or was.
                if let Some(pool) = Object::pool(&connection) {
                    pool.retain(|_, _| false);
                }
                drop(Object::take(connection));
            }
            DbErr::Query(RuntimeErr::SqlxError(error.into()))
        })
    }
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
