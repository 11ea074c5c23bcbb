//! The one way by which a document reaches the schema: from POST, GET, a WebSocket
//! or a stored operation of the REST layer.
//!
//! The executor wraps the schema from outside: an async-graphql extension would cost every
//! field of every answer.

use entity::change::Face;
use std::{sync::Arc, thread, time::Duration};

use async_graphql::{Request, Response, ServerError, Value as ConstValue, Variables};
#[cfg(target_os = "linux")]
use rustix::process::nice;
use serde_json::{Map, Value};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use super::{
    collect::CollectedOperation,
    documents::{Document, Documents},
    variables,
};
use crate::{
    auth::Viewer,
    error::{Code, Error},
    gateway::Gateway,
    graphql::{
        answer_size::{AnswerSize, MaxAnswer},
        error::{document_error, finish, server_error},
        price::Price,
        projection::raw_json,
        schema::{Caller, RequestData, Schema, Shape, schema},
    },
    records::Store,
    storage::{database::Database, turns::OneAtATime},
};

/// An operation that asks for more values than these is large. A caller has one of them
/// executed at a time. A query has a thread of its own then, because those whom the same thread of
/// the runtime serves would wait for it; and it shares no statements, because others would wait
/// for that thread. A mutation stays where it is, for it may hold a lock.
const LARGE: u64 = 20_000;
/// By how much the thread of a large query is nicer than the others, see nice(1). On busy
/// processors these run at once, where they would wait for a turn of some 3 ms.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// How long one waits for the others of its caller.
const LARGE_PATIENCE: Duration = Duration::from_secs(5);

/// Executes operations.
#[derive(Clone)]
pub struct Executor(Arc<Inner>);

struct Inner {
    schema: Schema,
    documents: Documents,
    /// The callers of large operations.
    large: OneAtATime,
    gateway: Gateway,
}

/// One operation to execute.
pub struct OperationRequest {
    /// The document to execute.
    pub document: Source,
    /// The name of the operation to execute, if the document has several.
    pub name: Option<String>,
    /// The variables as they were sent.
    pub variables: Map<String, Value>,
    /// Access to the database, and what is kept about its lists.
    pub store: Store,
    /// The caller, who is authenticated.
    pub viewer: Viewer,
    /// The face that took the request.
    pub face: Face,
    /// How the answers of the face differ.
    pub shape: Shape,
    /// The id that finds the request in the log.
    pub request_id: Arc<str>,
    /// Whether mutations are refused, because the transport is for reading.
    pub queries_only: bool,
    /// Whether mutations check their input and then fail, see [`RequestData`].
    pub check_only: bool,
}

/// A document in one of its two forms.
pub enum Source {
    /// The text as it was sent.
    Text(String),
    /// A document that was compiled at the start, as those of the REST layer are.
    Stored(Arc<Document>),
}

/// The outcome of an operation.
pub struct Answer {
    /// How far the operation went.
    pub stage: Stage,
    /// Data and errors, each error with its code.
    pub response: Response,
}

impl Answer {
    fn failed(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let error = Error::Internal(Arc::new(cause));
        Self {
            stage: Stage::Failed,
            response: Response::from_errors(vec![server_error(error)]),
        }
    }

    fn too_many_large() -> Self {
        let error = Error::Limit(format!(
            "Another operation of this token that asks for more than {LARGE} values is still \
             under way. Send them one after the other."
        ));
        Self {
            stage: Stage::Refused,
            response: Response::from_errors(vec![server_error(error)]),
        }
    }
}

/// How far an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Refused before execution: the document or its variables are wrong, or too
    /// expensive. There is no data.
    Refused,
    /// Refused because the token may only read. There is no data.
    Forbidden,
    /// Refused because the transport is for queries only. There is no data.
    NotAQuery,
    /// Given up half way by a fault of ours. There is no data.
    Failed,
    /// Executed; errors, if any, belong to fields.
    Executed,
}

