//! The parameters of routes: in the query, the path and the headers.

use serde_json::{Value, json};

use super::pattern;
use crate::{
    graphql::schema::paging::MAX_FIRST,
    idempotency,
    records::validation::MAX_FILTER,
    rest::{
        Action, Route, list,
        operation::{Parameter, ParameterKind},
    },
};

/// All parameters of a route.
pub fn all(route: &Route) -> Vec<Value> {
    match route.action {
        Action::List => of_list(route),
        Action::Create => vec![key()],
        Action::Read => vec![
            id(route),
            precondition("If-None-Match", "304 if it still holds"),
            precondition("If-Match", "412 if the record was changed since"),
        ],
        Action::Update => vec![
            id(route),
            precondition("If-Match", "412 if the record was changed since"),
            precondition("If-None-Match", "412 if it still holds"),
            key(),
        ],
    }
}

fn in_header(name: &str, description: &str, pattern: &str) -> Value {
    json!({
        "name": name,
        "in": "header",
        "description": description,
        "schema": { "type": "string", "pattern": pattern },
    })
}

fn precondition(name: &str, otherwise: &str) -> Value {
    let note = format!("The ETag of an earlier answer, or several, or *: {otherwise}.");
    in_header(name, &note, pattern::ENTITY_TAGS)
}

/// The name of a request.
fn key() -> Value {
    let note = "Names this request: sent again with the same key within 24 hours, it gets the \
                first answer again and writes nothing.";
    let mut key = in_header("Idempotency-Key", note, pattern::KEY);
    key["schema"]["minLength"] = json!(1);
    key["schema"]["maxLength"] = json!(idempotency::MAX_LENGTH);
    key
}

fn id(route: &Route) -> Value {
    json!({
        "name": route.resource.id_name,
        "in": "path",
        "description": format!("The id of the {}.", route.resource.title),
        "required": true,
        "schema": { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
    })
}

fn of_list(route: &Route) -> Vec<Value> {
    let own = route.operation.parameters.iter().map(|parameter| {
        let description = match parameter.name.as_str() {
            // The description in the schema names GraphQL's default, which is another one.
            list::PER_PAGE => "How many records a page has at most.",
            _ => &parameter.description,
        };
        in_query(&parameter.name, description, &schema(parameter))
    });
    let page = json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX, "default": 1 });
    let mode = json!({ "type": "string", "const": list::MODE_COUNT });
    own.chain([
        in_query(
            list::PAGE,
            "The page, from 1. Pages of a list with updated_from or created_from are to be read \
             in turn, each within 15 minutes of the one before.",
            &page,
        ),
        in_query(list::MODE, "Answers numbers instead of rows.", &mode),
    ])
    .collect()
}

/// A query parameter. An empty value counts as not given, because forms send it.
fn in_query(name: &str, description: &str, schema: &Value) -> Value {
    json!({
        "name": name,
        "in": "query",
        "description": description,
        "allowEmptyValue": true,
        "schema": schema,
    })
}

fn schema(parameter: &Parameter) -> Value {
    let mut schema = match &parameter.kind {
        ParameterKind::Text => json!({
            "type": "string",
            "maxLength": MAX_FILTER,
            "pattern": pattern::TEXT,
        }),
        ParameterKind::Id => json!({
            "type": "integer",
            "format": "int64",
            "minimum": i64::MIN,
            "maximum": i64::MAX,
        }),
        // Parameters take more forms than JSON Schema's date-time has.
        ParameterKind::Instant => json!({
            "type": "string",
            "pattern": *pattern::MOMENT,
            "examples": [
                "2026-01-31",
                "2026-01-31 09:15:00",
                "2026-01-31T09:15:00.250Z",
                "2026-01-31T10:15:00+01:00",
            ],
        }),
        ParameterKind::Enum(names) => {
            let names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
            json!({ "type": "string", "enum": names })
        }
        ParameterKind::Boolean => json!({ "type": "boolean" }),
        ParameterKind::Integer => json!({ "type": "integer", "format": "int32" }),
        ParameterKind::PostalCode => json!({ "type": "string" }),
    };
    if parameter.name == list::PER_PAGE {
        schema["minimum"] = json!(1);
        schema["maximum"] = json!(MAX_FIRST);
    }
    match &parameter.default {
        Some(Value::String(name)) => schema["default"] = json!(name.to_lowercase()),
        Some(value) => schema["default"] = value.clone(),
        None => {}
    }
    schema
}
