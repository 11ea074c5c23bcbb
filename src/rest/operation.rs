//! Stored GraphQL operations: each REST route is one, and its document is the
//! route's contract. What the routes accept and answer is learned from the document
//! and the schema, once, at start.
//!
//! In a document the variables are the route's parameters or body fields, where a
//! nested member joins the names with `__` and a leading `_` marks one that the
//! handler sets. Aliases are the members of the answer; those called `answer` lead
//! to the body.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Positioned, Value as ConstValue,
    parser::{
        parse_query,
        types::{
            BaseType, DocumentOperations, ExecutableDocument, Field, FieldDefinition,
            InputValueDefinition, OperationDefinition, OperationType, Selection, SelectionSet,
            Type,
        },
    },
};
use async_graphql_value::Value;
use indexmap::IndexMap;

use crate::graphql::{documents::ParsedDocument, types::TYPES};

/// The alias that leads to the body.
pub const ANSWER: &str = "answer";
/// Joins the names of nested members in a variable's name.
pub const NESTED: &str = "__";

/// What is wrong with a document of ours.
#[derive(Debug, thiserror::Error)]
#[error("stored operation: {0}")]
pub struct Mistake(String);

/// A parsed document with what follows from it.
pub struct StoredOperation {
    /// Ready to execute.
    pub document: Arc<ParsedDocument>,
    /// What the route accepts, in the order of the document.
    pub parameters: Vec<Parameter>,
    /// The variables that the handler sets.
    pub internal: Vec<String>,
    /// The form of the body.
    pub answer: Shape,
}

/// A query parameter or body field.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, with nested members joined.
    pub name: String,
    /// What values it takes.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// Whether null is accepted, and clears.
    pub nullable: bool,
    /// What holds when it is not given.
    pub default: Option<ConstValue>,
    /// Where its value goes: argument and input fields, joined by dots.
    pub path: String,
    /// What it means, from the schema.
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
pub enum Kind {
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
pub enum Shape {
    /// A value.
    Leaf {
        /// Of this kind.
        kind: Kind,
        /// Or null.
        nullable: bool,
        /// What it means, from the schema.
        description: String,
    },
    /// An object with these members.
    Object(IndexMap<String, Shape>),
    /// A list.
    List(Box<Shape>),
}

impl Shape {
    /// The members of an object or of the objects in a list.
    #[must_use]
    pub fn members(&self) -> Option<&IndexMap<String, Shape>> {
        match self {
            Self::Leaf { .. } => None,
            Self::Object(members) => Some(members),
            Self::List(item) => item.members(),
        }
    }
}

impl StoredOperation {
    /// Learns what `text` says.
    ///
    /// # Errors
    /// If the document does not fit the schema or these conventions.
    pub fn load(text: &str) -> Result<Self, Mistake> {
        let document = parse_query(text).map_err(|error| Mistake(error.to_string()))?;
        let operation = match &document.operations {
            DocumentOperations::Multiple(operations) if operations.len() == 1 => {
                operations.values().next()
            }
            _ => None,
        };
        let operation = &operation
            .ok_or_else(|| Mistake("a document has one named operation".to_owned()))?
            .node;
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut body = object(&document, root, &operation.selection_set.node)?;
        while let Shape::Object(members) = &mut body
            && let Some(inner) = members.swap_remove(ANSWER)
        {
            body = inner;
        }
        let paths = paths(root, &operation.selection_set.node)?;
        let (parameters, internal) = parameters(operation, &paths)?;
        Ok(Self {
            answer: body,
            parameters,
            internal,
            document: Arc::new(ParsedDocument::new(document)),
        })
    }
}

fn field_named(parent: &str, name: &str) -> Result<&'static FieldDefinition, Mistake> {
    let field = TYPES.field(parent, name);
    field.ok_or_else(|| Mistake(format!("{parent} has no field {name}")))
}

fn kind_of(name: &str) -> Result<Kind, Mistake> {
    Ok(match name {
        "ID" => Kind::Id,
        "String" => Kind::Text,
        "Boolean" => Kind::Boolean,
        "Int" => Kind::Integer,
        "DateTime" => Kind::Instant,
        "PostalCode" => Kind::PostalCode,
        _ => match TYPES.enum_values(name) {
            Some(names) => Kind::Enum(names.map(ToString::to_string).collect()),
            None => return Err(Mistake(format!("{name} is no type of a value"))),
        },
    })
}

