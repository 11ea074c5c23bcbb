//! Opens connections for the pools, and tests idle ones before they are used again.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sea_orm::{
    SqlxError,
    sqlx::{self, ConnectOptions, Connection, Postgres, Sqlite},
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::fault::{self, ConnectionFault};
use crate::storage::{breaker::Breaker, turns::Turns};

/// How long a connection may take to open. Shorter than a request waits for a connection,
/// or no request would learn that the database is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// When to try again to open an SQLite file that is locked.
const AGAIN: Duration = Duration::from_millis(20);
/// A connection that was idle for longer is tested before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(30);
/// How long that test may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection is replaced after this time, which frees what its session has accumulated,
/// and finds a database that has moved to another address.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// SQLite looks at its alarm after so many steps of its virtual machine, about once a
/// millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 50_000;

type Options<DB> = <<DB as sqlx::Database>::Connection as Connection>::Options;

/// What differs between the engines when a connection is opened.
pub trait Engine: sqlx::Database {
    /// Makes statements of this connection end when the alarm goes off.
    fn obey(
        connection: &mut Self::Connection,
        alarm: &Alarm,
    ) -> impl Future<Output = Result<(), SqlxError>> + Send;

    /// Whether a connection could not be opened because the database is away.
    fn is_away(error: &SqlxError) -> bool;
}

impl Engine for Postgres {
    /// The server has a time limit of its own.
    async fn obey(_: &mut Self::Connection, _: &Alarm) -> Result<(), SqlxError> {
        Ok(())
    }

    fn is_away(error: &SqlxError) -> bool {
        fault::is_away(error)
    }
}

impl Engine for Sqlite {
    /// Statements run in a thread, which goes on even if nobody waits for the answer any more.
    async fn obey(connection: &mut Self::Connection, alarm: &Alarm) -> Result<(), SqlxError> {
        let alarm = alarm.clone();
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || !alarm.is_due());
        Ok(())
    }

    /// A file that is locked or on a full disk is not away.
    fn is_away(error: &SqlxError) -> bool {
        matches!(
            ConnectionFault::behind(error),
            Some(ConnectionFault::FileGone)
        )
    }
}

/// The instant at which to interrupt the running statement.
#[derive(Clone, Debug)]
pub struct Alarm(Arc<AtomicU64>);

/// Alarms are stored in milliseconds since this instant.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Alarm {
    const NEVER: u64 = u64::MAX;

    /// Sets the alarm to `instant`, or off.
    pub fn set(&self, instant: Option<Instant>) {
        let milliseconds = instant.map(|instant| instant.duration_since(*START).as_millis());
        let milliseconds = milliseconds.map_or(Self::NEVER, |milliseconds| {
            u64::try_from(milliseconds).unwrap_or(Self::NEVER)
        });
        self.0.store(milliseconds, Ordering::Relaxed);
    }

    fn is_due(&self) -> bool {
        START.elapsed().as_millis() > u128::from(self.0.load(Ordering::Relaxed))
    }
}

/// A connection with its alarm.
pub struct AlarmedConnection<DB: sqlx::Database> {
    /// Runs the statements.
    pub connection: DB::Connection,
    /// Interrupts the statements.
    pub alarm: Alarm,
}

/// The file of an SQLite database: its path, and the device and inode that were found there.
#[derive(Clone, Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// The file that is at `path` now.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    /// Whether the path still leads to this file. SQLite does not notice when its file is
    /// deleted, and whatever it writes then is lost.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens and tests connections.
pub struct Manager<DB: sqlx::Database> {
    /// How long a statement waits for its connection.
    pub patience: Duration,
    /// Who gets the next connection.
    pub turns: Turns,
    /// Open while no connection can be opened.
    pub breaker: Arc<Breaker>,
    destination: Destination<DB>,
}

/// What connections lead to.
struct Destination<DB: sqlx::Database> {
    options: Options<DB>,
    file: Option<DatabaseFile>,
}

