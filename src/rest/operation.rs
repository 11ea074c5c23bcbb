//! Stored GraphQL operations: each REST route is one, and its document is the
//! route's contract. What the routes accept and answer is learned from the document
//! and the schema, once, at start.
//!
//! In a document the variables are the route's parameters or body fields, where a
//! nested member joins the names with `__` and a leading `_` marks one that the
//! handler sets. Aliases are the members of the answer; those called `answer` lead
//! to the body.

use std::{collections::HashMap, sync::Arc};

use apollo_compiler::{
    ExecutableDocument,
    ast::Value,
    executable::{self, Field, Selection, SelectionSet},
    schema::ExtendedType,
};
use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::{
    config::Limits,
    graphql::operation::{
        documents::{Document, SCHEMA},
        rules::Use,
    },
};

/// The alias that leads to the body.
pub const ANSWER: &str = "answer";
/// Joins the names of nested members in a variable's name.
pub const NESTED: &str = "__";

/// A mistake in a document of ours.
#[derive(Debug, thiserror::Error)]
#[error("stored operation: {0}")]
pub struct Mistake(String);

/// A stored document with what follows from it.
pub struct StoredOperation {
    /// The compiled document.
    pub document: Arc<Document>,
    /// What the route accepts, in the order of the document.
    pub parameters: Vec<Parameter>,
    /// The form of the body.
    pub answer: AnswerShape,
}

/// A query parameter or body field.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, with nested members joined.
    pub name: String,
    /// What values it takes.
    pub kind: ParameterKind,
    /// Whether it must be given.
    pub required: bool,
    /// Whether null is accepted, and clears.
    pub nullable: bool,
    /// The value that holds when the parameter is not given.
    pub default: Option<Json>,
    /// The argument and the input fields that take the value, joined by dots.
    pub path: String,
    /// The description in the schema.
    pub description: String,
}

impl Parameter {
    /// The names of the members that lead to it in a body.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.name.split(NESTED)
    }
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A number of 64 bits; text in GraphQL.
    Id,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// A number of 32 bits.
    Integer,
    /// An instant.
    Instant,
    /// Text or a whole number.
    PostalCode,
    /// One of these names.
    Enum(Vec<String>),
}

/// The form of an answer.
#[derive(Debug)]
pub enum AnswerShape {
    /// A value.
    Leaf {
        /// The kind of the value.
        kind: ParameterKind,
        /// Whether the value may be null.
        nullable: bool,
        /// The description in the schema.
        description: String,
    },
    /// An object with these members.
    Object(IndexMap<String, AnswerShape>),
    /// A list.
    List(Box<AnswerShape>),
}

impl AnswerShape {
    /// The members of an object or of the objects in a list.
    #[must_use]
    pub fn members(&self) -> Option<&IndexMap<String, AnswerShape>> {
        match self {
            Self::Leaf { .. } => None,
            Self::Object(members) => Some(members),
            Self::List(item) => item.members(),
        }
    }
}

impl StoredOperation {
    /// Compiles `text`, and learns what the route accepts and answers.
    ///
    /// # Errors
    /// If the document does not fit the schema or these conventions.
    pub fn load(text: &str) -> Result<Self, Mistake> {
        let document = Document::compile(text, &Limits::default(), false).map_err(|errors| {
            let messages: Vec<_> = errors.into_iter().map(|error| error.message).collect();
            Mistake(messages.join(" "))
        })?;
        let operation = document.operation(None).map_err(Mistake)?;
        let selections = &operation.tree.selection_set;
        let mut body = object(&document.tree, selections)?;
        while let AnswerShape::Object(members) = &mut body
            && let Some(inner) = members.swap_remove(ANSWER)
        {
            body = inner;
        }
        Ok(Self {
            answer: body,
            parameters: parameters(&operation.tree, &operation.uses)?,
            document: Arc::new(document),
        })
    }
}

fn kind_of(name: &str) -> Result<ParameterKind, Mistake> {
    Ok(match name {
        "ID" => ParameterKind::Id,
        "String" => ParameterKind::Text,
        "Boolean" => ParameterKind::Boolean,
        "Int" => ParameterKind::Integer,
        "DateTime" => ParameterKind::Instant,
        "PostalCode" => ParameterKind::PostalCode,
        _ => match SCHEMA.types.get(name) {
            Some(ExtendedType::Enum(names)) => {
                ParameterKind::Enum(names.values.keys().map(ToString::to_string).collect())
            }
            _ => return Err(Mistake(format!("{name} is no type of a value"))),
        },
    })
}

fn object(
    document: &ExecutableDocument,
    selections: &SelectionSet,
) -> Result<AnswerShape, Mistake> {
    let mut members = IndexMap::new();
    for selection in &selections.selections {
        match selection {
            Selection::Field(field) => {
                let name = field.response_key().to_string();
                members.insert(name, shape(document, field)?);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.fragment_name)
                    && let AnswerShape::Object(inner) = object(document, &fragment.selection_set)?
                {
                    members.extend(inner);
                }
            }
            Selection::InlineFragment(_) => {
                return Err(Mistake("inline fragments are not needed".to_owned()));
            }
        }
    }
    Ok(AnswerShape::Object(members))
}

fn shape(document: &ExecutableDocument, field: &Field) -> Result<AnswerShape, Mistake> {
    let shape = if field.selection_set.is_empty() {
        AnswerShape::Leaf {
            kind: kind_of(field.ty().inner_named_type())?,
            nullable: !field.ty().is_non_null(),
            description: text_of(field.definition.description.as_deref()),
        }
    } else {
        object(document, &field.selection_set)?
    };
    Ok(if field.ty().is_list() {
        AnswerShape::List(Box::new(shape))
    } else {
        shape
    })
}

fn parameters(
    operation: &executable::Operation,
    uses: &HashMap<String, Use>,
) -> Result<Vec<Parameter>, Mistake> {
    let mut parameters = Vec::new();
    for definition in &operation.variables {
        let name = definition.name.to_string();
        let target = uses
            .get(&name)
            .ok_or_else(|| Mistake(format!("${name} is not used")))?;
        // The handler sets this variable, so it is no parameter.
        if name.starts_with('_') {
            continue;
        }
        let kind = &definition.ty;
        let default = definition.default_value.as_ref();
        parameters.push(Parameter {
            kind: kind_of(kind.inner_named_type())?,
            required: kind.is_non_null() && default.is_none(),
            nullable: !kind.is_non_null(),
            default: default.and_then(|value| match value.as_ref() {
                Value::Int(number) => number.try_to_i32().ok().map(Json::from),
                Value::Enum(name) => Some(Json::from(name.as_str())),
                Value::Boolean(flag) => Some(Json::from(*flag)),
                Value::String(text) => Some(Json::from(text.as_str())),
                _ => None,
            }),
            path: target.path.clone(),
            description: text_of(target.definition.description.as_deref()),
            name,
        });
    }
    Ok(parameters)
}

/// A description in one line.
fn text_of(description: Option<&str>) -> String {
    let text = description.unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
