//! Refuses operations that would be expensive to execute, before anything is executed,
//! in time linear in the length of their document: the cost of a fragment is computed once.
//!
//! The schema tells whether a field is a list, and which of its arguments limit the length.

use std::{collections::HashMap, fmt::Display};

use apollo_compiler::{
    ExecutableDocument,
    ast::{self, Definition, Value},
    executable::{Field, Selection, SelectionSet},
};
use async_graphql::{Name, Value as ConstValue, Variables};

use super::documents::{Document, Operation};
use crate::{
    config::Limits,
    error::{Error, Result},
    graphql::schema::paging::{DEFAULT_FIRST, MAX_FIRST},
};

/// The most root fields of an operation.
const MAX_ROOT_FIELDS: u64 = 20;
/// The most operations in a document.
const MAX_OPERATIONS: usize = 50;
/// The most fragments in a document.
const MAX_FRAGMENTS: usize = 50;
/// Assumed length of a list that takes no `first` or `last`. The longest is
/// `ClientChange.fields` of a new location.
const UNSLICED: u64 = 16;
/// The arguments that cut a list to a page.
const SLICING: [&str; 2] = ["first", "last"];
/// The most directives in an operation, once its fragments are expanded.
const MAX_DIRECTIVES: u64 = 50;
/// How deep lists of types, fields, arguments may nest in an introspection. The
/// queries of GraphiQL and of code generators nest three.
const MAX_INTROSPECTION_LISTS: u64 = 3;
/// How deep introspection may nest its fields, `ofType` mostly.
const MAX_INTROSPECTION_DEPTH: u64 = 30;

impl Limits {
    /// Checks the text, before it is parsed.
    ///
    /// # Errors
    /// `Limit` if the text is too long.
    pub fn check_length(&self, text: &str) -> Result<()> {
        within("bytes", text.len(), self.max_query_bytes)
    }

    /// Checks how many tokens the text has.
    ///
    /// # Errors
    /// `Limit` if there are too many.
    pub fn check_tokens(&self, count: usize) -> Result<()> {
        within("tokens", count, self.max_query_tokens)
    }

    /// Checks how much a document defines, before it is validated.
    ///
    /// # Errors
    /// `Limit` if it defines too much.
    pub fn check_definitions(&self, document: &ast::Document) -> Result<()> {
        let count = |is_kind: fn(&Definition) -> bool| {
            let found = document.definitions.iter().filter(|found| is_kind(found));
            found.count()
        };
        let operations = count(|found| found.as_operation_definition().is_some());
        let fragments = count(|found| found.as_fragment_definition().is_some());
        within("operations", operations, MAX_OPERATIONS)?;
        within("fragments", fragments, MAX_FRAGMENTS)
    }

    /// Checks an operation, and returns what it costs.
    ///
    /// # Errors
    /// `Limit` if it asks for too much.
    pub fn check_operation(
        &self,
        document: &Document,
        operation: &Operation,
        variables: &Variables,
    ) -> Result<Cost> {
        let cost = if let Some(Some(cost)) = operation.cost.get() {
            *cost
        } else {
            let mut walk = CostWalk {
                limits: self,
                document: &document.tree,
                variables,
                fragments: HashMap::new(),
                names_variables: false,
            };
            let mut cost = walk.selections(&operation.tree.selection_set, false)?;
            cost.directives += operation.tree.directives.len() as u64;
            // Fails only if another request has set the same cost already.
            let _ = operation.cost.set((!walk.names_variables).then_some(cost));
            cost
        };
        within("levels of fields", cost.depth, self.max_query_depth)?;
        within("aliases", cost.aliases, self.max_query_aliases)?;
        within("root fields", cost.top_fields, MAX_ROOT_FIELDS)?;
        within("directives", cost.directives, MAX_DIRECTIVES)?;
        within("records", cost.records, self.max_query_records)?;
        within("values", cost.values, self.max_query_values)?;
        Ok(cost)
    }
}

/// Refuses what is more than `limit`.
///
/// # Errors
/// `Limit`, with both numbers.
pub fn within<N: Copy + Display + PartialOrd>(what: &str, found: N, limit: N) -> Result<()> {
    if found > limit {
        return Err(Error::Limit(format!(
            "The query is too expensive: it has {found} {what}, and {limit} are allowed. \
             Split it into several queries."
        )));
    }
    Ok(())
}

