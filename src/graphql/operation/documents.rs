//! Documents of callers: parsed and validated once for each text, by apollo-compiler, and
//! remembered with all that was learned about them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{DirectiveList, FieldDefinition, OperationType},
    diagnostic::ToCliReport,
    executable, name,
    parser::{Parser, SourceSpan},
    schema::ExtendedType,
    ty,
    validation::Valid,
};
use async_graphql::{Pos, ServerError};
use quick_cache::{Weighter, sync::Cache};

use super::diagnostics::{invalid, refused};
use super::{
    collect::{self, CollectedOperation},
    lexing,
    limits::{Cost, within},
    rules::{self, Use},
};
use crate::{
    config::Limits,
    error::{Code, Error},
    graphql::{
        error::{document_error, server_error},
        schema::sdl,
    },
};

/// The most bytes of text that are remembered. A document takes one to two hundred times the
/// memory of its text.
const CAPACITY: u64 = 256 * 1024;
/// Longer documents are parsed each time, so that one cannot push out all others.
const MAX_TEXT: usize = 16 * 1024;
/// About how many documents fit.
const DOCUMENTS: usize = 1_000;
/// How deep brackets may nest. The parser recurses for each.
const MAX_NESTING: usize = 64;
/// The most fields and variables that are remembered of an operation, over all forms of its
/// variables. By fragments, a short text can have very many fields.
const MAX_SIZE: usize = 256;

/// The schema, as the compiler of documents knows it.
#[expect(
    clippy::expect_used,
    reason = "no input reaches this; every test runs it"
)]
pub static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").expect("the schema is valid");
    let mut schema = schema.into_inner();
    // The compiler knows introspection as of 2021, and async-graphql executes it as of today.
    for kind in schema.types.values_mut() {
        if let ExtendedType::Object(kind) = kind
            && kind.name.starts_with("__")
        {
            let fields = kind.make_mut().fields.values_mut();
            let arguments = fields.flat_map(|field| field.make_mut().arguments.iter_mut());
            for argument in arguments.filter(|found| found.name == "includeDeprecated") {
                argument.make_mut().ty = ty!(Boolean!).into();
            }
        }
    }
    if let Some(ExtendedType::Object(kind)) = schema.types.get_mut("__Type") {
        let field = FieldDefinition {
            description: None,
            name: name!("isOneOf"),
            arguments: Vec::new(),
            ty: ty!(Boolean),
            directives: DirectiveList::default(),
        };
        kind.make_mut()
            .fields
            .insert(name!("isOneOf"), field.into());
    }
    Valid::assume_valid(schema)
});

/// A valid document.
pub struct Document {
    /// Its typed tree.
    pub tree: Valid<ExecutableDocument>,
    operations: Vec<Operation>,
    text: Box<str>,
    /// Where each line of the text begins, in bytes.
    lines: Vec<usize>,
}

/// An operation of a document.
pub struct Operation {
    /// The typed tree of the operation.
    pub tree: Node<executable::Operation>,
    /// How its variables are used, by their names.
    pub uses: HashMap<String, Use>,
    introspects: bool,
    /// The cost of the operation, once computed. None inside if it depends on variables.
    pub cost: OnceLock<Option<Cost>>,
    forms: Mutex<Forms>,
}

/// The collected operations, by the form of the variables.
#[derive(Default)]
struct Forms {
    executed: HashMap<Form, Arc<CollectedOperation>>,
    size: usize,
}

/// The form of an operation's variables: all about them that decides which fields and arguments
/// are executed.
pub type Form = Box<[Given]>;

/// How a variable was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Given {
    /// With a value, which may be null.
    Value,
    /// Not at all, and it has no default.
    Omitted,
    /// As a condition of a directive, with this value.
    Condition(bool),
}