impl Executor {
    /// The executor of a gateway. When the gateway stops, it waits for the operations under
    /// way.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self(Arc::new(Inner {
            schema: schema(),
            documents: Documents::default(),
            large: OneAtATime::default(),
            gateway,
        }))
    }

    /// The gateway: what every handler shares.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    /// Executes `operation`.
    pub async fn execute(&self, operation: OperationRequest) -> Answer {
        match self.prepare(operation) {
            Ok(prepared) => self.run(prepared).await,
            Err(refused) => *refused,
        }
    }

    /// Checks all of `operation` that can be checked before it is executed.
    ///
    /// # Errors
    /// The answer, if it must not be executed.
    pub fn prepare(&self, operation: OperationRequest) -> Result<Prepared, Box<Answer>> {
        let request_id = operation.request_id.clone();
        self.0.prepare(operation).map_err(|(stage, errors)| {
            let mut response = Response::from_errors(errors);
            finish(&mut response, &request_id);
            Box::new(Answer { stage, response })
        })
    }

    /// Executes a prepared operation, in a task of its own that runs to its end. A caller that
    /// hangs up, or a time-out, drops only this future. So a write ends as a whole even if
    /// nobody waits for its answer, and a read gives its connection back to the pool instead of
    /// losing it with the answer under way.
    pub async fn run(&self, prepared: Prepared) -> Answer {
        let request_id = prepared.request_id.clone();
        let inner = Arc::clone(&self.0);
        let tasks = &self.0.gateway.lifecycle.tasks;
        let task = tasks.spawn(async move { inner.run(prepared).await });
        let mut answer = task.await.unwrap_or_else(Answer::failed);
        finish(&mut answer.response, &request_id);
        answer
    }
}

impl Inner {
    /// Executes a prepared operation, once its caller has no other large one under way.
    async fn run(self: Arc<Self>, prepared: Prepared) -> Answer {
        let Some(caller) = prepared.large_of else {
            return self.run_here(prepared).await;
        };
        let Ok(_turn) = timeout(LARGE_PATIENCE, self.large.alone(caller)).await else {
            return Answer::too_many_large();
        };
        if prepared.is_mutation {
            return self.run_here(prepared).await;
        }
        let runtime = Handle::current();
        let (answer, answered) = oneshot::channel();
        let thread = thread::Builder::new().name("large-query".to_owned());
        let started = thread.spawn(move || {
            // On Linux this is about the calling thread alone.
            #[cfg(target_os = "linux")]
            if let Err(error) = nice(NICENESS) {
                tracing::debug!(%error, "cannot make the thread of a large query nice");
            }
            let done = runtime.block_on(self.run_here(prepared));
            // The gateway stops when nobody waits any more: this keeps no part of it until then.
            drop(self);
            let _ = answer.send(done);
        });
        match started {
            Ok(_) => answered.await.unwrap_or_else(Answer::failed),
            Err(error) => Answer::failed(error),
        }
    }

    /// Executes a prepared operation on the thread that calls this.
    async fn run_here(&self, prepared: Prepared) -> Answer {
        let max = prepared.max_answer;
        let mut response = self.schema.execute(prepared.request()).await;
        let length = raw_json::length(&response.data);
        let length = length.map_err(|error| Error::Internal(Arc::new(error)));
        if let Err(error) = length.and_then(|length| max.check(length)) {
            response.data = ConstValue::Null;
            response.errors = vec![server_error(error)];
        }
        Answer {
            stage: Stage::Executed,
            response,
        }
    }

