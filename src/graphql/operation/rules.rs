//! Rules of validation that the compiler lacks (GraphQL specification, section 5), and what
//! they learn of variables on the way.
//!
//! - An input object names each of its fields once ("Input Object Field Uniqueness").
//! - A variable inside an input object or a list stands where its type is allowed, and a
//!   default of null makes no variable fit for what cannot be null ("All Variable Usages Are
//!   Allowed"). The compiler looks at the variables that are whole arguments, and takes any
//!   default.
//! - A literal is one that its scalar takes ("Values of Correct Type"). The compiler does not
//!   know our own scalars.

use std::collections::{HashMap, HashSet};

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{DirectiveList, InputValueDefinition, Type, Value, VariableDefinition},
    executable::{self, Selection, SelectionSet},
    parser::SourceSpan,
    schema::ExtendedType,
};
use async_graphql::Value as ConstValue;
use async_graphql_value::Value as ExecutedValue;

use super::{collect, documents::SCHEMA};
use crate::{error::Fault, graphql::schema::scalar};

/// How an operation uses a variable.
#[derive(Debug)]
pub struct Use {
    /// The first place of use: the argument and the input fields that lead there, joined by
    /// dots.
    pub path: String,
    /// The schema's definition of that place.
    pub definition: Node<InputValueDefinition>,
    /// Whether it is a condition of a directive.
    pub is_condition: bool,
    /// Whether it stands where there must be a value.
    pub is_required: bool,
}

/// A fault of a document, or of a value in it.
pub struct DocumentFault {
    /// The place in the text.
    pub place: Option<SourceSpan>,
    /// Whether the document itself is wrong, or a value in it.
    pub kind: DocumentFaultKind,
}

/// The subject of a fault.
pub enum DocumentFaultKind {
    /// The document, as this sentence says.
    Document(String),
    /// A value that stands in it.
    Value(Fault),
}

/// Checks `operation`, and the fragments that it spreads. Returns how it uses its variables.
///
/// # Errors
/// Everything that is wrong.
pub fn check(
    document: &ExecutableDocument,
    operation: &executable::Operation,
) -> Result<HashMap<String, Use>, Vec<DocumentFault>> {
    let mut walk = RuleWalk {
        document,
        variables: operation
            .variables
            .iter()
            .map(|variable| (variable.name.as_str(), variable))
            .collect(),
        spread: HashSet::new(),
        uses: HashMap::new(),
        faults: Vec::new(),
    };
    for definition in &operation.variables {
        if let Some(default) = &definition.default_value {
            walk.value(default, &definition.ty, &mut definition.name.to_string());
        }
    }
    walk.directives(&operation.directives);
    walk.selections(&operation.selection_set);
    if walk.faults.is_empty() {
        Ok(walk.uses)
    } else {
        Err(walk.faults)
    }
}

struct RuleWalk<'a> {
    document: &'a ExecutableDocument,
    variables: HashMap<&'a str, &'a Node<VariableDefinition>>,
    spread: HashSet<&'a str>,
    uses: HashMap<String, Use>,
    faults: Vec<DocumentFault>,
}

/// A place that takes a value: an argument, or a field of an input object.
struct InputPosition<'p> {
    definition: &'p Node<InputValueDefinition>,
    is_condition: bool,
}

