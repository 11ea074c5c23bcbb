//! The one way by which a document reaches the schema: from POST, GET, a WebSocket
//! or a stored operation of the REST layer.
//!
//! It stands around the schema, not in it: an async-graphql extension would cost
//! every field of every answer.

use std::sync::Arc;

use async_graphql::{
    Name, Pos, Request, Response, ServerError, ValidationMode, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
};
use tokio_util::task::TaskTracker;

use super::{
    RequestData, Schema,
    documents::{Documents, ParsedDocument, fits},
    guard::Limits,
    merge::merge_repeated,
    schema,
    variables::{Omitted, fill_defaults, remove_omitted},
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
pub struct Executor(Arc<Inner>);

struct Inner {
    schema: Schema,
    /// For documents that were validated before.
    unchecked_schema: Schema,
    documents: Documents,
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
    /// Where the data is.
    pub database: Database,
    /// Who asks.
    pub viewer: Viewer,
    /// Finds the request in the log.
    pub request_id: Arc<str>,
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
    Stored(Arc<ParsedDocument>),
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
    /// Given up half way by a fault of ours. There is no data.
    Failed,
    /// Executed; errors, if any, belong to fields.
    Executed,
}

impl Executor {
    /// An executor whose operations are among `tasks` until they end.
    #[must_use]
    pub fn new(limits: Limits, tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            schema: schema(ValidationMode::Strict),
            unchecked_schema: schema(ValidationMode::Fast),
            documents: Documents::default(),
            limits,
            tasks,
        }))
    }

    /// Executes `operation`.
    pub async fn execute(&self, operation: Operation) -> Answer {
        match self.prepare(operation) {
            Ok(prepared) => self.run(prepared).await,
            Err(refused) => *refused,
        }
    }

    /// Checks all of `operation` that can be checked before it is executed, except for
    /// whether its document fits the schema.
    ///
    /// # Errors
    /// The answer, if it must not be executed.
    pub fn prepare(&self, operation: Operation) -> Result<Prepared, Box<Answer>> {
        let request_id = operation.request_id.clone();
        self.0.prepare(operation).map_err(|(stage, errors)| {
            let mut response = Response::from_errors(errors);
            finish(&mut response, &request_id);
            Box::new(Answer { stage, response })
        })
    }

    /// Executes what was prepared. Once it runs it runs to its end, in a task of its own:
    /// a caller that hangs up, or a time-out, drops this future only. So a write ends as a
    /// whole, also when nobody waits for its answer, and a read gives its connection back
    /// instead of losing it with the answer under way.
    pub async fn run(&self, prepared: Prepared) -> Answer {
        let request_id = prepared.request_id.clone();
        let inner = Arc::clone(&self.0);
        let task = self.0.tasks.spawn(async move { inner.run(prepared).await });
        let mut answer = task.await.unwrap_or_else(|panic| Answer {
            stage: Stage::Failed,
            response: Response::from_errors(vec![server_error(Error::Internal(Arc::new(panic)))]),
        });
        finish(&mut answer.response, &request_id);
        answer
    }
}

impl Inner {
    /// Validates and executes.
    async fn run(&self, mut prepared: Prepared) -> Answer {
        let is_query = prepared.kind == OperationType::Query;
        let new_text = prepared.new_text.take();
        let parsed = Arc::clone(&prepared.parsed);
        let fits = prepared.fits;
        let response = match self.rewrite(prepared).await {
            Ok((schema, request)) => schema.execute(request).await,
            Err(errors) => Response::from_errors(errors),
        };
        let stage = stage_of(&response, is_query);
        if stage == Stage::Executed {
            if fits {
                parsed.set_valid();
            }
            if let Some(text) = new_text {
                self.documents.insert(text, parsed);
            }
        }
        Answer { stage, response }
    }

    /// Merges repeated fields and drops omitted variables. A document that this
    /// changes is validated as it was sent, and executed on the schema that does not
    /// validate; so is one that is known to be valid.
    async fn rewrite(&self, prepared: Prepared) -> Result<(&Schema, Request), Vec<ServerError>> {
        let parsed = &prepared.parsed;
        let name = prepared.name.as_ref();
        let refuse = |error| vec![server_error(error)];
        let merged = if parsed.may_repeat {
            merge_repeated(&parsed.document, name, &prepared.variables).map_err(refuse)?
        } else {
            None
        };
        let is_changed = merged.is_some() || !prepared.omitted.is_empty();
        let is_valid = prepared.is_stored || (prepared.fits && parsed.is_valid());
        if is_changed && !is_valid {
            // With introspection alone nothing is executed.
            let document = parsed.document.clone();
            let as_sent = prepared.request(document).only_introspection();
            let validated = self.schema.execute(as_sent).await;
            if !validated.errors.is_empty() {
                return Err(validated.errors);
            }
        }
        let mut document = merged.unwrap_or_else(|| parsed.document.clone());
        remove_omitted(&mut document, name, &prepared.omitted).map_err(|variable| {
            let message = format!("has a directive that needs the variable ${variable}");
            refuse(Error::fault("query", message))
        })?;
        let schema = if is_changed || is_valid {
            &self.unchecked_schema
        } else {
            &self.schema
        };
        Ok((schema, prepared.request(document)))
    }

