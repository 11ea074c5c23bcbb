//! Documents of callers: parsed and validated once for each text, by apollo-compiler, and
//! remembered with all that was learned about them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema,
    ast::{FieldDefinition, OperationType, Value},
    diagnostic::ToCliReport,
    executable, name,
    parser::{Parser, SourceSpan},
    schema::ExtendedType,
    ty,
    validation::{DiagnosticData, DiagnosticList, Valid},
};
use apollo_parser::{Lexer, TokenKind};
use async_graphql::{Pos, ServerError};
use quick_cache::{Weighter, sync::Cache};

use super::{
    collect::{self, Executed},
    limits::{Cost, Limits},
    sdl, suggestions,
    variables::{Uses, visit_arguments},
};
use crate::error::{Code, Error};

/// The most bytes of text that are remembered; with all that is remembered of it, a document
/// takes a hundred times as much, or two.
const CAPACITY: u64 = 256 * 1024;
/// Longer documents are parsed each time: one must not push out all others.
const MAX_TEXT: usize = 16 * 1024;
/// About how many documents fit.
const DOCUMENTS: usize = 1_000;
/// How deep brackets may nest: the parser recurses for each.
const MAX_NESTING: usize = 64;
/// How many fields are remembered of an operation, in all forms of its variables: fragments
/// may make very many of a short text.
const MAX_FIELDS: usize = 256;

/// The schema, as the compiler of documents knows it.
#[expect(
    clippy::expect_used,
    reason = "no input reaches this; every test runs it"
)]
pub static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let schema = Schema::parse_and_validate(sdl(), "schema.graphql").expect("the schema is valid");
    let mut schema = schema.into_inner();
    // The compiler does not know this field of introspection yet; that which executes does.
    if let Some(ExtendedType::Object(kind)) = schema.types.get_mut("__Type") {
        let field = FieldDefinition {
            description: None,
            name: name!("isOneOf"),
            arguments: Vec::new(),
            ty: ty!(Boolean),
            directives: Default::default(),
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
    /// Where each line of the text begins, in bytes.
    lines: Vec<usize>,
}

/// An operation of a document.
pub struct Operation {
    /// Its typed tree.
    pub tree: Node<executable::Operation>,
    /// Where its variables are used.
    pub uses: Uses,
    introspects: bool,
    /// What it costs, unless that depends on variables.
    pub cost: OnceLock<Option<Cost>>,
    forms: Mutex<Forms>,
}

/// What is executed in each form of the variables.
#[derive(Default)]
struct Forms {
    executed: HashMap<Form, Arc<Executed>>,
    fields: usize,
}

/// What of an operation's variables decides which fields and arguments are executed.
pub type Form = Box<[Given]>;

/// How a variable was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Given {
    /// With a value.
    Value,
    /// As null.
    Null,
    /// Not at all, and it has no default.
    Omitted,
    /// As this condition of a directive.
    Condition(bool),
}

