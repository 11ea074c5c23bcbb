//! Pools of connections, for single statements and for transactions.
//!
//! The pool of sqlx tests each connection that is returned, by a round trip that costs as
//! much as reading a record. This one does not: when a connection breaks, it is closed
//! together with all idle ones.
//!
//! The statements of requests run through here (steps of the schema and snapshots have
//! connections of their own), so this is the place of the time limit for a database
//! that keeps none itself: one that is frozen, or behind a network that was cut.

pub mod fault;
// A connection in use.
pub mod lease;
pub mod manager;

use std::{sync::Arc, time::Duration};

use deadpool::managed::{self, BuildError};
use sea_orm::{
    DbBackend, DbErr,
    sqlx::{Postgres, Sqlite, postgres::PgConnectOptions, sqlite::SqliteConnectOptions},
};

use super::breaker::Breaker;
use super::turns::{Access, Share, Turns};
use lease::{Lease, Leased};
use manager::{DatabaseFile, Engine, Manager};

/// How long a statement may run. SQLite is interrupted by an alarm; PostgreSQL is told the
/// limit when a connection is opened.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for a lock.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one attempt of SQLite to get a lock may last. SQLite asks less and less often,
/// and a program that has just begun to ask would get the lock first; a new attempt begins
/// at the fast rate again.
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
    /// A pool of at most so many connections to PostgreSQL. A statement waits for one of
    /// them as long as `patience`.
    ///
    /// # Errors
    /// Never: the pool has no time limits of its own.
    pub fn to_postgres(
        options: PgConnectOptions,
        connections: u32,
        patience: Duration,
        breaker: Arc<Breaker>,
    ) -> Result<Self, BuildError> {
        pool(connections, |turns| {
            Manager::new(options, None, patience, turns, breaker)
        })
        .map(Self::Postgres)
    }

    /// A pool of at most so many connections to an SQLite file.
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
        pool(connections, |turns| {
            Manager::new(options, Some(file), patience, turns, breaker)
        })
        .map(Self::Sqlite)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// Takes an idle connection, or opens one, for the time `within`, when it is the turn of
    /// this share. A statement that is running at the end of the time is abandoned, and the
    /// connection closed.
    ///
    /// # Errors
    /// If no connection is free in time, or the database cannot be reached.
    pub async fn lease(
        &self,
        share: &Share,
        access: Access,
        within: Option<Duration>,
    ) -> Result<Lease, DbErr> {
        match self {
            Self::Postgres(pool) => {
                let leased = Leased::acquire(pool, share, access, within).await;
                leased.map(Lease::Postgres)
            }
            Self::Sqlite(pool) => {
                let leased = Leased::acquire(pool, share, access, within).await;
                leased.map(Lease::Sqlite)
            }
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

    /// Whether the SQLite file is still where it was opened; true of PostgreSQL.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match self {
            Self::Postgres(pool) => pool.manager().check_place().is_ok(),
            Self::Sqlite(pool) => pool.manager().check_place().is_ok(),
        }
    }

    /// How many connections are open, and how many of them are idle.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let status = match self {
            Self::Postgres(pool) => pool.status(),
            Self::Sqlite(pool) => pool.status(),
        };
        (status.size, status.available.min(status.size))
    }

    /// Closes the idle connections now, and those in use when they are returned.
    pub fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close(),
            Self::Sqlite(pool) => pool.close(),
        }
    }
}

fn pool<DB: Engine>(
    connections: u32,
    manager: impl FnOnce(Turns) -> Manager<DB>,
) -> Result<Pool<DB>, BuildError> {
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    let manager = manager(Turns::new(connections));
    Pool::builder(manager).max_size(connections).build()
}
