//! Single statements, each in a transaction of its own, or all in the one that they take
//! part in.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    metric::Info,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};

use crate::{
    connections::Connections,
    transaction::{Session, Transaction},
};

/// Told of each statement.
pub type Observer = Arc<dyn Fn(&Info<'_>) + Send + Sync>;

/// Where statements run.
#[derive(Clone)]
pub enum Ground {
    /// On connections, each in a transaction of its own.
    Connections(Connections),
    /// In this transaction.
    Transaction(Arc<Session>),
}

impl Ground {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        match self {
            Self::Connections(connections) => connections.engine(),
            Self::Transaction(session) => session.engine(),
        }
    }

    /// Begins a transaction here.
    ///
    /// # Errors
    /// If no connection is free in time, or the database fails.
    pub async fn begin(&self, observer: Option<Observer>) -> Result<Transaction, DbErr> {
        match self {
            Self::Connections(connections) => Transaction::begin(connections, observer).await,
            Self::Transaction(session) => Transaction::begin_within(session).await,
        }
    }
}

/// Runs single statements.
#[derive(Clone)]
pub struct Statements {
    ground: Ground,
    observer: Option<Observer>,
    /// Whether a statement is planned for its values each time.
    planned_each_time: bool,
}

impl Statements {
    /// On this ground.
    #[must_use]
    pub fn on(ground: Ground) -> Self {
        Self {
            ground,
            observer: None,
            planned_each_time: false,
        }
    }

    /// Calls `observer` after each statement.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Closes all connections: those in use, when they come back.
    pub fn close(&self) {
        if let Ground::Connections(connections) = &self.ground {
            connections.close();
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
}

#[async_trait]
impl ConnectionTrait for Statements {
    fn get_database_backend(&self) -> DbBackend {
        self.ground.engine()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let each_time = self.planned_each_time;
        match &self.ground {
            Ground::Connections(connections) => {
                observed(self.observer.as_ref(), &statement, async {
                    let mut lease = connections.lease().await?;
                    lease.execute(&statement, each_time).await
                })
                .await
            }
            Ground::Transaction(session) => session.execute(&statement, each_time).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.ground {
            Ground::Connections(connections) => {
                connections.lease().await?.execute_script(sql).await
            }
            Ground::Transaction(session) => session.execute_script(sql).await,
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let each_time = self.planned_each_time;
        match &self.ground {
            Ground::Connections(connections) => {
                observed(self.observer.as_ref(), &statement, async {
                    let mut lease = connections.lease().await?;
                    lease.query(&statement, each_time).await
                })
                .await
            }
            Ground::Transaction(session) => session.query(&statement, each_time).await,
        }
    }
}

/// Runs a statement and tells the observer.
///
/// # Errors
/// Those of `run`.
pub async fn observed<T>(
    observer: Option<&Observer>,
    statement: &Statement,
    run: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let Some(observer) = observer else {
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
