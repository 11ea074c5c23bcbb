//! The values of variables, coerced to the types of the operation that runs (GraphQL
//! specification, "Coercing Variable Values").
//!
//! The compiler coerces them. But it stops at the first fault, names no path, and does not know
//! our scalars. So this module finds the faults: all of them, each at the argument and the
//! input fields where the value goes, as our own rules do.

use apollo_compiler::{
    ast::Type,
    request::coerce_variable_values,
    response::{JsonMap, JsonValue, serde_json_bytes},
    schema::ExtendedType,
};
use async_graphql::{Name, Value as ConstValue, Variables};
use serde_json::{Map, Value};

use super::{
    documents::{Form, Given, Operation, SCHEMA},
    suggestions,
};
use crate::{
    error::{Error, Fault, Result},
    graphql::schema::scalar,
    records::coerce::whole,
};

/// The most faults that are listed one by one: the answer to thousands of unknown fields would
/// be many times as long as the request.
const MAX_FAULTS: usize = 40;
/// The longest path that is shown, in bytes.
const MAX_PATH: usize = 100;
/// The most characters of a field's name that a fault repeats.
const MAX_ECHO: usize = 40;

/// Coerces the variables that were sent for `operation`. Variables that it does not declare are
/// ignored.
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
    let mut faults = Faults::new(with_suggestions);
    let mut values = JsonMap::new();
    for definition in definitions {
        let name = definition.name.as_str();
        let known = operation.uses.get(name);
        let path = || known.map_or_else(|| name.to_owned(), |known| known.path.clone());
        if let Some(mut value) = sent.remove(name) {
            make_whole(&mut value);
            if value.is_null() && known.is_some_and(|known| known.is_required) {
                // A variable with a default may be null, but the place where it stands may not.
                faults.add(&path(), REQUIRED);
                continue;
            }
            let value = value.into();
            faults.check(&mut path(), &definition.ty, &value);
            values.insert(name, value);
        } else if definition.ty.is_non_null() && definition.default_value.is_none() {
            faults.add(&path(), "is required, by a variable that was not sent");
        }
    }
    faults.finish()?;
    // The values are valid by now: this fills in defaults and makes lists of single values.
    let coerced = coerce_variable_values(&SCHEMA, &operation.tree, &values);
    let coerced =
        coerced.map_err(|error| Error::fault("variables", error.message().to_string()))?;
    let mut variables = Variables::default();
    for (name, value) in coerced.into_inner() {
        let mut value = constant(value);
        mend_zeros(&mut value);
        variables.insert(Name::new(name.as_str()), value);
    }
    let given = definitions.iter().map(|definition| {
        let name = definition.name.as_str();
        let is_condition = operation
            .uses
            .get(name)
            .is_some_and(|known| known.is_condition);
        match variables.get(&Name::new(name)) {
            Some(ConstValue::Boolean(condition)) if is_condition => Given::Condition(*condition),
            Some(_) => Given::Value,
            None => Given::Omitted,
        }
    });
    let form = given.collect();
    Ok((variables, form))
}

const REQUIRED: &str = "is required and cannot be null";

/// The faults of values.
pub struct Faults {
    found: Vec<Fault>,
    more: usize,
    with_suggestions: bool,
}

impl Faults {
    /// No faults yet. Names that exist are suggested if `with_suggestions` says so.
    #[must_use]
    pub fn new(with_suggestions: bool) -> Self {
        Self {
            found: Vec::new(),
            more: 0,
            with_suggestions,
        }
    }

    /// Adds a fault. A path is cut at `MAX_PATH`, which no path of our schema reaches.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(Fault {
                path: path[..path.floor_char_boundary(MAX_PATH)].to_owned(),
                message: message.into(),
            });
        } else {
            self.more += 1;
        }
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// `Validation` with all faults, if there is any.
    pub fn finish(mut self) -> Result<()> {
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
                self.add(path, REQUIRED);
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
                let names: Vec<_> = names
                    .values
                    .keys()
                    .map(apollo_compiler::Name::as_str)
                    .collect();
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
                    if let Err(message) = scalar::check(name, &constant(value.clone())) {
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
                    // No name of our schema is so long, and an unknown name need not be
                    // repeated in full.
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

/// Makes `7.0` a whole number: JSON does not tell whole numbers from fractions (GraphQL
/// specification, "Int").
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// Makes `-0` in a default a whole number, because the compiler reads it as a fraction.
fn mend_zeros(value: &mut ConstValue) {
    match value {
        ConstValue::Number(number) if number.as_f64() == Some(0.0) => *number = 0.into(),
        ConstValue::List(items) => items.iter_mut().for_each(mend_zeros),
        ConstValue::Object(members) => members.values_mut().for_each(mend_zeros),
        _ => {}
    }
}

fn constant(value: JsonValue) -> ConstValue {
    serde_json_bytes::from_value(value).unwrap_or_default()
}
