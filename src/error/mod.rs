//! The failures of rules and databases in one enum, and their public names in one table.

pub mod suggest;

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;

/// The result of everything that rules or databases can refuse.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, as the rules in `records` return it.
///
/// It deliberately has no `Display`: async-graphql shows the text of anything that has one
/// to the user, a database's message included. `graphql/error.rs` says what it shows.
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
    /// The token's scope does not cover this: the one that does.
    Forbidden(&'static str),
    /// The request asks for more than the gateway gives.
    Limit(String),
    /// The answer, or the work for it, would be more than the gateway gives, today and tomorrow.
    TooLarge(String),
    /// What follows the caller's position in the log of changes is not there any more.
    PositionLost {
        /// The number of the last change that was deleted.
        begins_after: i64,
    },
    /// The database cannot do it now; the same request may succeed later.
    Unavailable(Outage, Cause),
    /// A fault of ours.
    Internal(Cause),
}

/// The cause of a failure. Its text goes to the log, never to the caller; it names tables and
/// constraints, and no values.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why the database cannot do something now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It cannot be reached, or the connection to it broke.
    Away,
    /// All connections to it are in use.
    Busy,
    /// Another writer holds the lock.
    Locked,
    /// It did not finish in time.
    Slow,
    /// A write was sent, and not confirmed.
    Unconfirmed,
    /// Its disk is full.
    Full,
    /// It takes no writes, as a standby does, or a primary that was demoted.
    ReadOnly,
}

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The path: the argument, then the input fields, joined by dots, as in
    /// `input.primaryLocation.zip`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The public name of a failure, `extensions.code` in GraphQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The document is no GraphQL.
    ParseFailed,
    /// The document does not fit the schema.
    DocumentInvalid,
    /// The input breaks rules.
    ValidationFailed,
    /// There is no such record.
    NotFound,
    /// The record has moved on.
    Conflict,
    /// There is no valid token.
    Unauthenticated,
    /// The token may only read.
    Forbidden,
    /// The request asks for too much.
    LimitExceeded,
    /// The answer, or the work for it, is too much.
    AnswerTooLarge,
    /// The position in the log of changes is lost.
    PositionLost,
    /// The answer that was kept for a retry was erased.
    AnswerErased,
    /// The database does not answer.
    Unavailable,
    /// The disk of the database is full. GraphQL's list of codes has no name for it.
    StorageFull,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::ParseFailed,
        Self::DocumentInvalid,
        Self::ValidationFailed,
        Self::NotFound,
        Self::Conflict,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::LimitExceeded,
        Self::AnswerTooLarge,
        Self::PositionLost,
        Self::AnswerErased,
        Self::Unavailable,
        Self::StorageFull,
        Self::Internal,
    ];

    /// The name in `extensions.code`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().0
    }

    /// The status of an answer that is only this failure. REST answers 412 to a conflict, and
    /// 400 to faults in a query: see `rest/answer.rs`.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.table().1
    }

    fn table(self) -> (&'static str, StatusCode) {
        match self {
            Self::ParseFailed => ("GRAPHQL_PARSE_FAILED", StatusCode::BAD_REQUEST),
            Self::DocumentInvalid => ("GRAPHQL_VALIDATION_FAILED", StatusCode::BAD_REQUEST),
            Self::ValidationFailed => ("VALIDATION_FAILED", StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", StatusCode::TOO_MANY_REQUESTS),
            Self::AnswerTooLarge => ("LIMIT_EXCEEDED", StatusCode::BAD_REQUEST),
            Self::AnswerErased => ("ERASED", StatusCode::GONE),
            Self::PositionLost => ("POSITION_LOST", StatusCode::GONE),
            Self::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
            Self::StorageFull => ("UNAVAILABLE", StatusCode::INSUFFICIENT_STORAGE),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Fault {
    /// The path and the message as a sentence. A message that ends with a question mark gets no
    /// full stop.
    fn sentence(&self) -> String {
        let Self { path, message } = self;
        let end = if message.ends_with('?') { "" } else { "." };
        format!("{path} {message}{end}")
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
            Self::Forbidden(_) => Code::Forbidden,
            Self::Limit(_) => Code::LimitExceeded,
            Self::TooLarge(_) => Code::AnswerTooLarge,
            Self::PositionLost { .. } => Code::PositionLost,
            Self::Unavailable(Outage::Full, _) => Code::StorageFull,
            Self::Unavailable(..) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// Logs the cause of failures that the operator should know about. It is called once, where
    /// the failure becomes an answer.
    pub fn log(&self, request_id: &str) {
        let cause = self.cause();
        match self {
            Self::Internal(_) => tracing::error!(request_id, cause, "request failed"),
            Self::Unavailable(outage, _) => {
                tracing::warn!(request_id, ?outage, cause, "database unavailable");
            }
            _ => {}
        }
    }

    /// The cause of a failure that is not the caller's fault, in words for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Internal(cause) | Self::Unavailable(_, cause) => Some(cause.to_string()),
            _ => None,
        }
    }

    /// The sentence for the user: what is wrong and how to mend it.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Validation(faults) => match &faults[..] {
                [] => "The input is not valid.".to_owned(),
                [only] => format!("The input is not valid: {}", only.sentence()),
                [first, ..] => format!(
                    "The input has {} faults, all of which are in extensions.fields. The first: {}",
                    faults.len(),
                    first.sentence(),
                ),
            },
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
            Self::Forbidden("write") => {
                "This token may only read. Use one with the scope 'write'.".to_owned()
            }
            Self::Forbidden(scope) => {
                format!("This token may not do that. Use one with the scope '{scope}'.")
            }
            Self::PositionLost { begins_after } => format!(
                "Changes after this cursor were deleted: the log begins after {begins_after}. Read \
                 the records anew, and then go on without a cursor."
            ),
            Self::Limit(what) | Self::TooLarge(what) => what.clone(),
            Self::Unavailable(outage, _) => outage.sentence().to_owned(),
            Self::Internal(_) => "Something went wrong on our side.".to_owned(),
        }
    }
}

impl Outage {
    /// No sentence says that nothing was written: an earlier mutation of the request, or the
    /// write whose answer was being read, may have been.
    fn sentence(self) -> &'static str {
        match self {
            Self::Away => "The database does not answer at the moment. Try again shortly.",
            Self::Busy => "All connections to the database are busy. Try again shortly.",
            Self::Locked => {
                "The record is locked by another writer, and the wait for it timed out. Try again \
                 shortly."
            }
            Self::Slow => {
                "The database did not finish in time. Try again shortly; with an Idempotency-Key no \
                 write is done twice."
            }
            Self::Unconfirmed => {
                "The database did not confirm the write: it may or may not have happened. With \
                 the same Idempotency-Key it is safe to send it again; otherwise look first."
            }
            Self::Full => {
                "The disk of the database is full, so nothing more can be written. Reading goes on. \
                 Try again when there is space."
            }
            Self::ReadOnly => {
                "The database takes no writes at the moment, as after a fail-over. Reading goes on. \
                 Try again shortly."
            }
        }
    }
}
