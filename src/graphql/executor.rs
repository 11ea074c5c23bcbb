//! The one way by which a document reaches the schema: from POST, GET, a WebSocket
//! or a stored operation of the REST layer.
//!
//! It stands around the schema, not in it: an async-graphql extension would cost
//! every field of every answer.

use std::sync::Arc;

use async_graphql::{
    Name, Pos, Request, Response, ServerError, Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};
use entity::api_token::Scope;
use tokio_util::task::TaskTracker;

use super::{
    RequestData, Schema,
    guard::Limits,
    loader::Loaders,
    variables::{fill_defaults, remove_omitted},
};
use crate::{
    auth::Viewer,
    database::Database,
    error::{Code, Error, Fault},
};

/// The most errors in one answer.
const MAX_ERRORS: usize = 10;
/// The longest error message, in characters; they quote what was sent.
const MAX_MESSAGE: usize = 300;

/// Executes operations.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    database: Database,
    limits: Limits,
    tasks: TaskTracker,
}

/// One operation to execute.
pub struct Operation {
    /// What to execute.
    pub document: Document,
    /// Which operation of the document, if it has several.
    pub name: Option<String>,
    /// The variables as they were sent.
    pub variables: Variables,
    /// Who asks.
    pub viewer: Viewer,
    /// Finds the request in the log.
    pub request_id: String,
    /// Mutations are refused: the transport is for reading.
    pub queries_only: bool,
    /// Mutations check their input and then fail, see [`RequestData`].
    pub check_only: bool,
}

/// A document in one of its two forms.
pub enum Document {
    /// As it was sent.
    Text(String),
    /// Parsed before: a stored operation of our own.
    Stored(Arc<ExecutableDocument>),
}

/// What came of an operation.
pub struct Answer {
    /// How far it went.
    pub stage: Stage,
    /// Data and errors, each error with its code.
    pub response: Response,
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
    /// Executed; errors, if any, belong to fields.
    Executed,
}

impl Executor {
    /// An executor of `schema` over `database`, whose operations are among `tasks`
    /// until they end.
    #[must_use]
    pub fn new(schema: Schema, database: Database, limits: Limits, tasks: TaskTracker) -> Self {
        Self {
            schema,
            database,
            limits,
            tasks,
        }
    }

    /// Executes `operation`. Once it runs it runs to its end, in a task of its own:
    /// a caller that hangs up, or a time-out, drops this future only. A transaction
    /// dropped half way would stay open on its connection, and the next writer to
    /// get that connection would lose its own, acknowledged write.
    pub async fn execute(&self, operation: Operation) -> Answer {
        let request_id = operation.request_id.clone();
        let mut answer = match self.prepare(operation) {
            Err((stage, errors)) => Answer {
                stage,
                response: Response::from_errors(errors),
            },
            Ok(request) => {
                let schema = self.schema.clone();
                let task = self
                    .tasks
                    .spawn(async move { schema.execute(request).await });
                let response = task.await.unwrap_or_else(|panic| {
                    let error = Error::Internal(Arc::new(panic));
                    Response::from_errors(vec![server_error(error)])
                });
                Answer {
                    stage: stage_of(&response),
                    response,
                }
            }
        };
        finish(&mut answer.response, &request_id);
        answer
    }

    /// Everything before execution: checks the document, selects the operation,
    /// checks the scope, settles the variables.
    fn prepare(&self, operation: Operation) -> Result<Request, (Stage, Vec<ServerError>)> {
        let refuse = |error: Error| (Stage::Refused, vec![server_error(error)]);
        let Operation {
            document,
            name,
            mut variables,
            viewer,
            request_id: _,
            queries_only,
            check_only,
        } = operation;
        let mut document = match document {
            Document::Stored(document) => (*document).clone(),
            Document::Text(text) => {
                self.limits.check_text(&text).map_err(refuse)?;
                parse_query(text).map_err(|error| (Stage::Refused, vec![error.into()]))?
            }
        };
        let (name, selected) = select(&document, name.as_deref())
            .map_err(|message| refuse(Error::fault("operationName", message)))?;
        let kind = selected.ty;
        let omitted = fill_defaults(selected, &mut variables);
        self.limits
            .check_document(&document, &variables)
            .map_err(refuse)?;
        let omitted = omitted.map_err(|missing| {
            let errors = missing.into_iter().map(|sentence| {
                let mut error = server_error(Error::fault("variables", sentence.clone()));
                error.message = sentence;
                error
            });
            (Stage::Refused, errors.collect())
        })?;
        if kind == OperationType::Mutation {
            if queries_only {
                let error = Error::fault("query", "is a mutation: send it by POST");
                return Err((Stage::NotAQuery, vec![server_error(error)]));
            }
            if viewer.scope != Scope::Write {
                return Err((Stage::Forbidden, vec![server_error(Error::Forbidden)]));
            }
        }
        remove_omitted(&mut document, name.as_ref(), &omitted);

        let mut request = Request::new("").variables(variables).data(RequestData {
            loaders: Loaders::new(&self.database.reader),
            database: self.database.clone(),
            check_only,
        });
        request.operation_name = name.map(|name| name.to_string());
        request.set_parsed_query(document);
        Ok(request)
    }
}

/// The operation to execute, with its name if it has one.
fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<(Option<Name>, &'a OperationDefinition), String> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok((None, &operation.node)),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get_key_value(name)
            .map(|(name, operation)| (Some(name.clone()), &operation.node))
            .ok_or_else(|| format!("names no operation of the document: {name}")),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(format!("names no operation of the document: {name}"))
        }
        (DocumentOperations::Multiple(operations), None) => {
            let mut operations = operations.iter();
            match (operations.next(), operations.next()) {
                (Some((name, operation)), None) => Ok((Some(name.clone()), &operation.node)),
                _ => Err("is required: the document has several operations".to_owned()),
            }
        }
    }
}

/// Errors of validation belong to no field, those of execution to one.
fn stage_of(response: &Response) -> Stage {
    let is_refused = !response.errors.is_empty()
        && response.data == async_graphql::Value::Null
        && response.errors.iter().all(|error| error.path.is_empty());
    if is_refused {
        Stage::Refused
    } else {
        Stage::Executed
    }
}

/// Gives every error its code, logs what is ours to mend, and keeps the answer
/// short: errors quote what was sent.
fn finish(response: &mut Response, request_id: &str) {
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        match error.source::<Error>() {
            Some(Error::Internal(cause)) => {
                tracing::error!(request_id, cause = ?cause, "request failed");
                let extensions = error.extensions.get_or_insert_default();
                extensions.set("requestId", request_id);
            }
            Some(Error::Unavailable(cause)) => {
                tracing::warn!(request_id, cause = ?cause, "database unavailable");
            }
            _ => {}
        }
        if let Some((cut, _)) = error.message.char_indices().nth(MAX_MESSAGE) {
            error.message.truncate(cut);
            error.message.push('…');
        }
        let has_code = error
            .extensions
            .as_ref()
            .is_some_and(|extensions| extensions.get("code").is_some());
        if !has_code {
            // async-graphql's own: syntax, unknown fields, arguments of a wrong type.
            let fault = Fault {
                path: "query".to_owned(),
                message: error.message.clone(),
            };
            let extensions = error.extensions.get_or_insert_default();
            extensions.set("code", Code::ValidationFailed.name());
            if let Ok(fields) = async_graphql::to_value([fault]) {
                extensions.set("fields", fields);
            }
        }
    }
}

fn server_error(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
    error.locations.clear();
    error
}
