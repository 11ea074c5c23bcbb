//! Single values in JSON Schema: those that are taken, which other systems write in many
//! ways, and those that are answered. The keywords of one type say nothing of others, so
//! a schema has the types and all their limits side by side.

use serde_json::{Map, Value, json};

use super::pattern;
use crate::{
    records::validation::{MAX_LINE, MAX_NAME, MAX_NOTES, MAX_URL},
    rest::{
        operation::ParameterKind,
        variables::{NO, YES},
    },
};

/// The rules for texts.
enum TextRule {
    Name,
    State,
    Country,
    Email,
    Website,
    Notes,
    Line,
}

impl TextRule {
    /// The rule for a field of this name.
    fn of(name: &str) -> Self {
        match name {
            "name" => Self::Name,
            "state" => Self::State,
            "country" => Self::Country,
            "email_invoice" => Self::Email,
            "website" => Self::Website,
            "notes" => Self::Notes,
            _ => Self::Line,
        }
    }

    /// The values that are taken. Numbers stand for their digits.
    ///
    /// The server also takes longer texts with white space around them, and e-mail
    /// addresses and URLs that few people have: JSON Schema cannot count without the white
    /// space, and patterns that have it all are too much for tools that make values of them.
    fn taken(&self, nullable: bool) -> Value {
        const TEXT: &[&str] = &["string"];
        const TEXT_OR_DIGITS: &[&str] = &["string", "integer"];
        let (types, rules) = match self {
            Self::Name => (
                TEXT_OR_DIGITS,
                json!({
                    "minLength": 1,
                    "maxLength": MAX_NAME,
                    "pattern": *pattern::VISIBLE,
                    "minimum": i64::MIN,
                    "maximum": u64::MAX,
                }),
            ),
            // A number of two digits is taken as a code, too.
            Self::State => (
                TEXT_OR_DIGITS,
                json!({ "pattern": *pattern::STATE, "minimum": 10, "maximum": 99 }),
            ),
            // There is no enum: lower case is taken, too, and a generated type with the codes
            // of one year would not take the codes of another.
            Self::Country => (TEXT, json!({ "pattern": *pattern::COUNTRY })),
            Self::Email => (
                TEXT,
                json!({ "format": "email", "maxLength": MAX_LINE, "pattern": *pattern::EMAIL }),
            ),
            Self::Website => (
                TEXT,
                json!({ "format": "uri", "maxLength": MAX_URL, "pattern": *pattern::WEBSITE }),
            ),
            Self::Notes => (TEXT_OR_DIGITS, free_text(MAX_NOTES, i64::MIN)),
            Self::Line => (TEXT_OR_DIGITS, free_text(MAX_LINE, i64::MIN)),
        };
        typed(types, nullable, rules)
    }

    /// The values that are answered, including those that only older versions took.
    fn answered(&self, nullable: bool) -> Value {
        let rules = match self {
            Self::Name => json!({ "minLength": 1, "maxLength": MAX_NAME }),
            Self::State => json!({ "pattern": "^[0-9A-Z]{2}$" }),
            Self::Country => json!({ "pattern": "^[A-Z]{2}$" }),
            // There is no format: older versions checked less of a URL.
            Self::Website => json!({ "maxLength": MAX_URL }),
            Self::Notes => json!({ "maxLength": MAX_NOTES }),
            Self::Email | Self::Line => json!({ "maxLength": MAX_LINE }),
        };
        typed(&["string"], nullable, rules)
    }
}

/// A value that a body may have in the field `name`.
pub fn taken(name: &str, kind: &ParameterKind, nullable: bool) -> Value {
    match kind {
        ParameterKind::Text => TextRule::of(name).taken(nullable),
        ParameterKind::PostalCode => {
            typed(&["string", "integer"], nullable, free_text(MAX_LINE, 0))
        }
        ParameterKind::Boolean => boolean(&[YES, NO].concat(), nullable),
        ParameterKind::Id => {
            let (least, pattern) = if nullable {
                (i64::MIN, pattern::optional_id())
            } else {
                (1, pattern::given_id())
            };
            let rules = json!({
                "format": "int64",
                "minimum": least,
                "maximum": i64::MAX,
                "pattern": pattern,
            });
            typed(&["integer", "string"], nullable, rules)
        }
        kind => answered(name, kind, nullable),
    }
}

/// A boolean that can only be true: whether a primary location is primary.
pub fn only_true(nullable: bool) -> Value {
    let mut schema = boolean(&YES, nullable);
    schema["minimum"] = json!(1);
    schema["not"] = json!({ "const": false });
    schema
}

/// A value that an answer has in the field `name`.
pub fn answered(name: &str, kind: &ParameterKind, nullable: bool) -> Value {
    match kind {
        ParameterKind::Text | ParameterKind::PostalCode => TextRule::of(name).answered(nullable),
        ParameterKind::Boolean => typed(&["boolean"], nullable, json!({})),
        ParameterKind::Id => {
            let mut rules = json!({ "format": "int64" });
            // Ids of other systems need not begin with 1.
            if matches!(name, "id" | "root_id") {
                rules["minimum"] = json!(1);
            }
            typed(&["integer"], nullable, rules)
        }
        ParameterKind::Integer => {
            let mut rules = json!({ "format": "int32" });
            if name == "version" {
                rules["minimum"] = json!(1);
            }
            typed(&["integer"], nullable, rules)
        }
        ParameterKind::Instant => {
            let rules = json!({ "format": "date-time", "pattern": pattern::INSTANT });
            typed(&["string"], nullable, rules)
        }
        ParameterKind::Enum(names) => typed(&["string"], nullable, json!({ "enum": names })),
    }
}

/// A boolean as forms and scripts send it: one of `words`, or a number. An empty one counts as
/// not given.
fn boolean(words: &[&str], nullable: bool) -> Value {
    let pattern = pattern::words(words);
    let rules = json!({ "minimum": 0, "maximum": 1, "pattern": pattern });
    typed(&["boolean", "integer", "string"], nullable, rules)
}

/// A text of any characters but one, or a whole number that has all its digits.
fn free_text(max_length: usize, least: i64) -> Value {
    json!({
        "maxLength": max_length,
        "pattern": pattern::TEXT,
        "minimum": least,
        "maximum": u64::MAX,
    })
}

fn typed(types: &[&str], nullable: bool, rules: Value) -> Value {
    let mut types = types.to_vec();
    if nullable {
        types.push("null");
    }
    let types = match types[..] {
        [one] => json!(one),
        _ => json!(types),
    };
    let mut schema = Map::new();
    schema.insert("type".to_owned(), types);
    if let Value::Object(rules) = rules {
        schema.extend(rules);
    }
    Value::Object(schema)
}
