//! Collects the fields of an operation for async-graphql to execute (GraphQL specification,
//! "Field Collection").
//!
//! Fragments are expanded and directives applied. Fields with one response key become one field
//! with the selections of all: async-graphql would resolve each, and a mutation that stands in
//! the operation and in a fragment would run twice. Arguments and input fields whose value is
//! an omitted variable are left out: async-graphql would take null for them, and an update
//! would clear the column.

use std::collections::{HashMap, HashSet};

use apollo_compiler::{
    Name as GraphqlName, Node,
    ast::{DirectiveList, OperationType, Value},
    executable::{Field, Selection, SelectionSet},
};
use async_graphql::{
    Name, Positioned,
    parser::types::{
        BaseType, DocumentOperations, ExecutableDocument, Field as ExecutedField,
        OperationDefinition, OperationType as ExecutedOperation, Selection as ExecutedSelection,
        SelectionSet as ExecutedSelections, Type as ExecutedType, VariableDefinition,
    },
};
use async_graphql_value::{Number, Value as ExecutedValue};
use indexmap::IndexMap;

use super::documents::{Document, Form, Given, Operation};
use crate::graphql::projection::Projections;

/// An operation as it is executed.
pub struct CollectedOperation {
    /// Its tree: one operation, without fragments and directives.
    pub document: ExecutableDocument,
    /// Whether it changes records.
    pub is_mutation: bool,
    /// How many fields it has.
    pub fields: usize,
    /// How many root fields it has.
    pub root_fields: usize,
    /// The projections of its root fields.
    pub projections: Projections,
}

/// Collects the fields of `operation` for this form of its variables.
#[must_use]
pub fn collect(document: &Document, operation: &Operation, form: &Form) -> CollectedOperation {
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
    };
    let selection_set = collector.merged(&[&operation.tree.selection_set]);
    let root_fields = selection_set.items.len();
    let position = document.position(operation.tree.location());
    let variable_definitions = definitions.iter().map(|definition| {
        let name = Positioned::new(executed_name(&definition.name), position);
        // Values are coerced already, so async-graphql asks nothing else of the type.
        let kind = ExecutedType {
            base: BaseType::Named(name.node.clone()),
            nullable: !definition.ty.is_non_null(),
        };
        let definition = VariableDefinition {
            name,
            var_type: Positioned::new(kind, position),
            directives: Vec::new(),
            default_value: None,
        };
        Positioned::new(definition, position)
    });
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
    CollectedOperation {
        document: ExecutableDocument {
            operations: DocumentOperations::Single(Positioned::new(executed, position)),
            fragments: HashMap::new(),
        },
        is_mutation: operation.is_mutation(),
        fields: collector.fields,
        root_fields,
        projections: Projections::new(collector.is_fixed),
    }
}

struct Collector<'a> {
    document: &'a Document,
    given: HashMap<&'a str, Given>,
    /// How deep the walk is below the root fields.
    depth: usize,
    /// Whether no variable stands below the root fields.
    is_fixed: bool,
    fields: usize,
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
        let is_omitted = |name: &str| self.given.get(name) == Some(&Given::Omitted);
        let mut arguments = Vec::with_capacity(field.arguments.len());
        for argument in &field.arguments {
            if let Some(value) = value(&argument.value, &is_omitted) {
                let position = self.document.position(argument.value.location());
                let name = Positioned::new(executed_name(&argument.name), position);
                arguments.push((name, Positioned::new(value, position)));
            }
        }
        if self.depth > 0 {
            let mut values = arguments.iter();
            self.is_fixed &= !values.any(|(_, value)| names_variable(&value.node));
        }
        arguments
    }
}

fn names_variable(value: &ExecutedValue) -> bool {
    match value {
        ExecutedValue::Variable(_) => true,
        ExecutedValue::List(values) => values.iter().any(names_variable),
        ExecutedValue::Object(members) => members.values().any(names_variable),
        _ => false,
    }
}

/// A value of a document. None if it is a variable that was omitted.
pub fn value(value: &Value, is_omitted: &impl Fn(&str) -> bool) -> Option<ExecutedValue> {
    Some(match value {
        Value::Variable(name) if is_omitted(name) => return None,
        Value::Variable(name) => ExecutedValue::Variable(executed_name(name)),
        Value::List(items) => {
            // A list keeps its length: the specification wants null for an omitted variable in
            // it.
            let items = items.iter().map(|item| self::value(item, is_omitted));
            ExecutedValue::List(items.map(Option::unwrap_or_default).collect())
        }
        Value::Object(members) => {
            let members = members.iter().filter_map(|(name, member)| {
                Some((executed_name(name), self::value(member, is_omitted)?))
            });
            ExecutedValue::Object(members.collect())
        }
        Value::Null => ExecutedValue::Null,
        Value::Enum(name) => ExecutedValue::Enum(executed_name(name)),
        Value::String(text) => ExecutedValue::String(text.clone()),
        Value::Boolean(flag) => ExecutedValue::Boolean(*flag),
        Value::Int(number) => whole(number.as_str()),
        // No type of the schema takes a fraction, so its value does not matter.
        Value::Float(number) => ExecutedValue::String(number.as_str().to_owned()),
    })
}

/// A whole number. One that does not fit into 64 bits is given as a string of its digits.
fn whole(text: &str) -> ExecutedValue {
    let number = text.parse::<i64>().map(Number::from);
    let number = number.or_else(|_| text.parse::<u64>().map(Number::from));
    number.map_or_else(
        |_| ExecutedValue::String(text.to_owned()),
        ExecutedValue::Number,
    )
}

fn executed_name(name: &GraphqlName) -> Name {
    Name::new(name.as_str())
}
