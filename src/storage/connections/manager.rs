//! How connections are opened, and tried before they are used again.

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

use super::fault::{self, ConnectionFault};
use crate::storage::breaker::Breaker;

/// How long a connection may take to open. Shorter than the time that a request waits
/// for one, or nobody would learn that the database is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// A connection that rested longer than this is tried before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(30);
/// How long that trial may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection is replaced after this time: what a session gathers is freed, and a
/// database behind another address is found.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// SQLite looks at its alarm after so many steps of its virtual machine, which it takes
/// in about a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 50_000;

type Options<DB> = <<DB as sqlx::Database>::Connection as Connection>::Options;

/// An engine, as far as opening a connection goes.
pub trait Engine: sqlx::Database {
    /// Has statements of this connection end when the alarm goes off.
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
    /// A statement runs in a thread, which goes on when nobody waits for it any more.
    async fn obey(connection: &mut Self::Connection, alarm: &Alarm) -> Result<(), SqlxError> {
        let alarm = alarm.clone();
        let mut handle = connection.lock_handle().await?;
        handle.set_progress_handler(STEPS_BETWEEN_LOOKS, move || !alarm.is_due());
        Ok(())
    }

    /// A file that is locked, or on a full disk, is there.
    fn is_away(error: &SqlxError) -> bool {
        matches!(
            ConnectionFault::behind(error),
            Some(ConnectionFault::FileGone)
        )
    }
}

/// When the statement under way is to be interrupted.
#[derive(Clone, Debug)]
pub struct Alarm(Arc<AtomicU64>);

/// Instants are counted from here, in milliseconds.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Alarm {
    const NEVER: u64 = u64::MAX;

    /// Sets it to `instant`, or off.
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
    /// What statements are sent through.
    pub connection: DB::Connection,
    /// Interrupts them.
    pub alarm: Alarm,
}

/// The file of an SQLite database: a path, and which file was found there.
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

    /// Whether the path still leads to it. What is written to a file that was deleted
    /// is lost, though SQLite does not notice.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|identity| identity == self.identity)
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Opens and tries connections.
pub struct Manager<DB: sqlx::Database> {
    /// How long a statement waits for its connection.
    pub patience: Duration,
    /// Open while no connection can be opened.
    pub breaker: Arc<Breaker>,
    target: Target<DB>,
}

/// Where connections lead to.
struct Target<DB: sqlx::Database> {
    options: Options<DB>,
    file: Option<DatabaseFile>,
}

impl<DB: sqlx::Database> Clone for Target<DB> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            file: self.file.clone(),
        }
    }
}

impl<DB: Engine> Target<DB> {
    async fn connect(&self) -> Result<AlarmedConnection<DB>, SqlxError> {
        self.check_place()?;
        let alarm = Alarm(Arc::new(AtomicU64::new(Alarm::NEVER)));
        let open = async {
            let mut connection = self.options.connect().await?;
            DB::obey(&mut connection, &alarm).await?;
            Ok::<_, SqlxError>(connection)
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
    /// Opens connections with `options`, to `file` if it is one.
    pub fn new(
        options: Options<DB>,
        file: Option<DatabaseFile>,
        patience: Duration,
        breaker: Arc<Breaker>,
    ) -> Self {
        let options = options.disable_statement_logging();
        Self {
            patience,
            breaker,
            target: Target { options, file },
        }
    }

    /// Whether what was written is where it will be looked for.
    ///
    /// # Errors
    /// If the database file is gone; then nothing more is written to it.
    pub fn check_place(&self) -> Result<(), SqlxError> {
        let checked = self.target.check_place();
        checked.inspect_err(|error| self.report(error))
    }

    /// Refuses all work if this error says that the database is away.
    fn report(&self, error: &SqlxError) {
        if !DB::is_away(error) {
            return;
        }
        let target = self.target.clone();
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
        // It may have opened while this waited for its turn.
        if self.breaker.is_open() {
            return Err(ConnectionFault::Away.into());
        }
        // Boxed, for it is large and rare: every statement would move it about.
        let opened = Box::pin(self.target.connect()).await;
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
