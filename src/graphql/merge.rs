//! Repeated fields, as the GraphQL specification wants them ("Field Selection
//! Merging"): those with one response key are one field, resolved once with the
//! selections of all.
//!
//! async-graphql resolves each and merges the answers: a mutation that stands in
//! the query and in a fragment would run twice. It also lets through fields that
//! share a key but not their name or arguments, and answers a mixture.

use async_graphql::{
    Name, Positioned, Value as ConstValue, Variables,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet,
    },
};
use async_graphql_value::Value;
use indexmap::{IndexMap, map::Entry};

use crate::error::{Error, Result};

/// The document with the repeated fields of the operation called `name` merged and
/// its fragments written out; none if nothing is repeated. The document must be
/// free of fragments that spread themselves.
///
/// # Errors
/// `Validation` if fields share a response key, but not their name or arguments.
pub fn merge_repeated(
    document: &ExecutableDocument,
    name: Option<&Name>,
    variables: &Variables,
) -> Result<Option<ExecutableDocument>> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(_), None) => None,
    };
    let Some(operation) = operation else {
        return Ok(None);
    };
    let merge = Merge {
        document,
        variables,
    };
    let selections = [&operation.node.selection_set.node];
    if !merge.has_repeats(&selections)? {
        return Ok(None);
    }
    let mut operation = operation.clone();
    operation.node.selection_set.node = merge.merged(&selections)?;
    let operations = match name {
        Some(name) => DocumentOperations::Multiple([(name.clone(), operation)].into()),
        None => DocumentOperations::Single(operation),
    };
    Ok(Some(ExecutableDocument {
        operations,
        fragments: std::collections::HashMap::new(),
    }))
}

/// The occurrences of one response key.
struct Repeated<'a> {
    first: &'a Positioned<Field>,
    selections: Vec<&'a SelectionSet>,
}

type ByKey<'a> = IndexMap<&'a str, Repeated<'a>>;

struct Merge<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

impl<'a> Merge<'a> {
    /// Whether a field is repeated in what `sets` select together, at any depth.
    fn has_repeats(&self, sets: &[&'a SelectionSet]) -> Result<bool> {
        for repeated in self.fields(sets)?.values() {
            if repeated.selections.len() > 1 || self.has_repeats(&repeated.selections)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One selection set that selects what all of `sets` do.
    fn merged(&self, sets: &[&'a SelectionSet]) -> Result<SelectionSet> {
        let fields = self.fields(sets)?;
        let mut items = Vec::with_capacity(fields.len());
        for repeated in fields.into_values() {
            let mut field = repeated.first.clone();
            field.node.directives.clear();
            field.node.selection_set.node = self.merged(&repeated.selections)?;
            items.push(Positioned::new(Selection::Field(field.clone()), field.pos));
        }
        Ok(SelectionSet { items })
    }

    fn fields(&self, sets: &[&'a SelectionSet]) -> Result<ByKey<'a>> {
        let mut fields = ByKey::new();
        for selections in sets {
            self.collect(selections, &mut fields)?;
        }
        Ok(fields)
    }

    /// Gathers the fields of a selection set and of the fragments that it spreads.
    /// The schema has no interfaces or unions, so a fragment that may be spread
    /// always applies.
    fn collect(&self, selections: &'a SelectionSet, fields: &mut ByKey<'a>) -> Result<()> {
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) => {
                    if self.is_skipped(&field.node.directives) {
                        continue;
                    }
                    let inner = &field.node.selection_set.node;
                    match fields.entry(field.node.response_key().node.as_str()) {
                        Entry::Vacant(vacant) => {
                            vacant.insert(Repeated {
                                first: field,
                                selections: vec![inner],
                            });
                        }
                        Entry::Occupied(mut occupied) => {
                            let key = *occupied.key();
                            let repeated = occupied.get_mut();
                            if !is_same(&repeated.first.node, &field.node) {
                                return Err(Error::fault("query", conflict(key)));
                            }
                            repeated.selections.push(inner);
                        }
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if !self.is_skipped(&fragment.node.directives) {
                        self.collect(&fragment.node.selection_set.node, fields)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name)
                        && !self.is_skipped(&spread.node.directives)
                    {
                        self.collect(&fragment.node.selection_set.node, fields)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Evaluates `@skip` and `@include`.
    fn is_skipped(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let condition = directive.node.get_argument("if").map(|value| &value.node);
            let condition = match condition {
                Some(Value::Boolean(condition)) => Some(*condition),
                Some(Value::Variable(name)) => match self.variables.get(name) {
                    Some(ConstValue::Boolean(condition)) => Some(*condition),
                    _ => None,
                },
                _ => None,
            };
            match directive.node.name.node.as_str() {
                "skip" => condition == Some(true),
                "include" => condition == Some(false),
                _ => false,
            }
        })
    }
}

/// Whether two fields ask for the same: the order of arguments does not matter.
fn is_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| {
            other
                .get_argument(&name.node)
                .is_some_and(|other| other.node == value.node)
        })
}

fn conflict(key: &str) -> String {
    format!("asks for different things under one name, {key}: give one of the fields an alias")
}
