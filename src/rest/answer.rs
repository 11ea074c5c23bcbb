//! From the response of a stored operation to the body of a REST answer.

use async_graphql::{Response, ServerError, Value as ConstValue};
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap, SerializeSeq},
};

use super::operation::{ANSWER, AnswerShape, NESTED, ParameterKind, StoredOperation};
use crate::{
    error::{Code, Error, Fault},
    http::problem::{BodyFaults, Problem, Stale},
};

/// The body of an answer and the members that stand beside it.
pub struct Found<'a> {
    /// The value behind the innermost `answer`.
    pub body: &'a ConstValue,
    /// The total of a list.
    pub total: Option<u64>,
    /// Whether rows come after those of a list.
    pub has_next: bool,
    /// The cursor of the last row of a list.
    pub end_cursor: Option<&'a str>,
}

impl<'a> Found<'a> {
    /// Follows `answer` to the body.
    #[must_use]
    pub fn within(response: &'a Response) -> Self {
        let mut found = Self {
            body: &response.data,
            total: None,
            has_next: false,
            end_cursor: None,
        };
        while let ConstValue::Object(members) = found.body
            && let Some(inner) = members.get(ANSWER)
        {
            if let Some(ConstValue::Number(total)) = members.get("total") {
                found.total = total.as_u64();
            }
            if let Some(ConstValue::Object(page)) = members.get("page") {
                found.has_next = page.get("has_next") == Some(&ConstValue::Boolean(true));
                if let Some(ConstValue::String(cursor)) = page.get("end_cursor") {
                    found.end_cursor = Some(cursor);
                }
            }
            found.body = inner;
        }
        found
    }

    /// A number among the body's own members.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        let ConstValue::Object(members) = self.body else {
            return None;
        };
        match members.get(name)? {
            ConstValue::Number(number) => number.as_i64(),
            ConstValue::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// A value with its shape, to be serialized as REST answers it: members in the order of the
/// document, and ids as numbers, as the documented page shows them.
pub struct Shaped<'a> {
    /// The value to write.
    pub value: &'a ConstValue,
    /// The shape of the value.
    pub shape: &'a AnswerShape,
}

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.shape) {
            (ConstValue::List(items), AnswerShape::List(shape)) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Shaped { value, shape })?;
                }
                list.end()
            }
            (ConstValue::Object(members), AnswerShape::Object(shapes)) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    match shapes.get(name.as_str()) {
                        Some(shape) => object.serialize_entry(name, &Shaped { value, shape })?,
                        None => object.serialize_entry(name, value)?,
                    }
                }
                object.end()
            }
            (
                ConstValue::String(id),
                AnswerShape::Leaf {
                    kind: ParameterKind::Id,
                    ..
                },
            ) => match id.parse::<i64>() {
                Ok(id) => serializer.serialize_i64(id),
                Err(_) => Err(S::Error::custom("an id is no number")),
            },
            (value, _) => value.serialize(serializer),
        }
    }
}

/// The form in which the input came: it decides how the caller is told of faults.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// The input was a body, nested under this member.
    Body(&'a str),
    /// The input was a query string.
    Query,
}

/// The problem that failed an operation. Faults of the input get the names that the caller
/// knows, and follow those in `known`.
#[must_use]
pub fn problem(
    operation: &StoredOperation,
    error: &ServerError,
    input: Input<'_>,
    known: BodyFaults,
) -> Problem {
    let Some(source) = error.source::<Error>() else {
        // The error is not from a resolver, so the stored document or its variables are wrong.
        tracing::error!(message = error.message, "a stored operation failed");
        return Problem::internal();
    };
    let faults = match source {
        Error::Validation(faults) => faults,
        Error::Conflict {
            current_version,
            differs,
        } => {
            return Problem::stale(Stale {
                current_version: *current_version,
                differs: differs.clone(),
            });
        }
        other => return Problem::of(other),
    };
    match input {
        Input::Query => {
            let sentences: Vec<_> = faults
                .iter()
                .map(|fault| {
                    let name = name_of(operation, fault).unwrap_or_default();
                    format!("The parameter '{name}' {}.", fault.message)
                })
                .collect();
            Problem::new(axum::http::StatusCode::BAD_REQUEST, sentences.join(" "))
        }
        Input::Body(wrapper) => {
            let mut all = known;
            for fault in faults {
                let pointer = match name_of(operation, fault) {
                    Some(name) => format!("/{wrapper}/{}", name.replace(NESTED, "/")),
                    None => String::new(),
                };
                // A field that could not be read has a stand-in, whose own faults must not be
                // told.
                if !all.cover(&pointer) {
                    all.add(pointer, fault.message.clone());
                }
            }
            Problem::unprocessable(all)
        }
    }
}

/// The name of the parameter, or of the object above it, that a fault is about.
fn name_of(operation: &StoredOperation, fault: &Fault) -> Option<String> {
    operation.parameters.iter().find_map(|parameter| {
        let rest = parameter.path.strip_prefix(&fault.path)?;
        if !(rest.is_empty() || rest.starts_with('.')) {
            return None;
        }
        let above = rest.matches('.').count();
        let mut members: Vec<_> = parameter.members().collect();
        members.truncate(members.len().saturating_sub(above));
        Some(members.join(NESTED))
    })
}

/// The failure's public name, for the status of an answer.
#[must_use]
pub fn code_of(error: &ServerError) -> Option<Code> {
    error.source::<Error>().map(Error::code)
}