impl Document {
    /// Parses and validates `text`.
    ///
    /// # Errors
    /// What is wrong with it, with codes and with the places where it is. Names that exist
    /// are suggested if `with_suggestions` says so.
    pub fn compile(
        text: &str,
        limits: &Limits,
        with_suggestions: bool,
    ) -> Result<Self, Vec<ServerError>> {
        limits.check_length(text).map_err(limit_error)?;
        let text = without_descriptions(text, limits.max_query_tokens).map_err(limit_error)?;
        let lines = lines(&text);
        let mut parser = Parser::new().recursion_limit(MAX_NESTING);
        let parsed = parser.parse_ast(text.as_str(), "query");
        if parser.recursion_reached() > MAX_NESTING {
            let nesting = parser.recursion_reached() as u64;
            let refused = super::limits::within("nested brackets", nesting, MAX_NESTING as u64);
            refused.map_err(limit_error)?;
        }
        let parsed = parsed.map_err(|invalid| {
            // What follows the first fault mostly follows from it.
            let first = invalid.errors.iter().next();
            let (message, place) = first.map_or_else(Default::default, |fault| {
                (fault.error.to_string(), fault.error.location())
            });
            let message = message
                .trim_start_matches("syntax error: ")
                .trim_end_matches('.');
            let message = format!("Syntax error: {message}.");
            vec![document_error(
                Code::ParseFailed,
                message,
                place.map(|place| position(&text, &lines, place)),
            )]
        })?;
        let place = |span: SourceSpan| position(&text, &lines, span);
        let invalid = |errors: &DiagnosticList| invalid(errors, &text, with_suggestions, place);
        let tree = parsed
            .to_executable_validate(&SCHEMA)
            .map_err(|found| invalid(&found.errors))?;
        if tree.operations.is_empty() {
            let message = "The document has no operation.".to_owned();
            return Err(vec![document_error(Code::DocumentInvalid, message, None)]);
        }
        if let Some(member) = repeated_member(&tree) {
            let message = format!("There can be only one input field named \"{member}\".");
            let place = member.location().map(place);
            return Err(vec![document_error(Code::DocumentInvalid, message, place)]);
        }
        limits.check_size(&tree).map_err(limit_error)?;
        let operations = tree.operations.iter().map(|operation| Operation {
            uses: Uses::of(&tree, operation),
            introspects: operation
                .root_fields(&tree)
                .any(|field| matches!(field.name.as_str(), "__schema" | "__type")),
            tree: operation.clone(),
            cost: OnceLock::new(),
            forms: Mutex::default(),
        });
        Ok(Self {
            operations: operations.collect(),
            lines,
            tree,
        })
    }

    /// The operation to execute (GraphQL specification, "GetOperation").
    ///
    /// # Errors
    /// What is wrong with the name, to complete the sentence "operationName ...".
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

    /// Where something stands in the text.
    #[must_use]
    pub fn position(&self, span: Option<SourceSpan>) -> Pos {
        let text = self.tree.sources.values().next();
        match (span, text) {
            (Some(span), Some(text)) => position(text.source_text(), &self.lines, span),
            _ => Pos::default(),
        }
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

    /// The tree to execute when the variables are given in this form: made once for each
    /// of the forms that are in use.
    ///
    /// # Errors
    /// If a value in the document is none of its type.
    pub fn executed(&self, document: &Document, form: &Form) -> Result<Arc<Executed>, Error> {
        let known = || self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(executed) = known().executed.get(form) {
            return Ok(Arc::clone(executed));
        }
        let executed = Arc::new(collect::collect(document, self, form)?);
        let mut known = known();
        if known.fields + executed.fields <= MAX_FIELDS {
            known.fields += executed.fields;
            known.executed.insert(form.clone(), Arc::clone(&executed));
        }
        Ok(executed)
    }
}

/// The text with white space in place of the descriptions of operations, of fragments and
/// of their variables, which the parser does not know yet (GraphQL specification of
/// September 2025, "Descriptions").
///
/// # Errors
/// `Limit` if there are more tokens than `most`.
fn without_descriptions(text: &str, most: usize) -> Result<String, Error> {
    let ignored = |kind| {
        use TokenKind::{Comma, Comment, Eof, Whitespace};
        matches!(kind, Whitespace | Comment | Comma | Eof)
    };
    let mut descriptions = Vec::new();
    let (mut parentheses, mut others) = (0_usize, 0_usize);
    let mut before = None;
    // A string where a description may stand.
    let mut described = None;
    let mut count = 0;
    // What the lexer does not take, the parser reports.
    for token in Lexer::new(text).map_while(Result::ok) {
        let kind = token.kind();
        if ignored(kind) {
            continue;
        }
        count += 1;
        if let Some(place) = described.take() {
            let is_definition = parentheses == 0 && kind == TokenKind::Name;
            let is_variable = parentheses == 1 && kind == TokenKind::Dollar;
            if is_definition || is_variable {
                descriptions.push(place);
            }
        }
        match kind {
            TokenKind::LParen => parentheses += 1,
            TokenKind::RParen => parentheses = parentheses.saturating_sub(1),
            TokenKind::LCurly | TokenKind::LBracket => others += 1,
            TokenKind::RCurly | TokenKind::RBracket => others = others.saturating_sub(1),
            TokenKind::StringValue if others == 0 && before != Some(TokenKind::Eq) => {
                described = Some(token.index()..token.index() + token.data().len());
            }
            _ => {}
        }
        before = Some(kind);
    }
    super::limits::within("tokens", count, most as u64)?;
    let mut out = text.to_owned();
    for place in descriptions.into_iter().rev() {
        if let Some(description) = text.get(place.clone()) {
            let keep_lines = |character| match character {
                '\n' | '\r' => character,
                _ => ' ',
            };
            out.replace_range(
                place,
                &description.chars().map(keep_lines).collect::<String>(),
            );
        }
    }
    Ok(out)
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
fn position(text: &str, lines: &[usize], span: SourceSpan) -> Pos {
    let line = lines.partition_point(|begin| *begin <= span.offset());
    let begin = line.checked_sub(1).and_then(|line| lines.get(line));
    let before = begin.and_then(|begin| text.get(*begin..span.offset()));
    Pos {
        line,
        column: before.map_or(0, |before| before.chars().count()) + 1,
    }
}

/// An input field that stands twice in one object: the compiler does not look for it
/// (GraphQL specification, "Input Object Field Uniqueness").
fn repeated_member(document: &ExecutableDocument) -> Option<&Name> {
    fn within<'a>(value: &'a Value) -> Option<&'a Name> {
        match value {
            Value::List(items) => items.iter().find_map(|item| within(item)),
            Value::Object(members) => {
                let mut names = HashSet::with_capacity(members.len());
                let repeated = members.iter().find(|(name, _)| !names.insert(name));
                let repeated = repeated.map(|(name, _)| name);
                repeated.or_else(|| members.iter().find_map(|(_, value)| within(value)))
            }
            _ => None,
        }
    }
    let mut found = None;
    let mut look = |value| found = found.or_else(|| within(value));
    for operation in document.operations.iter() {
        for definition in &operation.variables {
            definition
                .default_value
                .iter()
                .for_each(|value| look(value));
        }
    }
    let operations = document
        .operations
        .iter()
        .map(|operation| &operation.selection_set);
    let fragments = document
        .fragments
        .values()
        .map(|fragment| &fragment.selection_set);
    for selections in operations.chain(fragments) {
        visit_arguments(selections, &mut |argument, _| look(&argument.value));
    }
    found
}

