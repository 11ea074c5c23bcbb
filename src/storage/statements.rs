//! Single statements: each in a transaction of its own, or all in one that they take part in.

pub mod value_sets;

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Value,
    metric::Info,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};

use super::{
    batcher::{Batcher, Follower, Role},
    connections::{
        Connections, Lease,
        fault::{ConnectionFault, Redacted},
    },
    transaction::{Session, Transaction},
};
use crate::error::Outage;

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
        observer: Option<Observer>,
        within: Option<Duration>,
    ) -> Result<Transaction, DbErr> {
        match self {
            Self::Connections(connections) => {
                Transaction::begin(connections, observer, within).await
            }
            Self::Transaction(session) => Transaction::begin_within(session).await,
        }
    }
}

/// Runs single statements.
#[derive(Clone)]
pub struct Statements {
    target: Target,
    observer: Option<Observer>,
    /// Whether PostgreSQL plans each statement for its values.
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

    /// Calls `observer` after each statement.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Closes all connections: those in use, when they come back.
    pub fn close(&self) {
        if let Target::Connections(connections) = &self.target {
            connections.close();
        }
    }

    /// A copy for which PostgreSQL plans each statement for its values, even if it was sent
    /// before. It shares no statements.
    #[must_use]
    pub fn custom_plans(&self) -> Self {
        Self {
            custom_plans: true,
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

    /// Reads all rows of a statement. If other requests have sent the same one with other
    /// values meanwhile, one statement serves them all, so its plan must be good for all
    /// values. It should read no more than about so many rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn query_batched(
        &self,
        statement: Statement,
        rows: u64,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let for_each = match self.batcher {
            Some(_) => value_sets::for_each(&statement),
            None => None,
        };
        let Some(for_each) = for_each else {
            return self.query_all_raw(statement).await;
        };
        let set = || {
            let values = statement.values.clone();
            values.map_or_else(Vec::new, |values| values.0)
        };
        let alone = || statement.clone();
        self.run_batched(for_each, rows, set, alone).await
    }

    /// Runs a statement that reads from a [table of sets](value_sets::table), for this set
    /// of values: once for all requests that have sent it meanwhile. So what it does for
    /// one set must not depend on the others.
    ///
    /// # Errors
    /// If the database fails; [`ConnectionFault::Unconfirmed`] for the whole batch if it
    /// gave no answer.
    pub async fn write_batched(
        &self,
        sql: String,
        set: Vec<Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let alone = || value_sets::of_sets(sql.clone(), iter::once(&set));
        self.run_batched(sql.clone(), 1, || set.clone(), alone)
            .await
    }

    /// The rows for this request's set, from the statement `for_each` that serves a batch,
    /// or from the statement `alone` that serves only this one.
    async fn run_batched(
        &self,
        for_each: String,
        rows: u64,
        set: impl Fn() -> Vec<Value>,
        alone: impl Fn() -> Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let Some(batcher) = &self.batcher else {
            return self.query_all_raw(alone()).await;
        };
        let mut leader = match batcher.join(&for_each, rows, &set).await {
            Role::Done(result) => return result,
            Role::Lost if !self.only_reads => {
                return Err(ConnectionFault::Unconfirmed(ConnectionFault::Late.into()).into());
            }
            Role::Alone | Role::Lost => return self.query_all_raw(alone()).await,
            Role::Leader(leader) => leader,
        };
        let followers = leader.take_followers();
        if followers.is_empty() {
            return self.query_all_raw(alone()).await;
        }
        let own = set();
        // The sets are in the order in which their requests arrived.
        let sets = followers.iter().map(|follower| &follower.job);
        let together = value_sets::of_sets(for_each, iter::once(&own).chain(sets));
        match self.query_all_raw(together).await {
            Ok(rows) => {
                // The next batch begins while the followers get their rows.
                drop(leader);
                let mut rows = value_sets::by_set(rows, followers.len() + 1)?.into_iter();
                let own = rows.next().unwrap_or_default();
                for (follower, rows) in followers.into_iter().zip(rows) {
                    follower.tell(Ok(rows));
                }
                Ok(own)
            }
            // Nobody knows whose values are at fault, so each request runs its own statement.
            Err(error @ DbErr::Query(_)) if self.only_reads || !is_outage(&error) => {
                let cause = Redacted(&error);
                tracing::debug!(%cause, "a statement for several requests failed");
                drop(leader);
                followers.into_iter().for_each(Follower::leave);
                self.query_all_raw(alone()).await
            }
            Err(error) if self.only_reads => {
                followers.into_iter().for_each(Follower::leave);
                Err(error)
            }
            // A write may have happened, or has waited for as long as it may: it is not
            // repeated.
            Err(error) => {
                for follower in followers {
                    follower.tell(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// The result of a statement; none if it is to be sent again: a read whose connection
    /// had been idle and turned out to be broken. A write is not repeated, as it may have
    /// taken effect.
    fn outcome<T>(&self, lease: &Lease, done: Result<T, DbErr>) -> Option<Result<T, DbErr>> {
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
                let mut lease = connections.lease(self.within).await?;
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
            let mut lease = connections.lease(self.within).await?;
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
                let mut lease = connections.lease(self.within).await?;
                let done = lease.query(&statement, self.custom_plans).await;
                if let Some(done) = self.outcome(&lease, done) {
                    return done;
                }
            }
        })
        .await
    }
}

/// Whether the database may accept the same statement later.
fn is_outage(error: &DbErr) -> bool {
    let DbErr::Query(RuntimeErr::SqlxError(cause)) = error else {
        return false;
    };
    Outage::behind(cause).is_some()
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

/// How many ids PostgreSQL expects in an array that it does not know when it plans.
const EXPECTED_IDS: usize = 10;

/// The condition that `column` is one of `ids`.
pub fn any_of(db: &impl ConnectionTrait, column: Expr, ids: &[i64]) -> Expr {
    let ids = set_of(db, ids);
    if db.get_database_backend() == DbBackend::Postgres {
        let ids = Expr::val(ids).cast_as("bigint[]");
        column.eq(PgFunc::any(ids))
    } else {
        let ids = Func::cust("json_each").arg(ids);
        let ids = Query::select()
            .column("value")
            .from_function(ids, "ids")
            .take();
        column.in_subquery(ids)
    }
}

/// The parameter of [`any_of`] for these ids. For PostgreSQL the last id is repeated up to
/// the number that it expects: a plan for fewer ids would look cheaper than the generic
/// one, so it would plan each time.
fn set_of(db: &impl ConnectionTrait, ids: &[i64]) -> String {
    match ids {
        [.., last] if db.get_database_backend() == DbBackend::Postgres => {
            let mut ids = ids.to_vec();
            let last = *last;
            ids.resize(ids.len().max(EXPECTED_IDS), last);
            list_of(db, &ids)
        }
        _ => list_of(db, ids),
    }
}

/// All `ids` as one parameter. With a parameter for each id, every number of ids would be
/// another statement to prepare and plan.
pub fn list_of(db: &impl ConnectionTrait, ids: &[i64]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    if db.get_database_backend() == DbBackend::Postgres {
        format!("{{{ids}}}")
    } else {
        format!("[{ids}]")
    }
}
