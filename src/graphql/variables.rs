//! The values of variables, coerced to the types of the operation that runs (GraphQL
//! specification, "Coercing Variable Values").
//!
//! The compiler coerces them. It stops at the first fault and names no path, and it knows
//! nothing of our scalars, so what is wrong is found here: all of it, each fault at the
//! argument and the input fields where the value goes, as our own rules tell theirs.

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{Argument, InputValueDefinition, Type, Value as Literal},
    executable::{self, Selection, SelectionSet},
    request::coerce_variable_values,
    response::{JsonMap, JsonValue},
    schema::ExtendedType,
};
use async_graphql::{Name, Value as ConstValue, Variables};
use serde_json::{Map, Value};

use super::{
    documents::{Form, Given, Operation, SCHEMA},
    scalar::{self, PostalCode},
    suggestions,
};
use crate::{
    coerce::whole,
    error::{Error, Fault, Result},
    json::MAX_ECHO,
};

/// The most faults that are told one by one: the answer to thousands of unknown fields
/// would be many times as long as the request.
const MAX_FAULTS: usize = 100;

/// Where the variables of an operation are used: the argument and the input fields that
/// lead to the first place, joined by dots.
#[derive(Debug, Default)]
pub struct Uses {
    paths: HashMap<String, String>,
    /// Those that are conditions of directives.
    conditions: Vec<String>,
}

impl Uses {
    /// Finds them.
    #[must_use]
    pub fn of(document: &ExecutableDocument, operation: &executable::Operation) -> Self {
        let mut uses = Self::default();
        if !operation.variables.is_empty() {
            let fragments = document.fragments.values();
            let fragments = fragments.map(|fragment| &fragment.selection_set);
            for selections in fragments.chain([&operation.selection_set]) {
                visit_arguments(selections, &mut |argument, is_condition| {
                    uses.value(argument.name.to_string(), &argument.value, is_condition);
                });
            }
        }
        uses
    }

    fn value(&mut self, path: String, value: &Literal, is_condition: bool) {
        match value {
            Literal::Variable(name) if is_condition => self.conditions.push(name.to_string()),
            Literal::Variable(name) => {
                self.paths.entry(name.to_string()).or_insert(path);
            }
            Literal::List(items) => {
                for item in items {
                    self.value(path.clone(), item, is_condition);
                }
            }
            Literal::Object(members) => {
                for (name, value) in members {
                    self.value(format!("{path}.{name}"), value, is_condition);
                }
            }
            _ => {}
        }
    }
}

/// Shows `visit` every argument of fields and directives in a selection set, and whether it
/// is one of a directive. Fragments that are spread are not followed.
pub fn visit_arguments<'a>(
    selections: &'a SelectionSet,
    visit: &mut impl FnMut(&'a Node<Argument>, bool),
) {
    for selection in &selections.selections {
        let directives = match selection {
            Selection::Field(field) => {
                for argument in &field.arguments {
                    visit(argument, false);
                }
                visit_arguments(&field.selection_set, visit);
                &field.directives
            }
            Selection::InlineFragment(fragment) => {
                visit_arguments(&fragment.selection_set, visit);
                &fragment.directives
            }
            Selection::FragmentSpread(spread) => &spread.directives,
        };
        for argument in directives.iter().flat_map(|found| &found.arguments) {
            visit(argument, true);
        }
    }
}

/// Coerces the variables that were sent for `operation`. Those that it does not declare
/// are not looked at.
///
/// # Errors
/// `Validation` with every fault. Names that exist are suggested if `with_suggestions`
/// says so.
pub fn coerce(
    operation: &Operation,
    mut sent: Map<String, Value>,
    with_suggestions: bool,
) -> Result<(Variables, Form)> {
    let definitions = &operation.tree.variables;
    let mut faults = Faults {
        found: Vec::new(),
        more: 0,
        with_suggestions,
    };
    let mut values = JsonMap::new();
    for definition in definitions {
        let name = definition.name.as_str();
        let path = operation.uses.paths.get(name);
        let mut path = path.map_or_else(|| name.to_owned(), Clone::clone);
        if let Some(value) = sent.remove(name) {
            let value = with_whole_numbers(value);
            faults.check(&mut path, &definition.ty, &value);
            values.insert(name, value);
        } else if definition.ty.is_non_null() && definition.default_value.is_none() {
            faults.add(
                &path,
                format!("is required: the variable ${name} was not sent"),
            );
        }
    }
    faults.finish()?;
    let coerced = coerce_variable_values(&SCHEMA, &operation.tree, &values);
    let coerced =
        coerced.map_err(|error| Error::fault("variables", error.message().to_string()))?;

    let mut variables = Variables::default();
    let mut form = Vec::with_capacity(definitions.len());
    for (name, value) in coerced.into_inner() {
        variables.insert(Name::new(name.as_str()), constant(value));
    }
    for definition in definitions {
        let name = definition.name.as_str();
        let is_condition = operation.uses.conditions.iter().any(|used| used == name);
        form.push(match variables.get(&Name::new(name)) {
            None if is_condition => return Err(no_condition(name)),
            Some(ConstValue::Null) if is_condition => return Err(no_condition(name)),
            Some(ConstValue::Boolean(condition)) if is_condition => Given::Condition(*condition),
            Some(ConstValue::Null) => Given::Null,
            Some(_) => Given::Value,
            None => Given::Omitted,
        });
    }
    Ok((variables, form.into()))
}

fn no_condition(name: &str) -> Error {
    let message = "decides what is selected, so it must be true or false, and not null";
    Error::fault(name, message)
}

/// What is wrong with the values.
struct Faults {
    found: Vec<Fault>,
    more: usize,
    with_suggestions: bool,
}