    /// All steps before execution: compiles the document, selects the operation, checks the
    /// scope, coerces the variables, and computes the cost.
    fn prepare(&self, operation: OperationRequest) -> Result<Prepared, (Stage, Vec<ServerError>)> {
        let refuse = |error: Error| (Stage::Refused, vec![server_error(error)]);
        let OperationRequest {
            document,
            name,
            variables,
            store,
            viewer,
            face,
            shape,
            request_id,
            queries_only,
            check_only,
        } = operation;
        let settings = &self.gateway.settings;
        let document = match document {
            Source::Stored(document) => document,
            Source::Text(text) => self
                .document(text)
                .map_err(|errors| (Stage::Refused, errors))?,
        };
        // Forms and some clients send an empty value for what they leave out.
        let name = name.filter(|name| !name.is_empty());
        let operation = document
            .operation(name.as_deref())
            .map_err(|message| refuse(Error::fault("operationName", message)))?;
        let is_mutation = operation.is_mutation();
        if is_mutation {
            if queries_only {
                let error = Error::fault("query", "is a mutation: send it by POST");
                return Err((Stage::NotAQuery, vec![server_error(error)]));
            }
            viewer
                .require_write()
                .map_err(|error| (Stage::Forbidden, vec![server_error(error)]))?;
        }
        if !settings.introspection && operation.introspects() {
            let message = "Introspection is switched off here.";
            let error = document_error(Code::DocumentInvalid, message.to_owned(), None);
            return Err((Stage::Refused, vec![error]));
        }
        let (variables, form) =
            variables::coerce(operation, variables, settings.introspection).map_err(refuse)?;
        let cost = settings
            .limits
            .check_operation(&document, operation, &variables)
            .map_err(refuse)?;
        let executed = operation.executed(&document, &form);
        let is_large = cost.values > LARGE;
        let store = store.of_request(viewer.token);
        let max_answer = MaxAnswer {
            bytes: settings.limits.max_answer_bytes,
            is_after_write: is_mutation,
        };
        Ok(Prepared {
            executed,
            name: operation.tree.name.as_ref().map(ToString::to_string),
            is_mutation,
            max_answer,
            max_price: settings.limits.max_query_price,
            variables,
            caller: Caller {
                user: viewer.user,
                face,
                scope: viewer.scope,
            },
            large_of: is_large.then_some(viewer.token),
            store: if is_large && !is_mutation {
                store.unshared()
            } else {
                store
            },
            request_id,
            check_only,
            shape,
        })
    }

    /// The document with this text: compiled, unless it was sent before.
    fn document(&self, text: String) -> Result<Arc<Document>, Vec<ServerError>> {
        if let Some(known) = self.documents.get(&text) {
            return Ok(known);
        }
        let settings = &self.gateway.settings;
        let document = Document::compile(&text, &settings.limits, settings.introspection)?;
        let document = Arc::new(document);
        self.documents.insert(text, Arc::clone(&document));
        Ok(document)
    }
}

/// An operation that may be executed.
pub struct Prepared {
    executed: Arc<CollectedOperation>,
    name: Option<String>,
    is_mutation: bool,
    max_answer: MaxAnswer,
    max_price: u64,
    variables: Variables,
    caller: Caller,
    /// The token of the caller, if the operation is large.
    large_of: Option<i64>,
    store: Store,
    request_id: Arc<str>,
    check_only: bool,
    shape: Shape,
}

impl Prepared {
    /// The name of the operation, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it is a mutation.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.is_mutation
    }

    /// This operation, to be executed in a transaction, whose view of the database this is.
    /// The transaction is to be rolled back if the answer has more than so many bytes.
    #[must_use]
    pub fn within(self, transaction: Database, max_bytes: usize) -> Self {
        let store = self.store.within(transaction);
        let max_answer = MaxAnswer {
            bytes: self.max_answer.bytes.min(max_bytes),
            is_after_write: false,
        };
        Self {
            max_answer,
            // It has a connection already, which others may wait for.
            large_of: None,
            store,
            ..self
        }
    }

    fn request(self) -> Request {
        let document = self.executed.document.clone();
        let mut request = Request::new("")
            .variables(self.variables)
            .data(RequestData::new(
                self.store,
                self.caller,
                self.shape,
                self.executed,
                AnswerSize::new(self.max_answer),
                Price::new(self.max_price),
                self.check_only,
            ));
        request.set_parsed_query(document);
        request
    }
}