impl<'a> RuleWalk<'a> {
    fn selections(&mut self, selections: &'a SelectionSet) {
        for selection in &selections.selections {
            match selection {
                Selection::Field(field) => {
                    for argument in &field.arguments {
                        if let Some(definition) = field.definition.argument_by_name(&argument.name)
                        {
                            self.argument(&argument.value, definition, false);
                        }
                    }
                    self.directives(&field.directives);
                    self.selections(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives);
                    self.selections(&fragment.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    let fragment = self.document.fragments.get_key_value(&spread.fragment_name);
                    if let Some((name, fragment)) = fragment
                        && self.spread.insert(name)
                    {
                        self.directives(&fragment.directives);
                        self.selections(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a DirectiveList) {
        for directive in directives {
            let Some(definition) = SCHEMA.directive_definitions.get(&directive.name) else {
                continue;
            };
            for argument in &directive.arguments {
                if let Some(definition) = definition.argument_by_name(&argument.name) {
                    self.argument(&argument.value, definition, true);
                }
            }
        }
    }

    fn argument(
        &mut self,
        value: &Node<Value>,
        definition: &Node<InputValueDefinition>,
        is_condition: bool,
    ) {
        let place = InputPosition {
            definition,
            is_condition,
        };
        let mut path = definition.name.to_string();
        self.at(value, &definition.ty, &place, &mut path);
    }

    /// Checks a value that holds no variables.
    fn value(&mut self, value: &Node<Value>, kind: &Type, path: &mut String) {
        let definition = Node::new(InputValueDefinition {
            description: None,
            name: apollo_compiler::name!("default"),
            ty: Node::new(kind.clone()),
            default_value: None,
            directives: DirectiveList::default(),
        });
        let place = InputPosition {
            definition: &definition,
            is_condition: false,
        };
        self.at(value, kind, &place, path);
    }

    fn at(
        &mut self,
        value: &Node<Value>,
        kind: &Type,
        place: &InputPosition<'_>,
        path: &mut String,
    ) {
        let name = kind.inner_named_type();
        match (value.as_ref(), SCHEMA.types.get(name)) {
            (Value::Variable(name), _) => self.variable(name, value, kind, place, path),
            (Value::List(items), _) if kind.is_list() => {
                for item in items {
                    self.at(item, kind.item_type(), place, path);
                }
            }
            (Value::Object(members), Some(ExtendedType::InputObject(object))) => {
                let mut names = HashSet::with_capacity(members.len());
                let length = path.len();
                for (name, member) in members {
                    if !names.insert(name) {
                        let message =
                            format!("There can be only one input field named \"{name}\".");
                        self.fault(name.location(), DocumentFaultKind::Document(message));
                    }
                    if let Some(definition) = object.fields.get(name) {
                        path.push('.');
                        path.push_str(name);
                        let place = InputPosition {
                            definition: &definition.node,
                            is_condition: false,
                        };
                        self.at(member, &definition.ty, &place, path);
                        path.truncate(length);
                    }
                }
            }
            (Value::Null, _) => {}
            (leaf, Some(ExtendedType::Scalar(_))) => {
                let constant = match leaf {
                    // No scalar takes a list or an object, whatever is in it.
                    Value::List(_) | Value::Object(_) => ConstValue::List(Vec::new()),
                    leaf => collect::value(leaf, &|_| false)
                        .and_then(ExecutedValue::into_const)
                        .unwrap_or_default(),
                };
                let is_long =
                    matches!(leaf, Value::Int(_)) && matches!(constant, ConstValue::String(_));
                let taken = if is_long {
                    Err("must be a whole number that fits into 64 bits".to_owned())
                } else {
                    scalar::check(name, &constant)
                };
                if let Err(message) = taken {
                    let fault = Fault {
                        path: path.clone(),
                        message,
                    };
                    self.fault(value.location(), DocumentFaultKind::Value(fault));
                }
            }
            _ => {}
        }
    }

    fn variable(
        &mut self,
        name: &str,
        value: &Node<Value>,
        kind: &Type,
        place: &InputPosition<'_>,
        path: &str,
    ) {
        // The compiler has reported variables that are not defined.
        let Some(variable) = self.variables.get(name) else {
            return;
        };
        let default = variable.default_value.as_ref();
        // The default belongs to the whole argument, not to an item of a list in it.
        let is_whole = *place.definition.ty == *kind;
        let has_default = default.is_some_and(|default| !default.is_null())
            || (is_whole && place.definition.default_value.is_some());
        let is_allowed = if kind.is_non_null() && !variable.ty.is_non_null() {
            has_default && variable.ty.is_assignable_to(&kind.clone().nullable())
        } else {
            variable.ty.is_assignable_to(kind)
        };
        if !is_allowed {
            let message = format!(
                "Variable \"${name}\" of type \"{}\" used in position expecting type \"{kind}\".",
                variable.ty
            );
            self.fault(value.location(), DocumentFaultKind::Document(message));
        }
        let known = self.uses.entry(name.to_owned()).or_insert_with(|| Use {
            // For a directive the variable's name is shown: `if` would not tell which directive
            // is meant.
            path: if place.is_condition { name } else { path }.to_owned(),
            definition: place.definition.clone(),
            is_condition: false,
            is_required: false,
        });
        known.is_condition |= place.is_condition;
        known.is_required |= kind.is_non_null();
    }

    fn fault(&mut self, place: Option<SourceSpan>, kind: DocumentFaultKind) {
        self.faults.push(DocumentFault { place, kind });
    }
}
