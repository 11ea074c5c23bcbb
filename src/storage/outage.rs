//! Turns database errors into [`Error`]: an outage, which may pass by itself, or a fault of
//! ours.

use std::sync::Arc;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlxError};

use super::connections::fault::{Complaint, ConnectionFault, Redacted, STALE_PLAN};
use crate::error::{Error, Outage};

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let outage = match &error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => Some(Outage::Busy),
            DbErr::Conn(RuntimeErr::SqlxError(cause)) => {
                Some(Outage::behind(cause).unwrap_or(Outage::Away))
            }
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Some(Outage::Away),
            DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => Outage::behind(cause),
            _ => None,
        };
        match outage {
            Some(outage) => Self::Unavailable(outage, Arc::new(Redacted(error))),
            None => Self::Internal(Arc::new(Redacted(error))),
        }
    }
}

impl Outage {
    /// The outage behind an error, if the database may accept the same statement later.
    #[must_use]
    pub fn behind(error: &SqlxError) -> Option<Self> {
        match error {
            SqlxError::Io(_) => Some(match ConnectionFault::behind(error) {
                Some(ConnectionFault::Unconfirmed(_)) => Self::Unconfirmed,
                Some(ConnectionFault::Late) => Self::Slow,
                Some(ConnectionFault::Locked) => Self::Locked,
                _ => Self::Away,
            }),
            SqlxError::Tls(_) | SqlxError::PoolClosed | SqlxError::WorkerCrashed => {
                Some(Self::Away)
            }
            SqlxError::PoolTimedOut => Some(Self::Busy),
            error => Self::of(&Complaint::behind(error)?),
        }
    }

    fn of(complaint: &Complaint<'_>) -> Option<Self> {
        match complaint {
            Complaint::Postgres(code) => match &**code {
                "25006" => Some(Self::ReadOnly),
                "53100" => Some(Self::Full),
                // A lock time-out, a deadlock, a serialization failure.
                "55P03" | "40P01" | "40001" => Some(Self::Locked),
                "57014" => Some(Self::Slow),
                // Prepared for another schema, in a transaction: it is prepared anew next time.
                "25P03" | STALE_PLAN => Some(Self::Away),
                // Broken connections, scarce resources, and interventions of an operator.
                code if matches!(code.get(..2), Some("08" | "53" | "57")) => Some(Self::Away),
                _ => None,
            },
            Complaint::Sqlite(code) => match code {
                5 | 6 => Some(Self::Locked),
                8 => Some(Self::ReadOnly),
                9 => Some(Self::Slow),
                10 => Some(Self::Away),
                13 => Some(Self::Full),
                _ => None,
            },
        }
    }
}