/// What a selection set costs once its fragments are expanded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    fields: u64,
    top_fields: u64,
    aliases: u64,
    directives: u64,
    depth: u64,
    /// Records asked for, by the page sizes.
    records: u64,
    /// Values to answer: the fields of all those records.
    pub values: u64,
    /// Lists that introspection nests.
    lists: u64,
}

impl Cost {
    /// Adds the cost of a sibling.
    fn add(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.top_fields = self.top_fields.saturating_add(other.top_fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.records = self.records.saturating_add(other.records);
        self.values = self.values.saturating_add(other.values);
        self.depth = self.depth.max(other.depth);
        self.lists = self.lists.max(other.lists);
    }
}

struct CostWalk<'a> {
    limits: &'a Limits,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    fragments: HashMap<&'a str, Cost>,
    /// Whether a variable says how long a list is.
    names_variables: bool,
}

impl<'a> CostWalk<'a> {
    /// The cost of a fragment. The recursion ends, because validation has refused fragments
    /// that spread themselves.
    fn fragment(&mut self, name: &str, is_sliced: bool) -> Result<Cost> {
        if let Some(cost) = self.fragments.get(name) {
            return Ok(*cost);
        }
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Cost::default());
        };
        let mut cost = self.selections(&fragment.selection_set, is_sliced)?;
        cost.directives += fragment.directives.len() as u64;
        self.fragments.insert(name.as_str(), cost);
        Ok(cost)
    }

    /// The cost of a selection set. If it `is_sliced`, the arguments of its field limit the
    /// length of the lists in it.
    fn selections(&mut self, selections: &'a SelectionSet, is_sliced: bool) -> Result<Cost> {
        let mut sum = Cost::default();
        for selection in &selections.selections {
            let (mut cost, directives) = match selection {
                Selection::Field(field) => (self.field(field, is_sliced)?, field.directives.len()),
                Selection::InlineFragment(fragment) => (
                    self.selections(&fragment.selection_set, is_sliced)?,
                    fragment.directives.len(),
                ),
                Selection::FragmentSpread(spread) => (
                    self.fragment(&spread.fragment_name, is_sliced)?,
                    spread.directives.len(),
                ),
            };
            cost.directives = cost.directives.saturating_add(directives as u64);
            sum.add(cost);
            within("fields", sum.fields, self.limits.max_query_fields)?;
        }
        Ok(sum)
    }

    fn field(&mut self, field: &'a Field, is_sliced: bool) -> Result<Cost> {
        let arguments = &field.definition.arguments;
        let slices = arguments
            .iter()
            .any(|argument| SLICING.contains(&argument.name.as_str()));
        let inner = self.selections(&field.selection_set, slices)?;
        let mut cost = Cost {
            fields: inner.fields + 1,
            top_fields: 1,
            aliases: inner.aliases + u64::from(field.alias.is_some()),
            depth: inner.depth + 1,
            values: inner.values.saturating_add(1),
            ..inner
        };
        if matches!(field.name.as_str(), "__schema" | "__type") {
            // Introspection nests deeper than data does: it has limits of its own.
            let lists = inner.lists;
            within("nested lists of types", lists, MAX_INTROSPECTION_LISTS)?;
            within("levels of types", inner.depth, MAX_INTROSPECTION_DEPTH)?;
            cost.depth = 1;
            cost.aliases = 0;
            cost.values = cost.fields;
        } else if slices {
            let page = self.page(field);
            cost.records = inner.records.saturating_add(1).saturating_mul(page);
            cost.values = cost.values.saturating_mul(page);
        } else if field.ty().is_list() && !is_sliced {
            cost.lists = inner.lists + u64::from(!field.selection_set.is_empty());
            cost.values = cost.values.saturating_mul(UNSLICED);
        }
        Ok(cost)
    }

    /// How many records a connection field asks for.
    fn page(&mut self, field: &Field) -> u64 {
        let size = SLICING.into_iter().find_map(|name| {
            let value = field.specified_argument_by_name(name)?;
            match value.as_ref() {
                Value::Int(number) => number.as_str().trim_start_matches('-').parse().ok(),
                Value::Variable(name) => {
                    self.names_variables = true;
                    match self.variables.get(&Name::new(name.as_str()))? {
                        ConstValue::Number(number) => number.as_u64(),
                        _ => None,
                    }
                }
                _ => None,
            }
        });
        // A size above the maximum is refused later, with a better message.
        size.map_or(DEFAULT_FIRST.into(), |size: u64| size.min(MAX_FIRST.into()))
    }
}
