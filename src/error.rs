//! What can go wrong, in one enum, and what each face calls it, in one table.

use std::sync::Arc;

use axum::http::StatusCode;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use serde::Serialize;

use crate::graphql::columns::camel_case;

/// The result of everything that rules or databases can refuse.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, as the rules in `clients.rs` and its siblings return it.
///
/// It deliberately has no `Display`: async-graphql shows the text of anything
/// that has one to the user, a database's message included. The conversion below
/// is the only way out.
#[derive(Clone, Debug)]
pub enum Error {
    /// The input breaks rules: every fault that was found, not only the first.
    Validation(Vec<Fault>),
    /// The record that an update names does not exist.
    NotFound(String),
    /// The record has moved on from the version that the caller expected.
    Conflict {
        /// The version that the record has now.
        current_version: i32,
        /// The fields that the caller sent and that the record has otherwise, by the
        /// names of their columns; those of the primary location follow its name and a
        /// dot.
        differs: Vec<String>,
    },
    /// No token, or one that is not valid (any more).
    Unauthenticated,
    /// The token's scope does not cover this.
    Forbidden,
    /// The request asks for more than the gateway gives.
    Limit(String),
    /// The database is away or too busy; the same request may succeed later.
    Unavailable(Arc<DbErr>),
    /// A fault of ours. The cause goes to the log, never to the caller.
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: the argument, then the input fields, joined by dots, as in
    /// `input.primaryLocation.zip`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The public name of a failure, `extensions.code` in GraphQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The input breaks rules, or the document is wrong.
    ValidationFailed,
    /// There is no such record.
    NotFound,
    /// The record has moved on.
    Conflict,
    /// No valid token.
    Unauthenticated,
    /// The token may only read.
    Forbidden,
    /// The request asks for too much.
    LimitExceeded,
    /// The database does not answer.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// The name in `extensions.code`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().0
    }

    /// The status of a REST answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.table().1
    }

    fn table(self) -> (&'static str, StatusCode) {
        match self {
            Self::ValidationFailed => ("VALIDATION_FAILED", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", StatusCode::TOO_MANY_REQUESTS),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Error {
    /// A single fault, at `path`.
    pub fn fault(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Validation(vec![Fault {
            path: path.into(),
            message: message.into(),
        }])
    }

    /// The public name of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Validation(_) => Code::ValidationFailed,
            Self::NotFound(_) => Code::NotFound,
            Self::Conflict { .. } => Code::Conflict,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::Forbidden,
            Self::Limit(_) => Code::LimitExceeded,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// Logs the cause of what the operator should know about. It is called once, where
    /// the failure becomes an answer.
    pub fn log(&self, request_id: &str) {
        match self {
            Self::Internal(cause) => tracing::error!(request_id, ?cause, "request failed"),
            Self::Unavailable(cause) => {
                tracing::warn!(request_id, ?cause, "database unavailable");
            }
            _ => {}
        }
    }

    /// The sentence for the user: what is wrong and how to mend it.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Validation(faults) => {
                let faults: Vec<_> = faults
                    .iter()
                    .map(|fault| format!("{} {}", fault.path, fault.message))
                    .collect();
                format!("The input is not valid: {}.", faults.join("; "))
            }
            Self::NotFound(what) => format!("There is no {what}."),
            Self::Conflict {
                current_version, ..
            } => format!(
                "The record was changed meanwhile: its version is now {current_version}. \
                 Read it again and repeat your change."
            ),
            Self::Unauthenticated => "A valid API token is needed: send it as \
                 'Authorization: Bearer TOKEN', or as HTTP Basic with the user \
                 'NAME/token' and the token as the password."
                .to_owned(),
            Self::Forbidden => {
                "This token may only read. Use one with the scope 'write'.".to_owned()
            }
            Self::Limit(what) => what.clone(),
            Self::Unavailable(_) => {
                "The database does not answer at the moment. Try again shortly.".to_owned()
            }
            Self::Internal(_) => "Something went wrong on our side.".to_owned(),
        }
    }
}

/// The only way in which a failure reaches a GraphQL answer.
impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut answer = Self::new(error.sentence());
        let extensions = answer.extensions.get_or_insert_default();
        extensions.set("code", error.code().name());
        match &error {
            Error::Validation(faults) => {
                if let Ok(faults) = async_graphql::to_value(faults) {
                    extensions.set("fields", faults);
                }
            }
            Error::Conflict {
                current_version,
                differs,
            } => {
                extensions.set("currentVersion", *current_version);
                let differs = differs.iter().map(|name| camel_case(name));
                extensions.set("differs", differs.collect::<Vec<_>>());
            }
            _ => {}
        }
        answer.source = Some(Arc::new(error));
        answer
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let passing = match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
            DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => is_passing(cause),
            _ => false,
        };
        if passing {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Internal(Arc::new(error))
        }
    }
}

/// Whether the database may well accept the same later.
#[must_use]
pub fn is_passing(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(cause) => cause.code().is_some_and(|code| {
            if let Some(_postgres) = cause.try_downcast_ref::<sea_orm::SqlxPostgresError>() {
                // PostgreSQL, appendix A: connection exceptions, resources,
                // operator intervention (which includes a statement that was
                // timed out), lock time-outs, and transactions to be repeated.
                matches!(code.get(..2), Some("08" | "53" | "57"))
                    || matches!(&*code, "55P03" | "40001" | "40P01" | "25P03")
            } else {
                // SQLite keeps the primary result code in the lowest byte:
                // busy, locked, I/O error, full.
                code.parse::<u32>()
                    .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
            }
        }),
        _ => false,
    }
}
