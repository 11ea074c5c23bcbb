//! Omitted variables, as the GraphQL specification wants them ("Coercing Field
//! Arguments"): a default fills one in, and otherwise an argument or input field
//! that only names an omitted variable counts as not given.
//!
//! async-graphql hands resolvers null instead, so that an update with a variable
//! left out would clear the column. This step runs before it executes the document;
//! the document is validated as it was sent.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, Value as ConstValue, Variables,
    parser::types::{
        Directive,
        DocumentOperations::{Multiple, Single},
        ExecutableDocument, OperationDefinition, Selection, SelectionSet,
    },
};
use async_graphql_value::Value;

/// Variables that were not sent.
pub type Omitted = HashSet<Name>;

/// Fills in the defaults that `operation` declares, and returns the variables that
/// are nullable, have no default, and were not sent.
///
/// # Errors
/// One sentence for each required variable that was not sent or is null.
pub fn fill_defaults(
    operation: &OperationDefinition,
    variables: &mut Variables,
) -> Result<Omitted, Vec<String>> {
    let mut omitted = Omitted::new();
    let mut missing = Vec::new();
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = &definition.name.node;
        let kind = &definition.var_type.node;
        match (variables.get(name), &definition.default_value) {
            (Some(ConstValue::Null), _) if !kind.nullable => {
                missing.push(format!(
                    "The variable ${name} is of type {kind} and cannot be null."
                ));
            }
            (Some(_), _) => {}
            (None, Some(default)) => {
                variables.insert(name.clone(), default.node.clone());
            }
            (None, None) if kind.nullable => {
                omitted.insert(name.clone());
            }
            (None, None) => {
                missing.push(format!(
                    "The variable ${name} is of type {kind} and must be given."
                ));
            }
        }
    }
    if missing.is_empty() {
        Ok(omitted)
    } else {
        Err(missing)
    }
}

/// Takes the `omitted` variables of the operation called `name` out of it, and of
/// the fragments, along with the arguments and input fields that use them.
///
/// # Errors
/// One of the variables, if a directive needs its value.
pub fn remove_omitted(
    document: &mut ExecutableDocument,
    name: Option<&Name>,
    omitted: &Omitted,
) -> Result<(), Name> {
    if omitted.is_empty() {
        return Ok(());
    }
    let operation = match (&mut document.operations, name) {
        (Single(operation), _) => Some(operation),
        (Multiple(operations), Some(name)) => operations.get_mut(name),
        (Multiple(_), None) => None,
    };
    if let Some(operation) = operation {
        let operation = &mut operation.node;
        operation
            .variable_definitions
            .retain(|definition| !omitted.contains(&definition.node.name.node));
        in_directives(&operation.directives, omitted)?;
        in_selections(&mut operation.selection_set.node, omitted)?;
    }
    for fragment in document.fragments.values_mut() {
        in_directives(&fragment.node.directives, omitted)?;
        in_selections(&mut fragment.node.selection_set.node, omitted)?;
    }
    Ok(())
}

fn in_selections(selections: &mut SelectionSet, omitted: &Omitted) -> Result<(), Name> {
    for selection in &mut selections.items {
        match &mut selection.node {
            Selection::Field(field) => {
                in_arguments(&mut field.node.arguments, omitted);
                in_directives(&field.node.directives, omitted)?;
                in_selections(&mut field.node.selection_set.node, omitted)?;
            }
            Selection::InlineFragment(fragment) => {
                in_directives(&fragment.node.directives, omitted)?;
                in_selections(&mut fragment.node.selection_set.node, omitted)?;
            }
            Selection::FragmentSpread(spread) => {
                in_directives(&spread.node.directives, omitted)?;
            }
        }
    }
    Ok(())
}

/// The one argument that directives of queries have, `if`, is required.
fn in_directives(directives: &[Positioned<Directive>], omitted: &Omitted) -> Result<(), Name> {
    for directive in directives {
        for (_, value) in &directive.node.arguments {
            if let Value::Variable(name) = &value.node
                && omitted.contains(name)
            {
                return Err(name.clone());
            }
        }
    }
    Ok(())
}

fn in_arguments(arguments: &mut Vec<(Positioned<Name>, Positioned<Value>)>, omitted: &Omitted) {
    arguments.retain(|(_, value)| !is_omitted(&value.node, omitted));
    for (_, value) in arguments {
        in_value(&mut value.node, omitted);
    }
}

fn in_value(value: &mut Value, omitted: &Omitted) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !is_omitted(value, omitted));
            for value in fields.values_mut() {
                in_value(value, omitted);
            }
        }
        Value::List(items) => {
            for item in items {
                // A list keeps its length: here the specification wants null.
                if is_omitted(item, omitted) {
                    *item = Value::Null;
                } else {
                    in_value(item, omitted);
                }
            }
        }
        _ => {}
    }
}

fn is_omitted(value: &Value, omitted: &Omitted) -> bool {
    matches!(value, Value::Variable(name) if omitted.contains(name))
}
