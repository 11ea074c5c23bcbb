//! The bodies of requests and answers.

use serde_json::{Map, Value, json};

use super::value;
use crate::rest::{
    Action, Route,
    operation::{AnswerShape, NESTED, Parameter},
};

/// The id of a record in its own representation.
const ID: &str = "id";
/// Whether a location is the primary one of its client.
const IS_PRIMARY: &str = "is_primary";

/// The body that a route takes.
pub fn request(route: &Route) -> Value {
    let wrapper = route.resource.wrapper;
    let record = fields(route, "", Some(&route.operation.answer));
    json!({
        "required": true,
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": [wrapper],
            "additionalProperties": false,
            "properties": { wrapper: record },
        } } },
    })
}

/// The form of an answer.
pub fn answered(name: &str, shape: &AnswerShape) -> Value {
    match shape {
        AnswerShape::Leaf {
            kind,
            nullable,
            description,
        } => {
            let mut schema = value::answered(name, kind, *nullable);
            schema["description"] = json!(description);
            schema
        }
        AnswerShape::List(item) => json!({ "type": "array", "items": answered(name, item) }),
        AnswerShape::Object(members) => {
            let names: Vec<_> = members.keys().collect();
            let properties: Map<_, _> = members
                .iter()
                .map(|(name, shape)| (name.clone(), answered(name, shape)))
                .collect();
            json!({ "type": "object", "required": names, "properties": properties })
        }
    }
}

/// The object in a body whose variables begin with `prefix`.
fn fields(route: &Route, prefix: &str, shape: Option<&AnswerShape>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in &route.operation.parameters {
        let Some(rest) = parameter.name.strip_prefix(prefix) else {
            continue;
        };
        let (name, nested) = match rest.split_once(NESTED) {
            Some((name, _)) => (name, true),
            None => (rest, false),
        };
        if parameter.required && !required.contains(&name) {
            required.push(name);
        }
        if properties.contains_key(name) {
            continue;
        }
        let own = shape
            .and_then(AnswerShape::members)
            .and_then(|members| members.get(name));
        let schema = if nested {
            fields(route, &format!("{prefix}{name}{NESTED}"), own)
        } else if name == ID {
            // Only the record's own id is taken, which no schema can say.
            read_only(&parameter.description)
        } else {
            let nullable = is_nullable(route.action, parameter, own);
            // A location within a client is the primary one.
            let mut schema = if name == IS_PRIMARY && !prefix.is_empty() {
                value::only_true(nullable)
            } else {
                value::taken(name, &parameter.kind, nullable)
            };
            schema["description"] = json!(parameter.description);
            schema
        };
        properties.insert(name.to_owned(), schema);
    }
    // A record that was read may be sent back, whatever its values are.
    for (name, own) in shape.and_then(AnswerShape::members).into_iter().flatten() {
        if let AnswerShape::Leaf { description, .. } = own
            && !properties.contains_key(name)
        {
            properties.insert(name.clone(), read_only(description));
        }
    }
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Whether null is taken. A create takes it for every field that may be left empty, an update
/// only where it clears a field.
fn is_nullable(action: Action, parameter: &Parameter, own: Option<&AnswerShape>) -> bool {
    let is_always_there = matches!(
        own,
        Some(AnswerShape::Leaf {
            nullable: false,
            ..
        })
    );
    parameter.nullable && (action == Action::Create || !is_always_there)
}

fn read_only(description: &str) -> Value {
    json!({ "readOnly": true, "description": description })
}
