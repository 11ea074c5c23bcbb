//! Transactions, inner transactions (savepoints), and the session that their statements share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, MutexGuard, OwnedMutexGuard},
    time::timeout,
};

use super::{
    connections::{Connections, lease::Lease},
    statements::{Observer, observed},
    turns::{Access, Share},
};

/// How long a transaction may take, once it has a connection: less than a request waits
/// for its answer.
pub const DEADLINE: Duration = Duration::from_secs(7);
/// How long a roll-back may take before its connection is closed instead.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(1);
/// Begins an inner transaction. All savepoints have the same name, which means the latest one.
const BEGIN_INNER: &str = "SAVEPOINT inner_transaction";
const COMMIT_INNER: &str = "RELEASE SAVEPOINT inner_transaction";
const ROLLBACK_INNER: &str =
    "ROLLBACK TO SAVEPOINT inner_transaction; RELEASE SAVEPOINT inner_transaction";

/// Statements that take effect as a whole, once [committed](Self::commit). A transaction
/// that is dropped before is rolled back, and its connection serves no other request until
/// that is done: the roll-back would undo the other one's acknowledged write.
///
/// An inner transaction takes effect only with the outer one. If it is dropped, it alone is
/// rolled back, before the next statement of the outer one. Inner transactions must end
/// before the outer one does, and one after the other.
pub struct Transaction {
    session: Arc<Session>,
    /// Keeps the other writers of a record waiting.
    alone: Option<OwnedMutexGuard<()>>,
    is_inner: bool,
    has_ended: bool,
}

