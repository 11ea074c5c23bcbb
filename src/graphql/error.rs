//! How failures look in answers: `extensions.code`, and what belongs to it.

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Pos, Response, ServerError, Value as ConstValue};
use metrics::counter;

use super::projection::columns::camel_case;
use crate::{
    error::{Code, Error, Fault},
    telemetry::figures::GRAPHQL_ERRORS,
};

/// The most errors in one answer.
pub const MAX_ERRORS: usize = 10;
/// The longest error message, in bytes. Messages quote what was sent.
const MAX_MESSAGE: usize = 400;

/// Every failure of a resolver reaches the answer by this conversion.
impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let mut answer = Self::new(error.sentence());
        let extensions = answer.extensions.get_or_insert_default();
        extensions.set("code", error.code().name());
        match &error {
            Error::Validation(faults) => set_faults(extensions, faults),
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

/// An error of ours as GraphQL answers it, without a place in the document.
#[must_use]
pub fn server_error(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
    error.locations.clear();
    error
}

/// An error of a document.
#[must_use]
pub fn document_error(code: Code, message: String, place: Option<Pos>) -> ServerError {
    let mut error = ServerError::new(message, place);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.name());
    error
}

/// Gives every error its code, logs faults of ours, and keeps the answer short, as errors quote
/// what was sent.
pub fn finish(response: &mut Response, request_id: &str) {
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
                    set_faults(error.extensions.get_or_insert_default(), &faults);
                }
                _ => {}
            }
        }
        cut(&mut error.message);
        let extensions = error.extensions.get_or_insert_default();
        if let Some(ConstValue::String(code)) = extensions.get("code") {
            counter!(GRAPHQL_ERRORS, "code" => code.clone()).increment(1);
        }
        if extensions.get("code").is_none() {
            // The error is async-graphql's own. The compiler and the coercion leave it nothing
            // to find.
            tracing::error!(
                request_id,
                message = error.message,
                "an error without a code"
            );
            extensions.set("code", Code::Internal.name());
        }
    }
}

fn set_faults(extensions: &mut ErrorExtensionValues, faults: &[Fault]) {
    if let Ok(faults) = async_graphql::to_value(faults) {
        extensions.set("fields", faults);
    }
}

fn cut(message: &mut String) {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
}
