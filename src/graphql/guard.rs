//! Refuses documents that would be expensive to parse, validate or answer, in time
//! linear in their length, before anything else looks at them.
//!
//! async-graphql's own limits walk every spread of every fragment, so 571 bytes can
//! keep it busy for seconds. Here the cost of a fragment is computed once.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Positioned, Value as ConstValue, Variables,
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql_value::Value;
use clap::Args;

use super::connection::{DEFAULT_FIRST, MAX_FIRST};
use crate::error::{Error, Result};

/// How much a GraphQL document may ask for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// The longest query text, in bytes
    #[arg(long, env = "MAX_QUERY_BYTES", default_value_t = Self::default().max_query_bytes, value_name = "N")]
    pub max_query_bytes: usize,
    /// The most tokens in a query
    #[arg(long, env = "MAX_QUERY_TOKENS", default_value_t = Self::default().max_query_tokens, value_name = "N")]
    pub max_query_tokens: usize,
    /// How deep a query may nest its fields
    #[arg(long, env = "MAX_QUERY_DEPTH", default_value_t = Self::default().max_query_depth, value_name = "N")]
    pub max_query_depth: u64,
    /// The most fields in a query, once its fragments are expanded
    #[arg(long, env = "MAX_QUERY_FIELDS", default_value_t = Self::default().max_query_fields, value_name = "N")]
    pub max_query_fields: u64,
    /// The most aliases in a query, once its fragments are expanded
    #[arg(long, env = "MAX_QUERY_ALIASES", default_value_t = Self::default().max_query_aliases, value_name = "N")]
    pub max_query_aliases: u64,
    /// The most records that a query may ask for, by its page sizes
    #[arg(long, env = "MAX_QUERY_RECORDS", default_value_t = Self::default().max_query_records, value_name = "N")]
    pub max_query_records: u64,
    /// The most values in the answer to a query, by its page sizes
    #[arg(long, env = "MAX_QUERY_VALUES", default_value_t = Self::default().max_query_values, value_name = "N")]
    pub max_query_values: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_query_bytes: 64 * 1024,
            max_query_tokens: 5_000,
            max_query_depth: 10,
            max_query_fields: 1_000,
            max_query_aliases: 30,
            max_query_records: 30_000,
            max_query_values: 1_000_000,
        }
    }
}

/// How deep brackets may nest: the parser recurses for each.
const MAX_NESTING: usize = 64;
/// The most root fields of an operation.
const MAX_ROOT_FIELDS: u64 = 20;
/// The most operations in a document.
const MAX_OPERATIONS: usize = 50;
/// The most fragments in a document.
const MAX_FRAGMENTS: usize = 50;
/// The most fields that one change tells of: those of a new location, rounded up.
const MAX_CHANGED_FIELDS: u64 = 16;
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
    /// `Limit` if the text is too long or nests too deep.
    pub fn check_text(&self, text: &str) -> Result<()> {
        within("bytes", text.len() as u64, self.max_query_bytes as u64)?;
        within("tokens", count_tokens(text)?, self.max_query_tokens as u64)
    }

    /// Checks a parsed document: every operation, whichever is to be executed, and
    /// every fragment, whether it is used or not.
    ///
    /// # Errors
    /// `Limit` if any of them asks for too much.
    pub fn check_document(
        &self,
        document: &ExecutableDocument,
        variables: &Variables,
    ) -> Result<()> {
        let operations = document.operations.iter().count();
        within("operations", operations as u64, MAX_OPERATIONS as u64)?;
        let fragments = document.fragments.len();
        within("fragments", fragments as u64, MAX_FRAGMENTS as u64)?;
        let mut walk = Walk {
            limits: self,
            document,
            variables,
            fragments: HashMap::new(),
        };
        for name in document.fragments.keys() {
            walk.fragment(name)?;
        }
        for (_, operation) in document.operations.iter() {
            let cost = walk.selections(&operation.node.selection_set.node)?;
            let directives = cost.directives + operation.node.directives.len() as u64;
            within("levels of fields", cost.depth, self.max_query_depth)?;
            within("aliases", cost.aliases, self.max_query_aliases)?;
            within("root fields", cost.top_fields, MAX_ROOT_FIELDS)?;
            within("directives", directives, MAX_DIRECTIVES)?;
            within("records", cost.records, self.max_query_records)?;
            within("values", cost.values, self.max_query_values)?;
        }
        Ok(())
    }
}