impl Faults {
    fn add(&mut self, path: &str, message: impl Into<String>) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(Fault {
                path: path.to_owned(),
                message: message.into(),
            });
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            let more = format!("have {} more faults, which are not listed", self.more);
            self.found.push(Fault {
                path: "variables".to_owned(),
                message: more,
            });
        }
        Err(Error::Validation(self.found))
    }

    /// Checks a value that is to be of this type.
    fn check(&mut self, path: &mut String, kind: &Type, value: &JsonValue) {
        if value.is_null() {
            if kind.is_non_null() {
                self.add(path, "is required and cannot be null");
            }
            return;
        }
        if kind.is_list() {
            match value {
                JsonValue::Array(items) => {
                    for item in items {
                        self.check(path, kind.item_type(), item);
                    }
                }
                one => self.check(path, kind.item_type(), one),
            }
            return;
        }
        let name = kind.inner_named_type().as_str();
        let is_right = match SCHEMA.types.get(name) {
            Some(ExtendedType::InputObject(_)) => return self.check_object(path, kind, value),
            Some(ExtendedType::Enum(names)) => {
                if value
                    .as_str()
                    .is_some_and(|text| names.values.contains_key(text))
                {
                    return;
                }
                let names: Vec<_> = names.values.keys().map(|name| name.as_str()).collect();
                let sent = value.as_str().unwrap_or_default();
                let suggestion = self.suggestion(name, sent);
                self.add(
                    path,
                    format!("must be one of {}{suggestion}", names.join(", ")),
                );
                return;
            }
            _ => match name {
                "Int" => value
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok()),
                "String" => value.is_string(),
                "Boolean" => value.is_boolean(),
                "ID" => value.is_string() || value.is_i64(),
                _ => {
                    if let Err(message) = check_scalar(name, &constant(value.clone())) {
                        self.add(path, message);
                    }
                    return;
                }
            },
        };
        if !is_right {
            self.add(
                path,
                match name {
                    "Int" => "must be a whole number of 32 bits",
                    "String" => "must be a string",
                    "Boolean" => "must be true or false",
                    _ => "must be an id: a string, or a whole number that fits into 64 bits",
                },
            );
        }
    }

    fn check_object(&mut self, path: &mut String, kind: &Type, value: &JsonValue) {
        let name = kind.inner_named_type();
        let Some(ExtendedType::InputObject(definition)) = SCHEMA.types.get(name) else {
            return;
        };
        let Some(members) = value.as_object() else {
            self.add(path, format!("must be an object: {name}"));
            return;
        };
        let length = path.len();
        for (member, value) in members {
            let member = member.as_str();
            match definition.fields.get(member) {
                Some(field) => {
                    path.push('.');
                    path.push_str(member);
                    self.check(path, &field.ty, value);
                }
                None if self.found.len() < MAX_FAULTS => {
                    // No name of ours is so long; those of others are not worth repeating.
                    path.push('.');
                    path.extend(member.chars().take(MAX_ECHO));
                    let suggestion = self.suggestion(name, member);
                    self.add(
                        path,
                        format!("is not known: {name} has no such field{suggestion}"),
                    );
                }
                None => self.more += 1,
            }
            path.truncate(length);
        }
        for (member, field) in &definition.fields {
            if field.is_required() && !members.contains_key(member.as_str()) {
                path.push('.');
                path.push_str(member);
                self.add(path, "is required");
                path.truncate(length);
            }
        }
    }

    fn suggestion(&self, kind: &str, wrong: &str) -> String {
        let found = self.with_suggestions.then(|| {
            let kind = SCHEMA.types.get(kind)?;
            suggestions::among_members(wrong, kind)
        });
        let found = found.flatten();
        found.map_or_else(String::new, |found| format!(". Did you mean {found}?"))
    }
}

/// A field of the input type behind `kind`.
#[must_use]
pub fn input_field(kind: &Type, name: &str) -> Option<&'static Node<InputValueDefinition>> {
    match SCHEMA.types.get(kind.inner_named_type())? {
        ExtendedType::InputObject(definition) => Some(&definition.fields.get(name)?.node),
        _ => None,
    }
}

/// Whether one of our own scalars takes a value; any other type does not ask here.
///
/// # Errors
/// What the value must be.
pub fn check_scalar(kind: &str, value: &ConstValue) -> Result<(), String> {
    let parsed = match kind {
        "DateTime" => scalar::instant(value).map(drop),
        "PostalCode" => PostalCode::parse_value(value).map(drop),
        _ => Ok(()),
    };
    parsed.map_err(str::to_owned)
}

/// JSON knows no whole numbers: `7.0` is 7 (GraphQL specification, "Int").
fn with_whole_numbers(value: Value) -> JsonValue {
    match value {
        Value::Number(number) => match whole(&number) {
            Some(number) => JsonValue::Number(number.into()),
            None => JsonValue::Number(number),
        },
        Value::Null => JsonValue::Null,
        Value::Bool(flag) => JsonValue::Bool(flag),
        Value::String(text) => JsonValue::String(text.into()),
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, with_whole_numbers(value)))
            .collect(),
    }
}

fn constant(value: JsonValue) -> ConstValue {
    match value {
        JsonValue::Null => ConstValue::Null,
        JsonValue::Bool(flag) => ConstValue::Boolean(flag),
        JsonValue::Number(number) => ConstValue::Number(number),
        JsonValue::String(text) => ConstValue::String(text.as_str().to_owned()),
        JsonValue::Array(items) => ConstValue::List(items.into_iter().map(constant).collect()),
        JsonValue::Object(members) => ConstValue::Object(
            members
                .into_iter()
                .map(|(name, value)| (Name::new(name.as_str()), constant(value)))
                .collect(),
        ),
    }
}
