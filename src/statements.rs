//! Single statements, each in a transaction of its own.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    metric::Info,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};

use crate::connections::Connections;

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

impl Statements {
    /// On these connections.
    #[must_use]
    pub fn on(connections: Connections) -> Self {
        Self {
            connections,
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
        self.connections.close();
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
        self.connections.engine()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        observed(self.observer.as_ref(), &statement, async {
            let mut lease = self.connections.lease().await?;
            lease.execute(&statement, self.planned_each_time).await
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.connections.lease().await?.execute_script(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        observed(self.observer.as_ref(), &statement, async {
            let mut lease = self.connections.lease().await?;
            lease.query(&statement, self.planned_each_time).await
        })
        .await
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
