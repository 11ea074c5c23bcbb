//! The fields of an operation, as async-graphql is to execute them (GraphQL specification,
//! "Field Collection").
//!
//! Fragments are written out, and what directives leave out is gone. Fields with one
//! response key are one field with the selections of all: async-graphql would resolve each,
//! and a mutation that stands in the operation and in a fragment would run twice. Arguments
//! and input fields that name an omitted variable are not given; async-graphql would take
//! null for them, and an update would clear the column.

use std::collections::{HashMap, HashSet};

use apollo_compiler::{
    Name as GraphqlName, Node,
    ast::{DirectiveList, InputValueDefinition, OperationType, Type, Value},
    executable::{Field, Selection, SelectionSet},
};
use async_graphql::{
    Name, Positioned, Value as ConstValue,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field as ExecutedField, OperationDefinition,
        OperationType as ExecutedOperation, Selection as ExecutedSelection,
        SelectionSet as ExecutedSelections, Type as ExecutedType, VariableDefinition,
    },
};
use async_graphql_value::Value as ExecutedValue;
use indexmap::IndexMap;

use super::{
    documents::{Document, Form, Given, Operation},
    plan::Plans,
    variables,
};
use crate::error::{Error, Fault, Result};

/// An operation as it is executed.
pub struct Executed {
    /// Its tree: one operation, without fragments and directives.
    pub document: ExecutableDocument,
    /// How many fields it has.
    pub fields: usize,
    /// The plans of its root fields.
    pub plans: Plans,
}

/// Collects the fields of `operation`, whose variables are given in this form.
///
/// # Errors
/// `Validation` with every value of the document that its scalar does not take.
pub fn collect(document: &Document, operation: &Operation, form: &Form) -> Result<Executed> {
    let definitions = &operation.tree.variables;
    let given = definitions.iter().zip(form);
    let mut collector = Collector {
        document,
        given: given
            .map(|(definition, given)| (definition.name.as_str(), *given))
            .collect(),
        depth: 0,
        is_fixed: true,
        fields: 0,
        faults: Vec::new(),
    };
    let selection_set = collector.merged(&[&operation.tree.selection_set]);
    if !collector.faults.is_empty() {
        return Err(Error::Validation(collector.faults));
    }
    let position = document.position(operation.tree.location());
    let variable_definitions = definitions.iter().map(|definition| {
        let name = Positioned::new(executed_name(&definition.name), position);
        let nullable = !definition.ty.is_non_null();
        // Values are coerced already: nothing but this is asked of the type.
        let base = ExecutedType::new(definition.ty.inner_named_type()).map(|kind| kind.base);
        let base = base.unwrap_or_else(|| {
            async_graphql::parser::types::BaseType::Named(executed_name(&definition.name))
        });
        let definition = VariableDefinition {
            name,
            var_type: Positioned::new(ExecutedType { base, nullable }, position),
            directives: Vec::new(),
            default_value: None,
        };
        Positioned::new(definition, position)
    });
    let plans = Plans::new(collector.is_fixed);
    let executed = OperationDefinition {
        ty: match operation.tree.operation_type {
            OperationType::Query => ExecutedOperation::Query,
            OperationType::Mutation => ExecutedOperation::Mutation,
            OperationType::Subscription => ExecutedOperation::Subscription,
        },
        variable_definitions: variable_definitions.collect(),
        directives: Vec::new(),
        selection_set: Positioned::new(selection_set, position),
    };
    let document = ExecutableDocument {
        operations: DocumentOperations::Single(Positioned::new(executed, position)),
        fragments: HashMap::new(),
    };
    Ok(Executed {
        document,
        fields: collector.fields,
        plans,
    })
}

struct Collector<'a> {
    document: &'a Document,
    given: HashMap<&'a str, Given>,
    /// How deep below the root fields.
    depth: usize,
    /// Whether no variable stands below the root fields.
    is_fixed: bool,
    fields: usize,
    faults: Vec<Fault>,
}

/// The occurrences of each response key.
type ByKey<'a> = IndexMap<&'a str, (&'a Node<Field>, Vec<&'a SelectionSet>)>;