fn invalid(
    errors: &DiagnosticList,
    text: &str,
    with_suggestions: bool,
    place: impl Fn(SourceSpan) -> Pos,
) -> Vec<ServerError> {
    // A field whose selections are all unknown is said to have none, too.
    let is_noise = |fault: &DiagnosticData| {
        let place = fault.location();
        let place = place.and_then(|place| text.get(place.offset()..place.end_offset()));
        fault.unstable_error_name() == Some("MissingSubselection")
            && place.is_some_and(|field| field.ends_with('}'))
    };
    let errors = errors.iter().map(|fault| fault.error);
    let errors = errors
        .filter(|fault| !is_noise(fault))
        .take(super::executor::MAX_ERRORS);
    let errors = errors.map(|fault| {
        let message = fault.unstable_compat_message();
        let mut message = message.unwrap_or_else(|| fault.to_string());
        if fault.unstable_error_name() == Some("ConflictingFieldType") {
            // It lacks a quotation mark.
            message = message.replacen(" and \"", "\" and \"", 1);
        }
        if !message.ends_with(['.', '?']) {
            message.push('.');
        }
        if with_suggestions
            && let Some(name) = fault.unstable_error_name()
            && let Some(suggestion) = suggestions::of_fault(name, &message)
        {
            message.push(' ');
            message.push_str(&suggestion);
        }
        document_error(Code::DocumentInvalid, message, fault.location().map(&place))
    });
    errors.collect()
}

fn document_error(code: Code, message: String, place: Option<Pos>) -> ServerError {
    let mut error = ServerError::new(message, place);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.name());
    error
}

fn limit_error(error: Error) -> Vec<ServerError> {
    vec![super::executor::server_error(error)]
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
