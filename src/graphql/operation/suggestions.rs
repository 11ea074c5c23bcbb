//! "Did you mean": names of the schema that are like one that it does not have.

use apollo_compiler::schema::ExtendedType;

use super::documents::SCHEMA;
use crate::error::suggest::nearest;

/// Mends the message of a fault that the compiler calls `name`, and adds a suggestion if
/// `with_suggestions` says so.
pub fn mend(name: &str, message: &mut String, with_suggestions: bool) {
    match name {
        // The compiler's message lacks a quotation mark.
        "ConflictingFieldType" => *message = message.replacen(" and \"", "\" and \"", 1),
        "MissingSubselection" if !with_suggestions => {
            if let Some((fault, _)) = message.split_once(" Did you mean") {
                *message = fault.to_owned();
            }
        }
        "UndefinedArgument" => *message = message.replacen("on field \"@", "on directive \"@", 1),
        _ => {}
    }
    if !message.ends_with(['.', '?']) {
        message.push('.');
    }
    if with_suggestions && let Some(found) = meant(name, message) {
        message.extend([" Did you mean \"", found, "\"?"]);
    }
}

/// The name that may be meant instead of the first one that the message quotes.
fn meant(name: &str, message: &str) -> Option<&'static str> {
    let mut quoted = message.split('"').skip(1).step_by(2);
    let (wrong, place) = (quoted.next()?, quoted.next().unwrap_or_default());
    match name {
        "UndefinedField" | "UndefinedInputValue" | "UndefinedEnumValue" => {
            among_members(wrong, SCHEMA.types.get(place)?)
        }
        "UndefinedArgument" => {
            let arguments = if let Some(directive) = place.strip_prefix('@') {
                &SCHEMA.directive_definitions.get(directive)?.arguments
            } else {
                let (parent, field) = place.split_once('.')?;
                &SCHEMA.type_field(parent, field).ok()?.arguments
            };
            nearest(wrong, arguments.iter().map(|known| known.name.as_str()))
        }
        "UndefinedDirective" => {
            let known = SCHEMA.directive_definitions.keys();
            nearest(
                wrong.trim_start_matches('@'),
                known.map(apollo_compiler::Name::as_str),
            )
        }
        "UndefinedDefinition"
        | "UndefinedTypeInNamedFragmentTypeCondition"
        | "UndefinedTypeInInlineFragmentTypeCondition" => nearest(
            wrong,
            SCHEMA.types.keys().map(apollo_compiler::Name::as_str),
        ),
        _ => None,
    }
}

/// The field or value of `kind` that is most like `wrong`.
#[must_use]
pub fn among_members<'a>(wrong: &str, kind: &'a ExtendedType) -> Option<&'a str> {
    match kind {
        ExtendedType::Object(kind) => {
            nearest(wrong, kind.fields.keys().map(apollo_compiler::Name::as_str))
        }
        ExtendedType::InputObject(kind) => {
            nearest(wrong, kind.fields.keys().map(apollo_compiler::Name::as_str))
        }
        ExtendedType::Enum(kind) => {
            nearest(wrong, kind.values.keys().map(apollo_compiler::Name::as_str))
        }
        _ => None,
    }
}
