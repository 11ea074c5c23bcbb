//! Errors of connections: which break one, which mean that the database is away, and what
//! the log may say of them.

use std::{
    borrow::{Borrow, Cow},
    error::Error,
    fmt,
    io::{self, ErrorKind},
};

use sea_orm::{DbErr, RuntimeErr, SqlxError, SqlxPostgresError, sqlx::error::DatabaseError};

/// A fault that the gateway finds by itself, as the cause of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFault {
    /// The breaker is open.
    #[error("the database is away")]
    Away,
    /// The time for a statement, for a transaction, or for opening a connection has passed.
    #[error("the database gave no answer in time")]
    Late,
    /// Others have been writing the same record for too long.
    #[error("other requests of this gateway are writing the record")]
    Locked,
    /// The path of the SQLite file does not lead to the open file any more.
    #[error(
        "the database file was moved, replaced or deleted: put it back, or start the gateway again"
    )]
    FileGone,
    /// A write was sent, and nobody knows whether it has taken effect.
    #[error("the write was not confirmed: {0}")]
    Unconfirmed(DbErr),
}

impl From<ConnectionFault> for SqlxError {
    fn from(fault: ConnectionFault) -> Self {
        let kind = match fault {
            ConnectionFault::Late | ConnectionFault::Locked => ErrorKind::TimedOut,
            ConnectionFault::Away | ConnectionFault::FileGone | ConnectionFault::Unconfirmed(_) => {
                ErrorKind::NotConnected
            }
        };
        Self::Io(io::Error::new(kind, fault))
    }
}

impl From<ConnectionFault> for DbErr {
    fn from(fault: ConnectionFault) -> Self {
        Self::Conn(RuntimeErr::SqlxError(SqlxError::from(fault).into()))
    }
}

impl ConnectionFault {
    /// The fault behind an error, if it is one of these.
    #[must_use]
    pub fn behind(error: &SqlxError) -> Option<&Self> {
        match error {
            SqlxError::Io(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

/// The error code that a database reports.
#[derive(Debug)]
pub enum Complaint<'a> {
    /// The SQLSTATE: five characters (PostgreSQL's manual, appendix A).
    Postgres(Cow<'a, str>),
    /// The primary result code of SQLite: the lowest byte of the extended one.
    Sqlite(u8),
}

impl<'a> Complaint<'a> {
    /// The code behind an error, if it is the database's own.
    #[must_use]
    pub fn behind(error: &'a SqlxError) -> Option<Self> {
        match error {
            SqlxError::Database(cause) => Self::of(&**cause),
            _ => None,
        }
    }

    fn of(cause: &'a dyn DatabaseError) -> Option<Self> {
        let code = cause.code()?;
        if cause.try_downcast_ref::<SqlxPostgresError>().is_some() {
            return Some(Self::Postgres(code));
        }
        let [primary, ..] = code.parse::<u32>().ok()?.to_le_bytes();
        Some(Self::Sqlite(primary))
    }
}

/// Whether SQLite did nothing because another program holds its lock.
#[must_use]
pub fn is_of_lock(error: &SqlxError) -> bool {
    const BUSY: u8 = 5;
    matches!(Complaint::behind(error), Some(Complaint::Sqlite(BUSY)))
}

/// The code alone: the message may quote stored values.
impl fmt::Display for Complaint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(code) => write!(formatter, "SQLSTATE {code}"),
            Self::Sqlite(code) => write!(formatter, "SQLite code {code}"),
        }
    }
}

/// A database error in the form that the log may show: names of tables and constraints,
/// never stored values. PostgreSQL has whole rows in its details, and quotes values in some
/// messages.
pub struct Redacted<E>(pub E);

/// As it is displayed: its fields hold what is stored.
impl<E: Borrow<DbErr>> fmt::Debug for Redacted<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<E: Borrow<DbErr>> Error for Redacted<E> {}

impl<E: Borrow<DbErr>> fmt::Display for Redacted<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0.borrow();
        let (DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
        else {
            return fmt::Display::fmt(error, formatter);
        };
        if let Some(ConnectionFault::Unconfirmed(cause)) = ConnectionFault::behind(cause) {
            return write!(
                formatter,
                "the write was not confirmed: {}",
                Redacted(cause)
            );
        }
        let (Some(words), Some(complaint)) = (cause.as_database_error(), Complaint::behind(cause))
        else {
            return fmt::Display::fmt(error, formatter);
        };
        write!(formatter, "{complaint}")?;
        if let Some(table) = words.table() {
            write!(formatter, ", table {table}")?;
        }
        if let Some(constraint) = words.constraint() {
            write!(formatter, ", constraint {constraint}")?;
        }
        if complaint.may_quote() {
            return Ok(());
        }
        write!(formatter, ": {}", words.message())
    }
}

impl Complaint<'_> {
    /// Whether the message may quote a value: one that PostgreSQL cannot read or compute
    /// with, or one in an exception that a function or trigger raises.
    fn may_quote(&self) -> bool {
        match self {
            Self::Postgres(code) => code.starts_with("22") || code.starts_with("P0"),
            Self::Sqlite(_) => false,
        }
    }
}

/// Whether the connection is useless after this error.
#[must_use]
pub fn is_broken(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::WorkerCrashed => true,
        error => match Complaint::behind(error) {
            // The session was ended, or the server is stopping, or the statement was prepared
            // before the schema changed, and so were those of the other connections.
            Some(Complaint::Postgres(code)) => is_of_connection(&code) || code == STALE_PLAN,
            // An I/O error.
            Some(Complaint::Sqlite(code)) => code == 10,
            None => false,
        },
    }
}

/// Whether a connection could not be opened because no server accepts it: it is stopped,
/// starting, or out of reach. A server that has no connection to spare, or refuses a
/// password, is not away; and a gateway without file descriptors cannot tell.
#[must_use]
pub fn is_away(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::AddrNotAvailable
                // A Unix socket that does not exist.
                | ErrorKind::NotFound
        ),
        error => matches!(
            Complaint::behind(error),
            Some(Complaint::Postgres(code)) if is_of_connection(&code)
        ),
    }
}

/// "cached plan must not change result type", as PostgreSQL's class "feature not supported".
/// Nothing has been done yet when it is found.
pub const STALE_PLAN: &str = "0A000";

/// Whether a statement was refused because it had been prepared for another schema.
#[must_use]
pub fn is_stale_plan(error: &DbErr) -> bool {
    let DbErr::Query(RuntimeErr::SqlxError(cause)) = error else {
        return false;
    };
    let complaint = Complaint::behind(cause);
    matches!(complaint, Some(Complaint::Postgres(code)) if code == STALE_PLAN)
}

/// PostgreSQL's classes for broken connections and for a server that stops or starts.
fn is_of_connection(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}
