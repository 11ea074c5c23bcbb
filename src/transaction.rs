//! Transactions.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use tokio::{runtime::Handle, sync::Mutex, time::timeout};

use crate::{
    connections::{Connections, Lease},
    statements::{Observer, observed},
};

/// How long a transaction may take, once it has a connection: less than a request waits
/// for its answer.
pub const DEADLINE: Duration = Duration::from_secs(7);
/// How long a roll-back may take before its connection is closed instead.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(1);

/// Statements that take effect together, once [committed](Self::commit). Dropped before,
/// it is rolled back, and its connection serves nobody until that is done: the next
/// writer would lose its own, acknowledged write.
pub struct Transaction {
    engine: DbBackend,
    /// None once it has ended.
    lease: Mutex<Option<Lease>>,
    observer: Option<Observer>,
}

impl Transaction {
    /// Begins one, which may take the time `within`.
    ///
    /// On SQLite it takes the write lock at once: a transaction that reads first
    /// and asks for the lock later is refused, however long it would wait.
    ///
    /// # Errors
    /// If no connection is free in time, or the database is away.
    pub async fn begin(
        connections: &Connections,
        observer: Option<Observer>,
        within: Option<Duration>,
    ) -> Result<Self, DbErr> {
        let engine = connections.engine();
        let statement = match engine {
            DbBackend::Sqlite => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        loop {
            let mut lease = connections.lease(within).await?;
            let begun = lease.execute_script(statement).await;
            // Nothing is written yet, so it may as well begin on another connection.
            if begun.is_err() && lease.was_stale() {
                continue;
            }
            begun?;
            return Ok(Self {
                engine,
                lease: Mutex::new(Some(lease)),
                observer,
            });
        }
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// If the database refuses, or cannot say whether it has done it.
    pub async fn commit(self) -> Result<(), DbErr> {
        let mut held = self.lease.lock().await;
        let lease = open(&mut held)?;
        let committed = lease.execute_script("COMMIT").await;
        lease.confirm(committed)?;
        // From here on there is nothing to roll back.
        *held = None;
        Ok(())
    }

    /// Undoes what was written, and waits for that; a transaction that is dropped does
    /// not wait.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rollback(self) -> Result<(), DbErr> {
        let mut held = self.lease.lock().await;
        open(&mut held)?.execute_script("ROLLBACK").await?;
        *held = None;
        Ok(())
    }
}

fn open(lease: &mut Option<Lease>) -> Result<&mut Lease, DbErr> {
    let closed = DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed);
    lease.as_mut().ok_or(closed)
}

impl Drop for Transaction {
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

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.engine
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        observed(self.observer.as_ref(), &statement, async {
            let mut held = self.lease.lock().await;
            open(&mut held)?.execute(&statement, false).await
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut held = self.lease.lock().await;
        open(&mut held)?.execute_script(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let rows = self.query_all_raw(statement).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        observed(self.observer.as_ref(), &statement, async {
            let mut held = self.lease.lock().await;
            open(&mut held)?.query(&statement, false).await
        })
        .await
    }
}