impl<DB: sqlx::Database> Clone for Destination<DB> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            file: self.file.clone(),
        }
    }
}

impl<DB: Engine> Destination<DB> {
    async fn connect(&self) -> Result<AlarmedConnection<DB>, SqlxError> {
        self.check_place()?;
        let alarm = Alarm(Arc::new(AtomicU64::new(Alarm::NEVER)));
        let open_once = async || {
            let mut connection = self.options.connect().await?;
            DB::obey(&mut connection, &alarm).await?;
            Ok::<_, SqlxError>(connection)
        };
        let open = async {
            loop {
                match open_once().await {
                    // Whoever had the last connection closes the file, and tidies it up.
                    Err(error) if fault::is_of_lock(&error) => tokio::time::sleep(AGAIN).await,
                    opened => return opened,
                }
            }
        };
        let opened = timeout(CONNECT_TIMEOUT, open).await;
        let connection = opened.map_err(|_| SqlxError::from(ConnectionFault::Late))??;
        Ok(AlarmedConnection { connection, alarm })
    }

    fn check_place(&self) -> Result<(), SqlxError> {
        match &self.file {
            Some(file) if !file.is_in_place() => Err(ConnectionFault::FileGone.into()),
            _ => Ok(()),
        }
    }
}

impl<DB: Engine> Manager<DB> {
    /// A manager that opens connections with `options`, to `file` if the database is one.
    pub fn new(
        options: Options<DB>,
        file: Option<DatabaseFile>,
        patience: Duration,
        turns: Turns,
        breaker: Arc<Breaker>,
    ) -> Self {
        let options = options.disable_statement_logging();
        Self {
            patience,
            turns,
            breaker,
            destination: Destination { options, file },
        }
    }

    /// Checks that the database file is where it was opened.
    ///
    /// # Errors
    /// If it is not: nothing that is written to it would be found again.
    pub fn check_place(&self) -> Result<(), SqlxError> {
        let checked = self.destination.check_place();
        checked.inspect_err(|error| self.report(error))
    }

    /// Opens the breaker if this error says that the database is away.
    fn report(&self, error: &SqlxError) {
        if !DB::is_away(error) {
            return;
        }
        let target = self.destination.clone();
        self.breaker.open(error, move || {
            let target = target.clone();
            async move {
                let tried = target.connect().await;
                tried.err().is_none_or(|error| !DB::is_away(&error))
            }
        });
    }
}

impl<DB: Engine> managed::Manager for Manager<DB> {
    type Type = AlarmedConnection<DB>;
    type Error = SqlxError;

    async fn create(&self) -> Result<AlarmedConnection<DB>, SqlxError> {
        // The breaker may have opened while this request waited for the pool.
        if self.breaker.is_open() {
            return Err(ConnectionFault::Away.into());
        }
        // A task of the runtime, because threads inherit the niceness of those that start them:
        // SQLite's, which serves others afterwards, would be as nice as that of a large query.
        let destination = self.destination.clone();
        let opening = tokio::spawn(async move { destination.connect().await });
        let opened = AbortOnDropHandle::new(opening).await;
        let opened = opened.unwrap_or_else(|_| Err(SqlxError::WorkerCrashed));
        opened.inspect_err(|error| self.report(error))
    }

    async fn recycle(
        &self,
        session: &mut AlarmedConnection<DB>,
        metrics: &Metrics,
    ) -> RecycleResult<SqlxError> {
        if metrics.age() > MAX_LIFETIME {
            return Err(RecycleError::message("it is old"));
        }
        if metrics.last_used() > PING_AFTER_IDLE {
            let ping = Box::pin(timeout(PING_TIMEOUT, session.connection.ping()));
            ping.await
                .map_err(|_| SqlxError::from(ConnectionFault::Late))??;
        }
        Ok(())
    }
}
