//! Documents that were sent before: parsed once, and validated once where the
//! variables cannot change the outcome.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::{
    Pos, Variables,
    parser::{
        parse_query,
        types::{
            DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
        },
    },
};
use async_graphql_value::Value;
use quick_cache::{Weighter, sync::Cache};

use super::{plan::RecordPlan, types::TYPES};

/// The most bytes of text that are remembered; parsed, a document takes some twenty
/// times as much.
const CAPACITY: u64 = 512 * 1024;
/// Longer documents are parsed each time: one must not push out all others.
const MAX_TEXT: usize = 16 * 1024;
/// About how many documents fit.
const DOCUMENTS: usize = 1_000;

/// A document, with what was learned about it.
pub struct ParsedDocument {
    /// The document.
    pub document: ExecutableDocument,
    /// Whether a field may be repeated: one response key stands in several places of
    /// the document.
    pub may_repeat: bool,
    /// The plans of its root fields.
    pub plans: Plans,
    is_valid: AtomicBool,
}

impl ParsedDocument {
    /// Parses a document of which nothing is known yet.
    ///
    /// # Errors
    /// If the syntax is wrong.
    pub fn parse(text: &str) -> Result<Self, async_graphql::parser::Error> {
        Ok(Self::new(parse_query(text)?))
    }

    /// What is to be known of `document`.
    #[must_use]
    pub fn new(document: ExecutableDocument) -> Self {
        Self {
            may_repeat: may_repeat(&document),
            plans: Plans::of(&document),
            document,
            is_valid: AtomicBool::new(false),
        }
    }

    /// Whether it is valid with all variables that [fit](fits) their types.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.is_valid.load(Ordering::Relaxed)
    }

    /// Whether it has one operation, so that validation concerns no variables but those
    /// of that operation.
    #[must_use]
    pub fn has_one_operation(&self) -> bool {
        match &self.document.operations {
            DocumentOperations::Single(_) => true,
            DocumentOperations::Multiple(operations) => operations.len() == 1,
        }
    }

    /// Notes that it was valid with variables that [fit](fits) their types.
    pub fn set_valid(&self) {
        self.is_valid.store(true, Ordering::Relaxed);
    }
}

/// The plans of the root fields of a document, by where these stand in it. They are
/// kept, unless what is selected depends on variables, or two fields seem to stand in one
/// place: the parser does not count lines that end with a carriage return.
pub struct Plans(Option<Mutex<HashMap<Pos, Arc<RecordPlan>>>>);

impl Plans {
    fn of(document: &ExecutableDocument) -> Self {
        let mut places = HashSet::new();
        let operations = document.operations.iter().map(|(_, operation)| operation);
        let is_fixed = operations
            .flat_map(|operation| &operation.node.selection_set.node.items)
            .all(|item| match &item.node {
                Selection::Field(field) => {
                    places.insert(field.pos)
                        && field.node.directives.is_empty()
                        && is_fixed(&field.node.selection_set.node)
                }
                _ => false,
            });
        let fragments = document.fragments.values();
        let is_fixed = is_fixed
            && fragments
                .map(|fragment| &fragment.node.selection_set.node)
                .all(self::is_fixed);
        Self(is_fixed.then(Mutex::default))
    }

    /// The plan of the field at `place`, made by `compile` if it is not known yet.
    pub fn record(
        &self,
        place: Pos,
        compile: impl FnOnce() -> Option<RecordPlan>,
    ) -> Option<Arc<RecordPlan>> {
        let Self(Some(plans)) = self else {
            return compile().map(Arc::new);
        };
        let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&place) {
            return Some(Arc::clone(plan));
        }
        let plan = Arc::new(compile()?);
        plans.insert(place, Arc::clone(&plan));
        Some(plan)
    }
}

/// Whether the same is selected whatever the variables are.
fn is_fixed(selections: &SelectionSet) -> bool {
    selections.items.iter().all(|item| match &item.node {
        Selection::Field(field) => {
            let mut values = field.node.arguments.iter().map(|(_, value)| &value.node);
            field.node.directives.is_empty()
                && !values.any(names_variable)
                && is_fixed(&field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => {
            fragment.node.directives.is_empty() && is_fixed(&fragment.node.selection_set.node)
        }
        Selection::FragmentSpread(spread) => spread.node.directives.is_empty(),
    })
}

fn names_variable(value: &Value) -> bool {
    match value {
        Value::Variable(_) => true,
        Value::List(values) => values.iter().any(names_variable),
        Value::Object(members) => members.values().any(names_variable),
        _ => false,
    }
}

/// The documents that were executed lately, by their text.
pub struct Documents(Cache<String, Arc<ParsedDocument>, ByLength>);

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::with_weighter(DOCUMENTS, CAPACITY, ByLength))
    }
}

impl Documents {
    /// The document with this text, if it was executed lately.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<Arc<ParsedDocument>> {
        self.0.get(text)
    }

    /// Remembers a document that was executed.
    pub fn insert(&self, text: String, document: Arc<ParsedDocument>) {
        if text.len() <= MAX_TEXT {
            self.0.insert(text, document);
        }
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<String, Arc<ParsedDocument>> for ByLength {
    fn weight(&self, text: &String, _document: &Arc<ParsedDocument>) -> u64 {
        text.len() as u64
    }
}

/// Whether each variable of the operation has a value that surely fits its type, or was
/// left out, so that validation has nothing to find in it.
#[must_use]
pub fn fits(operation: &OperationDefinition, variables: &Variables) -> bool {
    operation.variable_definitions.iter().all(|definition| {
        let kind = &definition.node.var_type.node;
        match variables.get(&definition.node.name.node) {
            Some(value) => TYPES.accept(kind, value),
            None => kind.nullable,
        }
    })
}

/// Whether a selection set has a response key twice, or fields could meet because a
/// fragment stands beside others.
fn may_repeat(document: &ExecutableDocument) -> bool {
    let operations: Vec<_> = match &document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values().collect(),
    };
    let fragments = document.fragments.values();
    operations
        .into_iter()
        .map(|operation| &operation.node.selection_set.node)
        .chain(fragments.map(|fragment| &fragment.node.selection_set.node))
        .any(repeats)
}

fn repeats(selections: &SelectionSet) -> bool {
    let items = &selections.items;
    let mut keys = HashSet::with_capacity(items.len());
    items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            !keys.insert(&field.node.response_key().node) || repeats(&field.node.selection_set.node)
        }
        Selection::InlineFragment(fragment) => {
            items.len() > 1 || repeats(&fragment.node.selection_set.node)
        }
        Selection::FragmentSpread(_) => items.len() > 1,
    })
}
