//! Retries that write nothing twice: the header `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A request with a key runs in one transaction with the row of that key, which holds the
//! answer. So either both are committed or neither, and a retry gets the first answer
//! again, from any gateway over the same database.

mod answers;
mod erasure;
mod key;

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, StatusCode},
    response::Response,
};
use quick_cache::sync::Cache;
use sea_orm::DbErr;
use tokio_util::task::TaskTracker;

use crate::{
    error::{Code, Error},
    storage::database::Database,
};
pub use answers::purge;
use answers::{claim, replay, store_answer};
pub use erasure::erase_client;
pub use key::{Key, KeyedRequest};

/// The header that names a request, so that its retries can be told from other requests.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks an answer which was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, in characters.
pub const MAX_LENGTH: usize = 255;
/// The largest answer that is kept, in bytes. A request whose answer is larger is undone.
pub const MAX_ANSWER: usize = 1024 * 1024;
/// How long a retry waits while the first request is under way.
const PATIENCE: Duration = Duration::from_secs(2);
/// About how many requests with a key run at once.
const UNDER_WAY: usize = 1_024;

/// The result of a request that was executed.
pub struct Outcome {
    /// The answer.
    pub response: Response,
    /// What the answer means for the transaction.
    pub verdict: Verdict,
}

/// What an answer means for the transaction of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is done: its effects and the answer are kept.
    Done,
    /// The request was refused: its effects are undone, and the answer is kept.
    Refused,
    /// The same request may get another answer soon: nothing is kept.
    Open,
}

impl Verdict {
    /// The verdict for an answer with this status.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Self::Open,
            status if status.is_success() => Self::Done,
            status if status.is_client_error() => Self::Refused,
            _ => Self::Open,
        }
    }
}

/// Why a request with a key was not executed.
pub enum NotExecuted {
    /// The key belongs to another request (422).
    OtherRequest(Key),
    /// The first request with the key is still under way (409).
    UnderWay(Key),
    /// The answer was erased, along with a client that it told of (410).
    Erased(Key),
    /// The database failed, or there was a fault of ours.
    Failed(Error),
}

impl NotExecuted {
    /// The public name of this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OtherRequest(_) => Code::ValidationFailed,
            Self::UnderWay(_) => Code::Conflict,
            Self::Erased(_) => Code::AnswerErased,
            Self::Failed(error) => error.code(),
        }
    }

    /// Logs the cause of what the operator should know about.
    pub fn log(&self, request_id: &str) {
        if let Self::Failed(error) = self {
            error.log(request_id);
        }
    }

    /// The sentence for the user.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::OtherRequest(Key(key)) => format!(
                "The Idempotency-Key '{key}' was sent with another request: with another method, \
                 address or body. Send a new key with each new request."
            ),
            Self::UnderWay(Key(key)) => format!(
                "The first request with the Idempotency-Key '{key}' is still under way. Send \
                 this one again shortly, with the same key."
            ),
            Self::Erased(Key(key)) => format!(
                "The request with the Idempotency-Key '{key}' was executed before, and is not \
                 executed again. Its answer was erased, along with a client that it told of."
            ),
            Self::Failed(error) => error.sentence(),
        }
    }
}

impl From<DbErr> for NotExecuted {
    fn from(error: DbErr) -> Self {
        Self::Failed(error.into())
    }
}

/// The idempotency keys of the requests to one gateway.
#[derive(Clone)]
pub struct Keys {
    database: Database,
    tasks: TaskTracker,
    /// A request holds the guard of its key here while it runs; no value is ever inserted.
    /// The database alone would do, but a request that waits there keeps a connection from
    /// all others.
    guards: Arc<Cache<(i64, Key), ()>>,
}

impl Keys {
    /// Stores keys in `database`, and runs requests in `tasks`.
    #[must_use]
    pub fn new(database: Database, tasks: TaskTracker) -> Self {
        Self {
            database,
            tasks,
            guards: Arc::new(Cache::new(UNDER_WAY)),
        }
    }

    /// Executes a request by `run`, which must do all its work on the database that it is
    /// given. If the request was executed before, returns the first answer instead.
    ///
    /// Once begun, `run` goes on until the commit, in a task of its own: a caller that
    /// hangs up and tries again gets the answer that it missed.
    ///
    /// # Errors
    /// If the request was not executed.
    pub async fn once<F>(
        &self,
        request: KeyedRequest,
        run: impl FnOnce(Database) -> F + Send + 'static,
    ) -> Result<Response, NotExecuted>
    where
        F: Future<Output = Outcome> + Send,
    {
        let keys = self.clone();
        let task = self.tasks.spawn(async move {
            let place = (request.token, request.key.clone());
            let guard = keys.guards.get_value_or_guard_async(&place);
            let Ok(_guard) = tokio::time::timeout(PATIENCE, guard).await else {
                return Err(NotExecuted::UnderWay(request.key));
            };
            let database = keys.database.counting(request.statements.clone());
            let database = database.of_request(request.token);
            execute(&database, &request, run).await
        });
        task.await
            .unwrap_or_else(|panic| Err(NotExecuted::Failed(Error::Internal(Arc::new(panic)))))
    }
}

async fn execute<F>(
    database: &Database,
    request: &KeyedRequest,
    run: impl FnOnce(Database) -> F,
) -> Result<Response, NotExecuted>
where
    F: Future<Output = Outcome>,
{
    let transaction = database.begin().await?;
    if !claim(&transaction, request, database.clock.now()).await? {
        return replay(&transaction, request).await;
    }
    let within = database.within(&transaction);
    let operation = within.begin().await?;
    let Outcome { response, verdict } = run(within).await;
    match verdict {
        Verdict::Done => operation.commit().await?,
        Verdict::Refused => operation.rollback().await?,
        Verdict::Open => return Ok(response),
    }
    let response = store_answer(&transaction, request, response).await?;
    transaction.commit().await?;
    Ok(response)
}
