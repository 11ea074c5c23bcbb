//! Single statements: each in a transaction of its own, or all in one that they take part in.

mod batched;
pub mod value_sets;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value, metric::Info,
};

use super::{
    batcher::Batcher,
    connections::{Connections, fault::is_stale_plan, lease::Lease},
    transaction::{Session, Transaction},
    turns::{Access, Share},
};

/// How long the gateway waits for a statement, once it has a connection. Longer than the
/// database's own limit, whose error says more.
const DEADLINE: Duration = Duration::from_secs(6);

/// The answer to a statement.
type RowsResult = Result<Vec<QueryResult>, DbErr>;

/// Called after each statement.
pub type Observer = Arc<dyn Fn(&Info<'_>) + Send + Sync>;

/// Where statements run: on the connections of a pool, or in one transaction.
#[derive(Clone)]
pub enum Target {
    /// On connections, each in a transaction of its own.
    Connections(Connections),
    /// In this transaction.
    Transaction(Arc<Session>),
}

impl Target {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        match self {
            Self::Connections(connections) => connections.engine(),
            Self::Transaction(session) => session.engine(),
        }
    }

    /// Whether the database is known to be away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Connections(connections) => connections.is_away(),
            Self::Transaction(_) => false,
        }
    }

    /// Whether the SQLite file is still where it was opened; true of PostgreSQL.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match self {
            Self::Connections(connections) => connections.is_in_place(),
            Self::Transaction(_) => true,
        }
    }

    /// Begins a transaction here. An outer one may take the time `within`; an inner one has
    /// what is left of the outer one's time.
    ///
    /// # Errors
    /// If no connection is free in time, or the database fails.
    pub async fn begin(
        &self,
        share: &Share,
        observer: Option<Observer>,
        within: Option<Duration>,
    ) -> Result<Transaction, DbErr> {
        match self {
            Self::Connections(connections) => {
                Transaction::begin(connections, share, observer, within).await
            }
            Self::Transaction(session) => Transaction::begin_within(session).await,
        }
    }
}

/// Runs single statements.
#[derive(Clone)]
pub struct Statements {
    target: Target,
    /// Whose statements these are.
    share: Share,
    observer: Option<Observer>,
    /// Whether PostgreSQL makes a custom plan for each statement: one for its values.
    custom_plans: bool,
    /// Whether all statements only read, so that one may be sent twice.
    only_reads: bool,
    /// How long a statement may take.
    within: Option<Duration>,
    /// Batches of the same statement from several requests, where that is possible.
    batcher: Option<Batcher<Vec<Value>, RowsResult>>,
}

impl Statements {
    /// Statements on this target.
    #[must_use]
    pub fn on(target: Target) -> Self {
        // SQLite cannot run a statement for several sets of values, and a transaction
        // belongs to one request.
        let can_batch = matches!(target, Target::Connections(Connections::Postgres(_)));
        Self {
            target,
            share: Share::default(),
            observer: None,
            custom_plans: false,
            only_reads: false,
            within: Some(DEADLINE),
            batcher: can_batch.then(Batcher::default),
        }
    }

    /// Promises that all statements only read.
    #[must_use]
    pub fn that_read(self) -> Self {
        Self {
            only_reads: true,
            ..self
        }
    }

    /// A copy without a time limit, for maintenance.
    #[must_use]
    pub fn unhurried(&self) -> Self {
        Self {
            within: None,
            ..self.clone()
        }
    }

    /// A copy for the statements of this share.
    #[must_use]
    pub fn of(&self, share: Share) -> Self {
        Self {
            share,
            ..self.clone()
        }
    }

    /// Calls `observer` after each statement.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// How many connections are open, and how many of them are idle; none in a transaction.
    #[must_use]
    pub fn connections(&self) -> Option<(usize, usize)> {
        match &self.target {
            Target::Connections(connections) => Some(connections.count()),
            Target::Transaction(_) => None,
        }
    }

    /// Closes all connections: those in use, when they come back.
    pub fn close(&self) {
        if let Target::Connections(connections) = &self.target {
            connections.close();
        }
    }

    /// A copy for which PostgreSQL makes a custom plan (one for the values) each time, even if
    /// the statement was sent before. It shares no statements, because a batch has one plan.
    #[must_use]
    pub fn custom_plans(&self) -> Self {
        Self {
            custom_plans: true,
            ..self.unshared()
        }
    }

    /// A copy that shares no statements with other requests.
    #[must_use]
    pub fn unshared(&self) -> Self {
        Self {
            batcher: None,
            ..self.clone()
        }
    }

    /// Whether the statements take part in a transaction.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        matches!(self.target, Target::Transaction(_))
    }

    /// Whether several requests may share a statement here.
    #[must_use]
    pub fn shares_statements(&self) -> bool {
        self.batcher.is_some()
    }

    async fn lease(&self, connections: &Connections) -> Result<Lease, DbErr> {
        let access = if self.only_reads {
            Access::Read
        } else {
            Access::Write
        };
        connections.lease(&self.share, access, self.within).await
    }

    /// The result of a statement; none if it is to be sent again: a read whose connection
    /// had been idle and turned out to be broken, or any statement that had been prepared for
    /// another schema. Any other write is not repeated, as it may have taken effect.
    fn outcome<T>(&self, lease: &Lease, done: Result<T, DbErr>) -> Option<Result<T, DbErr>> {
        if done.as_ref().is_err_and(is_stale_plan) && lease.was_stale() {
            return None;
        }
        if !self.only_reads {
            return Some(lease.confirm(done));
        }
        (done.is_ok() || !lease.was_stale()).then_some(done)
    }
}

#[async_trait]
impl ConnectionTrait for Statements {
    fn get_database_backend(&self) -> DbBackend {
        self.target.engine()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let connections = match &self.target {
            Target::Connections(connections) => connections,
            Target::Transaction(session) => {
                return session.execute(&statement, self.custom_plans).await;
            }
        };
        observed(self.observer.as_ref(), &statement, async {
            loop {
                let mut lease = self.lease(connections).await?;
                let done = lease.execute(&statement, self.custom_plans).await;
                if let Some(done) = self.outcome(&lease, done) {
                    return done;
                }
            }
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let connections = match &self.target {
            Target::Connections(connections) => connections,
            Target::Transaction(session) => return session.execute_script(sql).await,
        };
        loop {
            let mut lease = self.lease(connections).await?;
            let done = lease.execute_script(sql).await;
            if let Some(done) = self.outcome(&lease, done) {
                return done;
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let connections = match &self.target {
            Target::Connections(connections) => connections,
            Target::Transaction(session) => {
                return session.query(&statement, self.custom_plans).await;
            }
        };
        observed(self.observer.as_ref(), &statement, async {
            loop {
                let mut lease = self.lease(connections).await?;
                let done = lease.query(&statement, self.custom_plans).await;
                if let Some(done) = self.outcome(&lease, done) {
                    return done;
                }
            }
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
