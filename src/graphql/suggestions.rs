//! "Did you mean": names of the schema that are like one that it does not have.

use apollo_compiler::schema::ExtendedType;

use super::documents::SCHEMA;
use crate::suggest::nearest;

/// A sentence that names what was perhaps meant, for a fault of a document that the
/// compiler calls `name` and tells by `message`, which quotes the names in question.
#[must_use]
pub fn of_fault(name: &str, message: &str) -> Option<String> {
    let mut quoted = message.split('"').skip(1).step_by(2);
    let (wrong, place) = (quoted.next()?, quoted.next().unwrap_or_default());
    let found = match name {
        "UndefinedField" | "UndefinedInputValue" | "UndefinedEnumValue" => {
            among_members(wrong, SCHEMA.types.get(place)?)
        }
        "UndefinedArgument" => {
            let (parent, field) = place.split_once('.')?;
            let field = SCHEMA.type_field(parent, field).ok()?;
            nearest(
                wrong,
                field.arguments.iter().map(|known| known.name.as_str()),
            )
        }
        "UndefinedDirective" => {
            let known = SCHEMA.directive_definitions.keys();
            nearest(
                wrong.trim_start_matches('@'),
                known.map(|known| known.as_str()),
            )
        }
        "UndefinedDefinition"
        | "UndefinedTypeInNamedFragmentTypeCondition"
        | "UndefinedTypeInInlineFragmentTypeCondition" => {
            nearest(wrong, SCHEMA.types.keys().map(|known| known.as_str()))
        }
        _ => None,
    };
    found.map(|found| format!("Did you mean \"{found}\"?"))
}

/// The field or value of `kind` that is most like `wrong`.
#[must_use]
pub fn among_members<'a>(wrong: &str, kind: &'a ExtendedType) -> Option<&'a str> {
    match kind {
        ExtendedType::Object(kind) => {
            nearest(wrong, kind.fields.keys().map(|known| known.as_str()))
        }
        ExtendedType::InputObject(kind) => {
            nearest(wrong, kind.fields.keys().map(|known| known.as_str()))
        }
        ExtendedType::Enum(kind) => nearest(wrong, kind.values.keys().map(|known| known.as_str())),
        _ => None,
    }
}