/// Where a variable's value goes, and what the schema says of it there.
struct Use {
    path: String,
    definition: &'static InputValueDefinition,
}

fn object(
    document: &ExecutableDocument,
    parent: &str,
    selections: &SelectionSet,
) -> Result<Shape, Mistake> {
    let mut members = IndexMap::new();
    for selection in &selections.items {
        match &selection.node {
            Selection::Field(field) => {
                let name = field.node.response_key().node.to_string();
                members.insert(name, shape(document, parent, &field.node)?);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = document
                    .fragments
                    .get(name)
                    .ok_or_else(|| Mistake(format!("no fragment {name}")))?;
                let shape = object(document, parent, &fragment.node.selection_set.node)?;
                if let Shape::Object(inner) = shape {
                    members.extend(inner);
                }
            }
            Selection::InlineFragment(_) => {
                return Err(Mistake("inline fragments are not needed".to_owned()));
            }
        }
    }
    Ok(Shape::Object(members))
}

fn shape(document: &ExecutableDocument, parent: &str, field: &Field) -> Result<Shape, Mistake> {
    let definition = field_named(parent, &field.name.node)?;
    let (is_list, name) = base(&definition.ty.node);
    let shape = if field.selection_set.node.items.is_empty() {
        Shape::Leaf {
            kind: kind_of(name)?,
            nullable: definition.ty.node.nullable,
            description: text_of(definition.description.as_ref()),
        }
    } else {
        object(document, name, &field.selection_set.node)?
    };
    Ok(if is_list {
        Shape::List(Box::new(shape))
    } else {
        shape
    })
}

/// Finds where each variable is used, from the arguments of the root fields.
fn paths(root: &str, selections: &SelectionSet) -> Result<HashMap<Name, Use>, Mistake> {
    let mut uses = HashMap::new();
    for selection in &selections.items {
        if let Selection::Field(field) = &selection.node {
            let definition = field_named(root, &field.node.name.node)?;
            for (name, value) in &field.node.arguments {
                let name = &name.node;
                let argument = definition
                    .arguments
                    .iter()
                    .find(|argument| argument.node.name.node == *name)
                    .ok_or_else(|| Mistake(format!("no argument {name}")))?;
                find_uses(&value.node, name.to_string(), &argument.node, &mut uses)?;
            }
        }
    }
    Ok(uses)
}

fn find_uses(
    value: &Value,
    path: String,
    definition: &'static InputValueDefinition,
    uses: &mut HashMap<Name, Use>,
) -> Result<(), Mistake> {
    match value {
        Value::Variable(name) => {
            uses.insert(name.clone(), Use { path, definition });
        }
        Value::Object(fields) => {
            let (_, parent) = base(&definition.ty.node);
            for (name, value) in fields {
                let field = TYPES.input_field(parent, name);
                let field =
                    field.ok_or_else(|| Mistake(format!("{parent} has no field {name}")))?;
                find_uses(value, format!("{path}.{name}"), field, uses)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn parameters(
    operation: &OperationDefinition,
    uses: &HashMap<Name, Use>,
) -> Result<(Vec<Parameter>, Vec<String>), Mistake> {
    let (mut parameters, mut internal) = (Vec::new(), Vec::new());
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = definition.name.node.to_string();
        let target = uses
            .get(&definition.name.node)
            .ok_or_else(|| Mistake(format!("${name} is not used")))?;
        if name.starts_with('_') {
            internal.push(name);
            continue;
        }
        let kind = &definition.var_type.node;
        parameters.push(Parameter {
            kind: kind_of(base(kind).1)?,
            required: !kind.nullable && definition.default_value.is_none(),
            nullable: kind.nullable,
            default: definition
                .default_value
                .as_ref()
                .map(|value| value.node.clone()),
            path: target.path.clone(),
            description: text_of(target.definition.description.as_ref()),
            name,
        });
    }
    Ok((parameters, internal))
}

/// Whether a type is a list, and of what.
fn base(kind: &Type) -> (bool, &str) {
    match &kind.base {
        BaseType::Named(name) => (false, name),
        BaseType::List(item) => (true, base(item).1),
    }
}

fn text_of(description: Option<&Positioned<String>>) -> String {
    description
        .map(|text| text.node.split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_default()
}
