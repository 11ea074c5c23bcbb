//! What can break about a connection.

use std::{
    borrow::{Borrow, Cow},
    error::Error,
    fmt,
    io::{self, ErrorKind},
};

use sea_orm::{DbErr, RuntimeErr, SqlxError, SqlxPostgresError, sqlx::error::DatabaseError};

/// What the gateway finds out by itself, as the cause of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFault {
    /// The breaker is open.
    #[error("the database is away")]
    Away,
    /// The time for a statement, a transaction, or for opening a connection is over.
    #[error("the database gave no answer in time")]
    Late,
    /// The name of the SQLite file is no more that of the file that is open.
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
            ConnectionFault::Late => ErrorKind::TimedOut,
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

/// What a database says is wrong.
#[derive(Debug)]
pub enum Complaint<'a> {
    /// PostgreSQL's five characters (appendix A of its manual).
    Postgres(Cow<'a, str>),
    /// The lowest byte of SQLite's code, which is the primary one.
    Sqlite(u8),
}

impl<'a> Complaint<'a> {
    /// The complaint behind an error, if it is the database's own.
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

/// The code alone: the words may quote what is stored.
impl fmt::Display for Complaint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(code) => write!(formatter, "SQLSTATE {code}"),
            Self::Sqlite(code) => write!(formatter, "SQLite code {code}"),
        }
    }
}

/// A database's error as the log may have it: names of tables and constraints, and never
/// what is stored in them. PostgreSQL tells whole rows in its details, and some of its
/// messages quote a value.
#[derive(Debug)]
pub struct Logged<E>(pub E);

impl<E: Borrow<DbErr> + fmt::Debug> Error for Logged<E> {}

impl<E: Borrow<DbErr>> fmt::Display for Logged<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0.borrow();
        let (DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
        else {
            return fmt::Display::fmt(error, formatter);
        };
        if let Some(ConnectionFault::Unconfirmed(cause)) = ConnectionFault::behind(cause) {
            return write!(formatter, "the write was not confirmed: {}", Logged(cause));
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
    /// Whether the message may have a value in it: of data that PostgreSQL cannot read or
    /// compute with, or in the words of somebody's trigger.
    fn may_quote(&self) -> bool {
        match self {
            Self::Postgres(code) => code.starts_with("22") || code.starts_with("P0"),
            Self::Sqlite(_) => false,
        }
    }
}

/// Whether a connection is of no use after this error.
#[must_use]
pub fn is_broken(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::WorkerCrashed => true,
        error => match Complaint::behind(error) {
            // The session was ended, or the server stops.
            Some(Complaint::Postgres(code)) => is_of_connection(&code),
            // Input or output failed.
            Some(Complaint::Sqlite(code)) => code == 10,
            None => false,
        },
    }
}

/// Whether a connection could not be opened because no server answers as one: it is
/// stopped, it starts, or it cannot be reached. A server with no connections to spare
/// is there, and so is one that refuses a password; and with no file descriptors left
/// here it may well be there.
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
                // A socket that is a file.
                | ErrorKind::NotFound
        ),
        error => matches!(
            Complaint::behind(error),
            Some(Complaint::Postgres(code)) if is_of_connection(&code)
        ),
    }
}

/// PostgreSQL's classes for broken connections and for a server that stops or starts.
fn is_of_connection(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}
