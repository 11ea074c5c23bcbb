//! The faults of a document, as they are answered: those that the compiler has found, and those
//! that our own rules have found.

use std::collections::HashSet;

use apollo_compiler::{
    diagnostic::ToCliReport,
    parser::SourceSpan,
    validation::{DiagnosticData, DiagnosticList},
};
use async_graphql::{Pos, ServerError};

use super::{
    rules::{self, DocumentFault},
    suggestions,
    variables::Faults,
};
use crate::{
    error::Code,
    graphql::error::{MAX_ERRORS, document_error, server_error},
};

/// The faults that the compiler has found, each once, without those that only follow from
/// others.
pub fn invalid(
    errors: &DiagnosticList,
    text: &str,
    with_suggestions: bool,
    place: impl Fn(SourceSpan) -> Pos,
) -> Vec<ServerError> {
    /// Faults that leave the compiler unable to check what is inside a field or a fragment.
    const UNKNOWN: [&str; 3] = [
        "UndefinedField",
        "UndefinedTypeInNamedFragmentTypeCondition",
        "UndefinedTypeInInlineFragmentTypeCondition",
    ];
    const FOLLOWING: [&str; 4] = [
        "MissingSubselection",
        "UndefinedFragment",
        "UnusedFragment",
        "UnusedVariable",
    ];
    let named = |fault: &DiagnosticData, names: &[&str]| {
        fault
            .unstable_error_name()
            .is_some_and(|name| names.contains(&name))
    };
    let all: Vec<_> = errors.iter().map(|fault| fault.error).collect();
    let has_unknown = all.iter().any(|fault| named(fault, &UNKNOWN));
    // Where a null is not allowed, the compiler also reports that the argument or field is
    // missing. Remember the nulls, to leave that second report out.
    let nulls: Vec<_> = all
        .iter()
        .filter(|fault| named(fault, &["UnsupportedValueType"]))
        .filter_map(|fault| {
            let offset = fault.location()?.offset();
            let is_null = text.get(offset..)?.starts_with("null");
            let before = text.get(..offset)?.trim_end().strip_suffix(':')?.trim_end();
            let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
            let name = &before[before.trim_end_matches(is_of_name).len()..];
            is_null.then_some((offset, name))
        })
        .collect();
    let holds_null = |fault: &DiagnosticData, message: &str| {
        let span = fault.location();
        let span = span.map_or(0..0, |span| span.offset()..span.end_offset());
        nulls.iter().any(|(offset, name)| {
            let is_meant = |quoted: &str| quoted.rsplit('.').next() == Some(name);
            span.contains(offset) && message.split('"').any(is_meant)
        })
    };
    let mut told = HashSet::new();
    let mut faults = Vec::new();
    for fault in all {
        let message = fault.unstable_compat_message();
        let mut message = message.unwrap_or_else(|| fault.to_string());
        let follows = (has_unknown && named(fault, &FOLLOWING))
            || (named(fault, &["RequiredArgument", "RequiredField"])
                && holds_null(fault, &message));
        if follows || !told.insert((message.clone(), fault.location())) {
            continue;
        }
        if faults.len() + 1 < MAX_ERRORS {
            let name = fault.unstable_error_name().unwrap_or_default();
            suggestions::mend(name, &mut message, with_suggestions);
            let place = fault.location().map(&place);
            faults.push(document_error(Code::DocumentInvalid, message, place));
        }
    }
    faults.extend(more(told.len() - faults.len()));
    faults
}

/// The fault that says how many were left out, if any.
fn more(count: usize) -> Option<ServerError> {
    let message = format!("{count} more faults are not listed.");
    (count > 0).then(|| document_error(Code::DocumentInvalid, message, None))
}

/// The faults that our own rules have found: of the document, or of values in it.
pub fn refused(
    violations: Vec<DocumentFault>,
    place: impl Fn(SourceSpan) -> Pos,
) -> Vec<ServerError> {
    let (mut errors, mut faults, mut first) = (Vec::new(), Faults::new(false), None);
    let mut unlisted = 0_usize;
    for violation in violations {
        match violation.kind {
            rules::DocumentFaultKind::Document(message) if errors.len() + 1 < MAX_ERRORS => {
                let place = violation.place.map(&place);
                errors.push(document_error(Code::DocumentInvalid, message, place));
            }
            rules::DocumentFaultKind::Document(_) => unlisted += 1,
            rules::DocumentFaultKind::Value(fault) => {
                first = first.or(violation.place);
                faults.add(&fault.path, fault.message);
            }
        }
    }
    errors.extend(more(unlisted));
    if errors.is_empty()
        && let Err(error) = faults.finish()
    {
        let mut error = server_error(error);
        error.locations.extend(first.map(place));
        errors.push(error);
    }
    errors
}