fn within(what: &str, found: u64, limit: u64) -> Result<()> {
    if found > limit {
        return Err(Error::Limit(format!(
            "The query is too expensive: it has {found} {what}, and {limit} are allowed. \
             Split it into several queries."
        )));
    }
    Ok(())
}

/// What a selection set costs once its fragments are expanded.
#[derive(Clone, Copy, Default)]
struct Cost {
    fields: u64,
    top_fields: u64,
    aliases: u64,
    directives: u64,
    depth: u64,
    /// Records asked for, by the page sizes.
    records: u64,
    /// Values to answer: the fields of all those records.
    values: u64,
    /// Lists that introspection nests.
    lists: u64,
}

impl Cost {
    /// Adds what stands beside.
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

struct Walk<'a> {
    limits: &'a Limits,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// The cost of each fragment; none while it is being computed.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Walk<'a> {
    fn fragment(&mut self, name: &'a Name) -> Result<Cost> {
        match self.fragments.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                return Err(Error::fault(
                    "query",
                    format!("has a fragment that spreads itself: {name}"),
                ));
            }
            None => {}
        }
        // Validation would refuse it too, but only after walking every spread: a
        // fragment that costs nothing could be spread without limit.
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Err(Error::fault(
                "query",
                format!("spreads a fragment that it does not define: {name}"),
            ));
        };
        self.fragments.insert(name, None);
        let mut cost = self.selections(&fragment.node.selection_set.node)?;
        cost.directives += fragment.node.directives.len() as u64;
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }

    fn selections(&mut self, selections: &'a SelectionSet) -> Result<Cost> {
        let mut sum = Cost::default();
        for selection in &selections.items {
            let (mut cost, directives) = match &selection.node {
                Selection::Field(field) => (self.field(&field.node)?, field.node.directives.len()),
                Selection::InlineFragment(fragment) => (
                    self.selections(&fragment.node.selection_set.node)?,
                    fragment.node.directives.len(),
                ),
                Selection::FragmentSpread(spread) => (
                    self.fragment(&spread.node.fragment_name.node)?,
                    spread.node.directives.len(),
                ),
            };
            cost.directives = cost.directives.saturating_add(directives as u64);
            sum.add(cost);
            within("fields", sum.fields, self.limits.max_query_fields)?;
        }
        Ok(sum)
    }

    fn field(&mut self, field: &'a Field) -> Result<Cost> {
        let inner = self.selections(&field.selection_set.node)?;
        let mut cost = Cost {
            fields: inner.fields + 1,
            top_fields: 1,
            aliases: inner.aliases + u64::from(field.alias.is_some()),
            depth: inner.depth + 1,
            values: inner.values.saturating_add(1),
            ..inner
        };
        match field.name.node.as_str() {
            // Introspection nests deeper than data does: it has limits of its own.
            "__schema" | "__type" => {
                within(
                    "nested lists of types",
                    inner.lists,
                    MAX_INTROSPECTION_LISTS,
                )?;
                within("levels of types", inner.depth, MAX_INTROSPECTION_DEPTH)?;
                cost.depth = 1;
                cost.aliases = 0;
                // Below, `fields` was taken for that of a change.
                cost.values = cost.fields;
            }
            "fields" => {
                cost.lists = inner.lists + 1;
                cost.values = cost.values.saturating_mul(MAX_CHANGED_FIELDS);
            }
            "types" | "args" | "inputFields" | "interfaces" | "possibleTypes" | "enumValues"
            | "directives" => cost.lists = inner.lists + 1,
            "clients" | "clientLocations" | "locations" | "changes" | "history" => {
                let page = self.page(field);
                cost.records = inner.records.saturating_add(1).saturating_mul(page);
                cost.values = cost.values.saturating_mul(page);
            }
            _ => {}
        }
        Ok(cost)
    }

    /// How many records a connection field asks for.
    fn page(&self, field: &Field) -> u64 {
        let size = ["first", "last"].into_iter().find_map(|name| {
            let value: &Positioned<Value> = field.get_argument(name)?;
            match &value.node {
                Value::Number(number) => number.as_u64(),
                Value::Variable(name) => match self.variables.get(name)? {
                    ConstValue::Number(number) => number.as_u64(),
                    _ => None,
                },
                _ => None,
            }
        });
        // What is more than the maximum is refused anyway, with a better message.
        size.map_or(DEFAULT_FIRST.into(), |size| size.min(MAX_FIRST.into()))
    }
}