impl Transaction {
    /// Begins a transaction, which may take the time `within`.
    ///
    /// On SQLite it takes the write lock at once: a transaction that reads first and asks
    /// for the lock later can be refused, however long it would wait.
    ///
    /// # Errors
    /// If no connection is free in time, or the database is away.
    pub async fn begin(
        connections: &Connections,
        share: &Share,
        observer: Option<Observer>,
        within: Option<Duration>,
    ) -> Result<Self, DbErr> {
        let engine = connections.engine();
        let statement = match engine {
            DbBackend::Sqlite => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        loop {
            let mut lease = connections.lease(share, Access::Write, within).await?;
            let begun = lease.execute_script(statement).await;
            // Nothing is written yet, so another connection will do.
            if begun.is_err() && lease.was_stale() {
                continue;
            }
            begun?;
            let session = Session {
                engine,
                lease: Mutex::new(Some(lease)),
                abandoned: AtomicU32::new(0),
                has_failed: AtomicBool::new(false),
                observer,
            };
            return Ok(Self {
                session: Arc::new(session),
                alone: None,
                is_inner: false,
                has_ended: false,
            });
        }
    }

    /// Begins an inner transaction in that of `session`.
    ///
    /// # Errors
    /// If the outer transaction has ended, or the database fails.
    pub async fn begin_within(session: &Arc<Session>) -> Result<Self, DbErr> {
        session.execute_script(BEGIN_INNER).await?;
        Ok(Self {
            session: Arc::clone(session),
            alone: None,
            is_inner: true,
            has_ended: false,
        })
    }

    /// This transaction, which keeps the other writers of a record waiting until it ends.
    #[must_use]
    pub fn alone(mut self, alone: OwnedMutexGuard<()>) -> Self {
        self.alone = Some(alone);
        self
    }

    /// The session, for statements elsewhere that take part in the transaction.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Commits. What an inner transaction wrote lasts once the outer one is committed, too.
    ///
    /// # Errors
    /// If the database refuses, or gives no answer: then the write may have happened.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        if self.is_inner {
            self.session.execute_script(COMMIT_INNER).await?;
        } else {
            let mut held = self.session.hold().await?;
            let lease = open(&mut held)?;
            // PostgreSQL would roll back and report no error.
            if self.session.has_failed.load(Ordering::Acquire) {
                let refused = "a statement of this transaction failed: it cannot be committed";
                return Err(DbErr::Custom(refused.to_owned()));
            }
            let committed = lease.execute_script("COMMIT").await;
            lease.confirm(committed)?;
            // From here on there is nothing to roll back.
            *held = None;
        }
        self.has_ended = true;
        Ok(())
    }

    /// Undoes what was written, and waits for that. Dropping the transaction does not wait.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rollback(mut self) -> Result<(), DbErr> {
        let mut held = self.session.hold().await?;
        if self.is_inner {
            self.session.roll_back_inner(&mut held).await?;
        } else {
            open(&mut held)?.execute_script("ROLLBACK").await?;
            *held = None;
        }
        drop(held);
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Transaction {
    /// An outer transaction is ended by its [`Session`].
    fn drop(&mut self) {
        if self.is_inner && !self.has_ended {
            self.session.abandoned.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.session.engine
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.session.execute(&statement, false).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.session.execute_script(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.session.query(&statement, false).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.session.query(&statement, false).await
    }
}

/// The connection of a transaction, on which its statements run one after the other.
pub struct Session {
    engine: DbBackend,
    /// None once the transaction has ended.
    lease: Mutex<Option<Lease>>,
    /// How many inner transactions were dropped and are yet to be rolled back.
    abandoned: AtomicU32,
    /// Whether a statement has failed since the last roll-back of an inner transaction.
    has_failed: AtomicBool,
    observer: Option<Observer>,
}

impl Session {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        self.engine
    }

    /// Executes a statement; `custom_plan` has it prepared and planned anew.
    ///
    /// # Errors
    /// If the transaction has ended, or the database fails.
    pub async fn execute(
        &self,
        statement: &Statement,
        custom_plan: bool,
    ) -> Result<ExecResult, DbErr> {
        observed(self.observer.as_ref(), statement, async {
            let mut held = self.hold().await?;
            self.noted(open(&mut held)?.execute(statement, custom_plan).await)
        })
        .await
    }

    /// Reads all rows of a statement; `custom_plan` has it prepared and planned anew.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn query(
        &self,
        statement: &Statement,
        custom_plan: bool,
    ) -> Result<Vec<QueryResult>, DbErr> {
        observed(self.observer.as_ref(), statement, async {
            let mut held = self.hold().await?;
            self.noted(open(&mut held)?.query(statement, custom_plan).await)
        })
        .await
    }

    /// Executes a script: statements without values.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_script(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut held = self.hold().await?;
        self.noted(open(&mut held)?.execute_script(sql).await)
    }

    /// Waits for the connection, and rolls back the inner transactions that were dropped.
    async fn hold(&self) -> Result<MutexGuard<'_, Option<Lease>>, DbErr> {
        let mut held = self.lease.lock().await;
        for _ in 0..self.abandoned.swap(0, Ordering::AcqRel) {
            self.roll_back_inner(&mut held).await?;
        }
        Ok(held)
    }

    async fn roll_back_inner(&self, held: &mut Option<Lease>) -> Result<(), DbErr> {
        let rolled_back = open(held)?.execute_script(ROLLBACK_INNER).await;
        if let Err(error) = rolled_back {
            // What was to be undone must not be committed with the rest, so the connection
            // is closed.
            discard(held);
            return Err(error);
        }
        self.has_failed.store(false, Ordering::Release);
        Ok(())
    }

    fn noted<T>(&self, done: Result<T, DbErr>) -> Result<T, DbErr> {
        if done.is_err() {
            self.has_failed.store(true, Ordering::Release);
        }
        done
    }
}

/// The connection. An error if the transaction has ended, or a statement was abandoned
/// before its answer: nobody knows what that one did.
fn open(held: &mut Option<Lease>) -> Result<&mut Lease, DbErr> {
    if held.as_ref().is_some_and(Lease::is_busy) {
        discard(held);
    }
    let closed = DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
    held.as_mut().ok_or(closed)
}

fn discard(held: &mut Option<Lease>) {
    if let Some(mut lease) = held.take() {
        lease.discard();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut lease) = self.lease.get_mut().take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if !lease.is_busy() => {
                runtime.spawn(async move {
                    let rolled_back =
                        timeout(ROLLBACK_TIMEOUT, lease.execute_script("ROLLBACK")).await;
                    if !matches!(rolled_back, Ok(Ok(_))) {
                        lease.discard();
                    }
                });
            }
            _ => lease.discard(),
        }
    }
}