    /// Everything before execution: checks the document, selects the operation,
    /// checks the scope, settles the variables.
    fn prepare(&self, operation: Operation) -> Result<Prepared, (Stage, Vec<ServerError>)> {
        let refuse = |error: Error| (Stage::Refused, vec![server_error(error)]);
        let Operation {
            document,
            name,
            mut variables,
            database,
            viewer,
            request_id,
            queries_only,
            check_only,
        } = operation;
        let is_stored = matches!(document, Document::Stored(_));
        let (parsed, new_text) = match document {
            Document::Stored(parsed) => (parsed, None),
            Document::Text(text) => {
                if let Some(parsed) = self.documents.get(&text) {
                    (parsed, None)
                } else {
                    self.limits.check_text(&text).map_err(refuse)?;
                    let parsed = ParsedDocument::parse(&text)
                        .map_err(|error| (Stage::Refused, vec![syntax_error(&error)]))?;
                    (Arc::new(parsed), Some(text))
                }
            }
        };
        let document = &parsed.document;
        let (name, selected) = select(document, name.as_deref())
            .map_err(|message| refuse(Error::fault("operationName", message)))?;
        let kind = selected.ty;
        let omitted = fill_defaults(selected, &mut variables);
        let fits = parsed.has_one_operation() && fits(selected, &variables);
        self.limits
            .check_document(document, &variables)
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
            viewer
                .require_write()
                .map_err(|error| (Stage::Forbidden, vec![server_error(error)]))?;
        }
        Ok(Prepared {
            parsed,
            new_text,
            fits,
            kind,
            name,
            variables,
            omitted,
            user: viewer.user,
            database,
            request_id,
            check_only,
            is_stored,
        })
    }
}

/// An operation that may be executed.
pub struct Prepared {
    parsed: Arc<ParsedDocument>,
    /// The text of a document that is not yet remembered.
    new_text: Option<String>,
    /// Whether the document is valid if it was with other variables, see [`fits`].
    fits: bool,
    kind: OperationType,
    name: Option<Name>,
    variables: Variables,
    omitted: Omitted,
    /// Who asks.
    user: Arc<str>,
    database: Database,
    request_id: Arc<str>,
    check_only: bool,
    is_stored: bool,
}

impl Prepared {
    /// Whether it is a mutation.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.kind == OperationType::Mutation
    }

    /// The same, to be executed on `database`.
    #[must_use]
    pub fn on(self, database: Database) -> Self {
        Self { database, ..self }
    }

    fn request(&self, document: ExecutableDocument) -> Request {
        let mut request =
            Request::new("")
                .variables(self.variables.clone())
                .data(RequestData::new(
                    self.database.clone(),
                    Arc::clone(&self.user),
                    Arc::clone(&self.parsed),
                    self.check_only,
                    self.is_stored,
                ));
        request.operation_name = self.name.as_ref().map(ToString::to_string);
        request.set_parsed_query(document);
        request
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

/// Errors of validation belong to no field. Those of arguments do, but without data
/// they are the request's, too, unless a mutation may have run before them.
fn stage_of(response: &Response, is_query: bool) -> Stage {
    let is_of_request = |error: &ServerError| {
        error.path.is_empty() || (is_query && error.source::<Error>().is_none())
    };
    let is_refused = !response.errors.is_empty()
        && response.data == async_graphql::Value::Null
        && response.errors.iter().all(is_of_request);
    if is_refused {
        Stage::Refused
    } else {
        Stage::Executed
    }
}

/// A syntax error in one line; the parser draws a picture.
fn syntax_error(error: &async_graphql::parser::Error) -> ServerError {
    let text = error.to_string();
    let detail = text.rsplit("= ").next().unwrap_or_default().trim();
    let mut syntax_error = ServerError::new(format!("Syntax error: {detail}."), None);
    syntax_error.locations = error.positions().collect();
    syntax_error
}

/// Gives every error its code, logs what is ours to mend, and keeps the answer
/// short: errors quote what was sent.
fn finish(response: &mut Response, request_id: &str) {
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        if let Some(source) = error.source::<Error>().cloned() {
            source.log(request_id);
            match source {
                Error::Internal(_) => {
                    let extensions = error.extensions.get_or_insert_default();
                    extensions.set("requestId", request_id);
                }
                Error::Validation(mut faults) => {
                    for fault in &mut faults {
                        cut(&mut fault.message);
                    }
                    set_faults(error, &faults);
                }
                _ => {}
            }
        }
        cut(&mut error.message);
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
            set_faults(error, &[fault]);
        }
    }
}

fn set_faults(error: &mut ServerError, faults: &[Fault]) {
    if let Ok(faults) = async_graphql::to_value(faults) {
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("fields", faults);
    }
}

fn cut(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
}

fn server_error(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
    error.locations.clear();
    error
}
