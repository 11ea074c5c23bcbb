//! What one connection is asked for: operations, by the ids that the client gave them, and
//! their answers.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::ServerError;
use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
};

use super::{DUPLICATE, End, INTERNAL, TOO_MANY_INITS, forbidden, invalid, pong};
use crate::{
    auth::Credentials,
    error::Error,
    graphql::{
        error::server_error,
        operation::executor::{Answer, Executor, Stage},
        projection::raw_json,
        transport::http::Parameters,
    },
    http::request_id::RequestId,
};

/// The most operations that one connection may have asked for at once.
const MAX_OPERATIONS: usize = 100;
/// The most operations of one connection that are executed at once, or whose answers wait to
/// be sent.
const MAX_EXECUTED: usize = 4;

/// A message from the client.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Received {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Subscribe { id: String, payload: Subscribe },
    Complete { id: String },
    Ping { payload: Option<Value> },
    Pong,
}

/// What a client asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscribe {
    query: String,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
}

/// What one connection is asked for.
pub struct Conversation {
    executor: Executor,
    credentials: Arc<Credentials>,
    request_id: RequestId,
    /// The operations under way, by the ids that the client gave them.
    under_way: HashMap<String, Asked>,
    answers: JoinSet<(String, Result<Answer, Error>, Permit)>,
    turns: Arc<Semaphore>,
}

/// The right to be executed, which an answer keeps until it was sent.
pub type Permit = Option<OwnedSemaphorePermit>;

/// An operation that was asked for.
struct Asked {
    task: AbortHandle,
    has_begun: Arc<AtomicBool>,
}

/// The messages of an operation that has ended.
pub struct Answered {
    pub messages: Vec<Utf8Bytes>,
    pub turn: Permit,
}

impl Conversation {
    /// A connection of the caller with these credentials.
    pub fn new(executor: Executor, credentials: Credentials, request_id: RequestId) -> Self {
        Self {
            executor,
            credentials: Arc::new(credentials),
            request_id,
            under_way: HashMap::new(),
            answers: JoinSet::new(),
            turns: Arc::new(Semaphore::new(MAX_EXECUTED)),
        }
    }

    /// Takes a message. Returns what to answer at once.
    pub fn take(&mut self, message: &[u8]) -> Result<Option<Value>, End> {
        match serde_json::from_slice(message).map_err(|_| invalid())? {
            Received::ConnectionInit { .. } => {
                let reason = "Too many initialisation requests";
                Err((TOO_MANY_INITS, reason.to_owned()))
            }
            Received::Ping { payload } => Ok(Some(pong(payload))),
            Received::Pong => Ok(None),
            Received::Complete { id } => {
                // One that has begun goes on to its end, and keeps its turn until then.
                if let Some(operation) = self.under_way.remove(&id)
                    && !operation.has_begun.load(Ordering::Acquire)
                {
                    operation.task.abort();
                }
                Ok(None)
            }
            Received::Subscribe { id, payload } => self.begin(id, payload),
        }
    }

    fn begin(&mut self, id: String, sent: Subscribe) -> Result<Option<Value>, End> {
        let is_full = self.answers.len() >= MAX_OPERATIONS;
        let place = match self.under_way.entry(id) {
            Entry::Occupied(place) => {
                let reason = format!("Subscriber for {} already exists", place.key());
                return Err((DUPLICATE, reason));
            }
            Entry::Vacant(place) if is_full => {
                let error = server_error(Error::Limit(format!(
                    "At most {MAX_OPERATIONS} operations may be under way on one connection."
                )));
                let refused = json!({ "id": place.key(), "type": "error", "payload": [error] });
                return Ok(Some(refused));
            }
            Entry::Vacant(place) => place,
        };
        let id = place.key().clone();
        let turns = Arc::clone(&self.turns);
        let executor = self.executor.clone();
        let credentials = Arc::clone(&self.credentials);
        let request_id = self.request_id.clone();
        let has_begun = Arc::<AtomicBool>::default();
        let begins = Arc::clone(&has_begun);
        let task = self.answers.spawn(async move {
            // The semaphore is never closed.
            let turn = turns.acquire_owned().await.ok();
            begins.store(true, Ordering::Release);
            let answer = execute(&executor, &credentials, &request_id, sent).await;
            (id, answer, turn)
        });
        place.insert(Asked { task, has_begun });
        Ok(None)
    }

    /// The messages of the next operation that ends. Waits for ever if none is under way.
    pub async fn next(&mut self) -> Result<Answered, End> {
        loop {
            let Some(ended) = self.answers.join_next_with_id().await else {
                return pending().await;
            };
            // An operation that the client has given up was aborted.
            let Ok((task, (id, answer, turn))) = ended else {
                continue;
            };
            // It may have ended before that, and its id may have been given to another.
            let operation = self.under_way.get(&id);
            if operation.is_none_or(|operation| operation.task.id() != task) {
                continue;
            }
            self.under_way.remove(&id);
            let answered = |messages| Ok(Answered { messages, turn });
            let answer = match answer {
                Ok(answer) => answer,
                Err(Error::Unauthenticated) => return Err(forbidden()),
                Err(error) => {
                    error.log(&self.request_id.0);
                    return answered(vec![failed(&id, &[server_error(error)])]);
                }
            };
            let response = &answer.response;
            if answer.stage != Stage::Executed {
                return answered(vec![failed(&id, &response.errors)]);
            }
            let written = raw_json::write_answer(Some(&response.data), &response.errors);
            let written = written.ok().and_then(|text| String::from_utf8(text).ok());
            let Some(payload) = written else {
                tracing::error!(id = self.request_id.0.as_ref(), "an answer is no JSON");
                return Err((INTERNAL, "Internal error".to_owned()));
            };
            let name = json!(id);
            let next = format!("{{\"id\":{name},\"type\":\"next\",\"payload\":{payload}}}");
            let complete = json!({ "id": id, "type": "complete" });
            return answered(vec![next.into(), complete.to_string().into()]);
        }
    }
}

/// The message about an operation that was not executed.
fn failed(id: &str, errors: &[ServerError]) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Failed<'a> {
        id: &'a str,
        r#type: &'static str,
        payload: &'a [ServerError],
    }
    let message = Failed {
        id,
        r#type: "error",
        payload: errors,
    };
    // Names, texts and numbers: nothing in it can fail to be written.
    serde_json::to_string(&message).unwrap_or_default().into()
}

async fn execute(
    executor: &Executor,
    credentials: &Credentials,
    request_id: &RequestId,
    sent: Subscribe,
) -> Result<Answer, Error> {
    let gateway = executor.gateway();
    let viewer = gateway.authenticator.viewer(credentials).await?;
    let parameters = Parameters {
        query: sent.query,
        operation_name: sent.operation_name,
        variables: sent.variables.unwrap_or_default(),
    };
    let operation = parameters.operation(gateway.store.clone(), viewer, request_id);
    Ok(executor.execute(operation).await)
}