impl<'a> Collector<'a> {
    /// One selection set that selects what all of `sets` do.
    fn merged(&mut self, sets: &[&'a SelectionSet]) -> ExecutedSelections {
        let (mut fields, mut spread) = (ByKey::new(), HashSet::new());
        for selections in sets {
            self.collect(selections, &mut fields, &mut spread);
        }
        let fields = fields.into_values();
        let items = fields.map(|(field, selections)| {
            let position = self.document.position(field.location());
            let arguments = self.arguments(field);
            self.fields += 1;
            self.depth += 1;
            let selections = self.merged(&selections);
            self.depth -= 1;
            let executed = ExecutedField {
                alias: field
                    .alias
                    .as_ref()
                    .map(|alias| Positioned::new(executed_name(alias), position)),
                name: Positioned::new(executed_name(&field.name), position),
                arguments,
                directives: Vec::new(),
                selection_set: Positioned::new(selections, position),
            };
            let field = ExecutedSelection::Field(Positioned::new(executed, position));
            Positioned::new(field, position)
        });
        ExecutedSelections {
            items: items.collect(),
        }
    }

    /// Gathers the fields of a selection set and of the fragments in it. The schema has no
    /// interfaces or unions, so a fragment that may be spread always applies.
    fn collect(
        &self,
        selections: &'a SelectionSet,
        fields: &mut ByKey<'a>,
        spread: &mut HashSet<&'a str>,
    ) {
        for selection in &selections.selections {
            match selection {
                Selection::Field(field) => {
                    if self.is_included(&field.directives) {
                        let key = field.response_key().as_str();
                        let (_, selections) = fields.entry(key).or_insert((field, Vec::new()));
                        selections.push(&field.selection_set);
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if self.is_included(&fragment.directives) {
                        self.collect(&fragment.selection_set, fields, spread);
                    }
                }
                Selection::FragmentSpread(found) => {
                    let name = &found.fragment_name;
                    if self.is_included(&found.directives)
                        && let Some(fragment) = self.document.tree.fragments.get(name)
                        && spread.insert(name.as_str())
                    {
                        self.collect(&fragment.selection_set, fields, spread);
                    }
                }
            }
        }
    }

    fn is_included(&self, directives: &DirectiveList) -> bool {
        let condition = |name| {
            let directive = directives.get(name)?;
            match directive.specified_argument_by_name("if")?.as_ref() {
                Value::Boolean(condition) => Some(*condition),
                Value::Variable(name) => match self.given.get(name.as_str())? {
                    Given::Condition(condition) => Some(*condition),
                    _ => None,
                },
                _ => None,
            }
        };
        condition("skip") != Some(true) && condition("include") != Some(false)
    }

    fn arguments(
        &mut self,
        field: &Node<Field>,
    ) -> Vec<(Positioned<Name>, Positioned<ExecutedValue>)> {
        let mut arguments = Vec::with_capacity(field.arguments.len());
        for argument in &field.arguments {
            let definition = field.definition.argument_by_name(&argument.name);
            let mut path = argument.name.to_string();
            let kind = definition.map(|definition: &Node<InputValueDefinition>| &*definition.ty);
            let Some(value) = self.value(kind, &argument.value, &mut path) else {
                continue;
            };
            let position = self.document.position(argument.value.location());
            let name = Positioned::new(executed_name(&argument.name), position);
            arguments.push((name, Positioned::new(value, position)));
        }
        arguments
    }

    /// A value of the document; none if it is a variable that was omitted.
    fn value(
        &mut self,
        kind: Option<&Type>,
        value: &Value,
        path: &mut String,
    ) -> Option<ExecutedValue> {
        let executed = match value {
            Value::Variable(name) => {
                let given = self.given.get(name.as_str()).copied();
                self.is_fixed &= self.depth == 0;
                // The variable may be null, for it has a default.
                if given == Some(Given::Null) && kind.is_some_and(Type::is_non_null) {
                    self.fault(path, "is required and cannot be null".to_owned());
                }
                let is_omitted = given == Some(Given::Omitted);
                return (!is_omitted).then(|| ExecutedValue::Variable(executed_name(name)));
            }
            Value::List(items) => {
                let item = kind.map(Type::item_type);
                let items = items.iter().map(|value| {
                    // A list keeps its length: here the specification wants null.
                    let value = self.value(item, value, path);
                    value.unwrap_or(ExecutedValue::Null)
                });
                return Some(ExecutedValue::List(items.collect()));
            }
            Value::Object(members) => {
                let mut object = IndexMap::with_capacity(members.len());
                let length = path.len();
                for (name, value) in members {
                    let field = kind.and_then(|kind| variables::input_field(kind, name));
                    path.push('.');
                    path.push_str(name);
                    let value = self.value(field.map(|field| &*field.ty), value, path);
                    path.truncate(length);
                    if let Some(value) = value {
                        object.insert(executed_name(name), value);
                    }
                }
                return Some(ExecutedValue::Object(object));
            }
            Value::Null => ConstValue::Null,
            Value::Enum(name) => ConstValue::Enum(executed_name(name)),
            Value::String(text) => ConstValue::String(text.clone()),
            Value::Boolean(flag) => ConstValue::Boolean(*flag),
            // An id may be longer than numbers are: it is told by its digits.
            Value::Int(number) => match number.as_str().parse::<i64>() {
                Ok(number) => ConstValue::Number(number.into()),
                Err(_) => ConstValue::String(number.as_str().to_owned()),
            },
            Value::Float(number) => {
                let number = number.as_str().parse().ok();
                let number = number.and_then(serde_json::Number::from_f64);
                number.map_or(ConstValue::Null, ConstValue::Number)
            }
        };
        if let Some(kind) = kind
            && executed != ConstValue::Null
            && let Err(message) = variables::check_scalar(kind.inner_named_type(), &executed)
        {
            self.fault(path, message);
        }
        Some(executed.into_value())
    }

    fn fault(&mut self, path: &str, message: String) {
        self.faults.push(Fault {
            path: path.to_owned(),
            message,
        });
    }
}

fn executed_name(name: &GraphqlName) -> Name {
    Name::new(name.as_str())
}