/// An open bracket.
struct Bracket<'a> {
    kind: u8,
    /// The fields that were seen, if it holds an input object.
    fields: Option<HashSet<&'a str>>,
}

/// Counts the tokens of a document (GraphQL specification, "Lexical Tokens"), and
/// refuses brackets that nest too deep and input fields that are there twice: of
/// those the parser would drop one in silence. Braces between parentheses are input
/// objects.
fn count_tokens(text: &str) -> Result<u64> {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut tokens = 0;
    let mut open: Vec<Bracket<'_>> = Vec::new();
    let mut last_word = "";
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => 1,
            b'#' => rest
                .iter()
                .take_while(|byte| !matches!(byte, b'\n' | b'\r'))
                .count(),
            b'"' => {
                tokens += 1;
                // The parser would take the quotes for an empty string, and what
                // follows for brackets.
                string_length(rest)
                    .ok_or_else(|| Error::fault("query", "has a block string that does not end"))?
            }
            _ if is_word(byte) => {
                tokens += 1;
                let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                last_word = text.get(at..at + length).unwrap_or_default();
                length
            }
            _ => {
                tokens += 1;
                match byte {
                    b'(' | b'[' | b'{' => {
                        let is_input = byte == b'{' && open.iter().any(|open| open.kind == b'(');
                        open.push(Bracket {
                            kind: byte,
                            fields: is_input.then(HashSet::new),
                        });
                        within("nested brackets", open.len() as u64, MAX_NESTING as u64)?;
                    }
                    b')' | b']' | b'}' => {
                        open.pop();
                    }
                    b':' => {
                        let fields = open.last_mut().and_then(|open| open.fields.as_mut());
                        if fields.is_some_and(|fields| !fields.insert(last_word)) {
                            let message = format!("has the input field {last_word} twice");
                            return Err(Error::fault("query", message));
                        }
                    }
                    _ => {}
                }
                // Not a whole token perhaps, but a whole character.
                let character = text.get(at..).and_then(|rest| rest.chars().next());
                character.map_or(1, char::len_utf8)
            }
        };
        at += length;
    }
    Ok(tokens)
}

/// The length of the string or block string at the start of `bytes`; none if it is
/// a block string that does not end.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let is_block = bytes.starts_with(b"\"\"\"");
    // In a block string a backslash escapes three quotes and nothing else.
    let (quote, escape): (&[u8], &[u8]) = if is_block {
        (b"\"\"\"", b"\\\"\"\"")
    } else {
        (b"\"", b"\\")
    };
    let mut at = quote.len();
    while at < bytes.len() {
        if bytes[at..].starts_with(escape) {
            at += if is_block { escape.len() } else { 2 };
        } else if bytes[at..].starts_with(quote) {
            return Some(at + quote.len());
        } else {
            at += 1;
        }
    }
    (!is_block).then_some(bytes.len())
}