impl Document {
    /// Parses and validates `text`.
    ///
    /// # Errors
    /// The faults of the text, with their codes and places. Names that exist are suggested if
    /// `with_suggestions` says so.
    pub fn compile(
        text: &str,
        limits: &Limits,
        with_suggestions: bool,
    ) -> Result<Self, Vec<ServerError>> {
        let limited =
            |checked: Result<(), Error>| checked.map_err(|error| vec![server_error(error)]);
        limited(limits.check_length(text))?;
        let lines = lines(text);
        let syntax_error = |message: &str, offset| {
            let message = message
                .trim_start_matches("syntax error: ")
                .trim_end_matches('.');
            let message = format!("Syntax error: {message}.");
            let place = Some(position(text, &lines, offset));
            vec![document_error(Code::ParseFailed, message, place)]
        };
        let tokens = lexing::scan(text).map_err(|(message, at)| syntax_error(&message, at))?;
        limited(limits.check_tokens(tokens.count))?;
        let mut parser = Parser::new().recursion_limit(MAX_NESTING);
        let parsed = parser.parse_ast(tokens.text, "query");
        limited(within(
            "nested brackets",
            parser.recursion_reached(),
            MAX_NESTING,
        ))?;
        let parsed = parsed.map_err(|invalid| {
            // Faults after the first mostly follow from it.
            let first = invalid.errors.iter().next().map(|fault| fault.error);
            let (message, place) = first.map_or_else(Default::default, |fault| {
                (fault.to_string(), fault.location())
            });
            syntax_error(&message, place.map_or(0, |place| place.offset()))
        })?;
        limited(limits.check_definitions(&parsed))?;
        let place = |span: SourceSpan| position(text, &lines, span.offset());
        let tree = parsed
            .to_executable_validate(&SCHEMA)
            .map_err(|found| invalid(&found.errors, text, with_suggestions, place))?;
        let (mut operations, mut violations) = (Vec::new(), Vec::new());
        for operation in tree.operations.iter() {
            match rules::check(&tree, operation) {
                Ok(uses) => operations.push(Operation {
                    uses,
                    introspects: operation
                        .root_fields(&tree)
                        .any(|field| matches!(field.name.as_str(), "__schema" | "__type")),
                    tree: operation.clone(),
                    cost: OnceLock::new(),
                    forms: Mutex::default(),
                }),
                Err(found) => violations.extend(found),
            }
        }
        if !violations.is_empty() {
            return Err(refused(violations, place));
        }
        if operations.is_empty() {
            let message = "The document has no operation.".to_owned();
            return Err(vec![document_error(Code::DocumentInvalid, message, None)]);
        }
        Ok(Self {
            operations,
            text: text.into(),
            lines,
            tree,
        })
    }

    /// The operation to execute (GraphQL specification, "GetOperation").
    ///
    /// # Errors
    /// A phrase that says what is wrong with the name, to complete the sentence "operationName
    /// ...".
    pub fn operation(&self, name: Option<&str>) -> Result<&Operation, String> {
        match (name, &self.operations[..]) {
            (None, [only]) => Ok(only),
            (None, _) => Err("is required: the document has several operations".to_owned()),
            (Some(name), operations) => operations
                .iter()
                .find(|operation| {
                    let own = operation.tree.name.as_ref();
                    own.is_some_and(|own| own.as_str() == name)
                })
                .ok_or_else(|| format!("names no operation of the document: {name}")),
        }
    }

    /// The line and the column where a span begins in the text.
    #[must_use]
    pub fn position(&self, span: Option<SourceSpan>) -> Pos {
        span.map_or_else(Pos::default, |span| {
            position(&self.text, &self.lines, span.offset())
        })
    }
}

impl Operation {
    /// Whether it is a mutation.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.tree.operation_type == OperationType::Mutation
    }

    /// Whether it asks for the schema.
    #[must_use]
    pub fn introspects(&self) -> bool {
        self.introspects
    }

    /// The collected operation for this form of the variables. It is made once for each form
    /// that is in use.
    #[must_use]
    pub fn executed(&self, document: &Document, form: &Form) -> Arc<CollectedOperation> {
        let forms = || self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(executed) = forms().executed.get(form) {
            return Arc::clone(executed);
        }
        let executed = Arc::new(collect::collect(document, self, form));
        let size = 1 + executed.fields + form.len();
        if size <= MAX_SIZE {
            let mut forms = forms();
            if forms.size + size > MAX_SIZE {
                // Forms that are still in use are collected again.
                *forms = Forms::default();
            }
            forms.size += size;
            forms.executed.insert(form.clone(), Arc::clone(&executed));
        }
        executed
    }
}

/// Where each line begins (GraphQL specification, "Line Terminators").
fn lines(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut lines = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let is_end = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        if is_end {
            lines.push(at + 1);
        }
    }
    lines
}

/// Line and column, both from 1, in characters.
fn position(text: &str, lines: &[usize], offset: usize) -> Pos {
    let line = lines.partition_point(|begin| *begin <= offset);
    let begin = line.checked_sub(1).and_then(|line| lines.get(line));
    let before = begin.and_then(|begin| text.get(*begin..offset));
    Pos {
        line,
        column: before.map_or(0, |before| before.chars().count()) + 1,
    }
}

/// The documents that were sent lately, by their text.
pub struct Documents(Cache<String, Arc<Document>, ByLength>);

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::with_weighter(DOCUMENTS, CAPACITY, ByLength))
    }
}

impl Documents {
    /// The document with this text, if it was sent lately.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<Arc<Document>> {
        self.0.get(text)
    }

    /// Remembers a document.
    pub fn insert(&self, text: String, document: Arc<Document>) {
        if text.len() <= MAX_TEXT {
            self.0.insert(text, document);
        }
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<String, Arc<Document>> for ByLength {
    fn weight(&self, text: &String, _document: &Arc<Document>) -> u64 {
        text.len() as u64
    }
}
