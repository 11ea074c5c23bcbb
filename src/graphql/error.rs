//! How failures look in answers: `extensions.code`, and what belongs to it.

use std::sync::Arc;

use async_graphql::{Pos, ServerError};

use super::projection::columns::camel_case;
use crate::error::{Code, Error};

/// Every failure of a resolver reaches the answer by this conversion.
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
