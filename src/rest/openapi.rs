//! `GET /api/v1/openapi.json`: the REST layer described in OpenAPI 3.1, from what
//! the stored operations and the schema say.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::{
    Action, Route, list,
    operation::{Kind, NESTED, Parameter, Shape},
};
use crate::{graphql::connection::MAX_FIRST, http::Gateway, idempotency};

/// Serves the document. It is the same for everybody and needs no token.
pub async fn get(State(gateway): State<Gateway>) -> Json<Value> {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for route in &gateway.rest.0 {
        let method = match route.action {
            Action::List | Action::Read => "get",
            Action::Create => "post",
            Action::Update => "put",
        };
        let path = paths.entry(route.path()).or_default();
        path.insert(method.to_owned(), operation(route));
        if route.action == Action::Read {
            schemas.insert(
                route.resource.wrapper.to_owned(),
                of_shape(&route.operation.answer),
            );
        }
    }
    schemas.insert("problem".to_owned(), problem());
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Clients and client locations",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST routes of clientele. Each runs a stored operation of its \
                GraphQL schema. Timestamps are in UTC.",
        },
        "security": [{ "basic": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The user is 'NAME/token', the password is the token.",
                },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    }))
}

fn operation(route: &Route) -> Value {
    let resource = route.resource;
    let record = json!({ "$ref": format!("#/components/schemas/{}", resource.wrapper) });
    let (name, summary) = match route.action {
        Action::List => ("list", format!("List {}s", resource.title)),
        Action::Read => ("read", format!("Get one {}", resource.title)),
        Action::Create => ("create", format!("Create a {}", resource.title)),
        Action::Update => (
            "update",
            format!(
                "Update a {}: what is left out stays as it is",
                resource.title
            ),
        ),
    };
    let tag = header("The version of the record.", &json!({ "type": "string" }));
    let replayed = header(
        "This is the first answer to the request with this Idempotency-Key, given again.",
        &json!({ "type": "string", "const": "true" }),
    );
    let (status, success, errors): (_, _, &[u16]) = match route.action {
        Action::List => ("200", listed(&record), &[400, 401, 503]),
        Action::Read => (
            "200",
            answer("The record.", &record, &json!({ "ETag": tag })),
            &[400, 401, 404, 503],
        ),
        Action::Create => {
            let location = header("The URL of the new record.", &json!({ "type": "string" }));
            let headers =
                json!({ "ETag": tag, "Location": location, "Idempotency-Replayed": replayed });
            (
                "201",
                answer("The new record.", &record, &headers),
                &[400, 401, 403, 409, 413, 415, 422, 503, 507],
            )
        }
        Action::Update => {
            let headers = json!({ "ETag": tag, "Idempotency-Replayed": replayed });
            (
                "200",
                answer("The record as it is now.", &record, &headers),
                &[400, 401, 403, 404, 409, 412, 413, 415, 422, 503, 507],
            )
        }
    };
    let mut responses = Map::new();
    responses.insert(status.to_owned(), success);
    if route.action == Action::Read {
        let unchanged = json!({ "description": "The record is the one in If-None-Match." });
        responses.insert("304".to_owned(), unchanged);
    }
    for status in errors {
        responses.insert(status.to_string(), failure(*status));
    }
    let mut operation = json!({
        "operationId": format!("{name}_{}", resource.wrapper),
        "summary": summary,
        "tags": [resource.title],
        "parameters": parameters(route),
        "responses": responses,
    });
    if matches!(route.action, Action::Create | Action::Update) {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": [resource.wrapper],
                "additionalProperties": false,
                "properties": { resource.wrapper: body(route, "", Some(&route.operation.answer)) },
            } } },
        });
    }
    operation
}

fn listed(record: &Value) -> Value {
    let counts = json!({
        "type": "object",
        "description": "With mode=count.",
        "required": ["record_count", "page_count"],
        "properties": {
            "record_count": { "type": "integer" },
            "page_count": { "type": "integer" },
        },
    });
    let rows = json!({ "type": "array", "items": record });
    let total = header(
        "How many records there are on all pages.",
        &json!({ "type": "integer" }),
    );
    let links = header("The other pages (RFC 8288).", &json!({ "type": "string" }));
    answer(
        "The records on this page; an empty list past the last one.",
        &json!({ "oneOf": [rows, counts] }),
        &json!({ "X-Total-Count": total, "Link": links }),
    )
}

fn answer(description: &str, schema: &Value, headers: &Value) -> Value {
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": schema } },
    })
}

fn header(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "schema": schema })
}

fn failure(status: u16) -> Value {
    let description = match status {
        400 => "The request cannot be understood: malformed JSON, or a parameter at fault.",
        401 => "No token, or one that is not valid.",
        403 => "The token may only read.",
        404 => "There is no such record.",
        409 => {
            "The first request with this Idempotency-Key is still under way; try again after \
             Retry-After."
        }
        412 => {
            "The record is not the one that If-Match names; 'current_version' and 'differs' say \
             how it is now."
        }
        413 => "The body is too large.",
        415 => "The body is not JSON.",
        422 => {
            "Some fields are not valid; 'errors' names them all. Or the Idempotency-Key belongs to \
             another request."
        }
        507 => "The disk of the database is full; reading goes on.",
        _ => "The database does not answer; try again after Retry-After.",
    };
    json!({
        "description": description,
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/problem" },
        } },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["title", "detail", "status", "type", "request_id"],
        "properties": {
            "title": { "type": "string" },
            "detail": { "type": "string" },
            "status": { "type": "integer" },
            "type": { "type": "string", "format": "uri-reference" },
            "request_id": { "type": "string" },
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": { "type": "string", "format": "json-pointer" },
                    "detail": { "type": "string" },
                },
            } },
            "current_version": { "type": "integer" },
            "differs": {
                "type": "array",
                "description": "The members that were sent and that the record has otherwise.",
                "items": { "type": "string" },
            },
        },
    })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_header = |name, description| -> Value {
        json!({
            "name": name,
            "in": "header",
            "description": description,
            "schema": { "type": "string" },
        })
    };
    let id = json!({
        "name": route.resource.id_name,
        "in": "path",
        "required": true,
        "schema": { "type": "integer", "format": "int64" },
    });
    let key = || {
        let note = "Names this request: sent again with the same key within 24 hours, it gets the \
                    first answer again and writes nothing.";
        let mut key = in_header("Idempotency-Key", note);
        key["schema"]["minLength"] = json!(1);
        key["schema"]["maxLength"] = json!(idempotency::MAX_LENGTH);
        key
    };
    match route.action {
        Action::Create => vec![key()],
        Action::Read => {
            let note = "The ETag of an earlier answer: 304 if it still holds.";
            vec![id, in_header("If-None-Match", note)]
        }
        Action::Update => {
            let note = "The ETag of an earlier answer: 412 if the record was changed since.";
            vec![id, in_header("If-Match", note), key()]
        }
        Action::List => {
            let own = route.operation.parameters.iter().map(|parameter| {
                let description = match parameter.name.as_str() {
                    // GraphQL's default is another.
                    list::PER_PAGE => "How many records a page has at most.",
                    _ => &parameter.description,
                };
                json!({
                    "name": parameter.name,
                    "in": "query",
                    "description": description,
                    "schema": query_schema(parameter),
                })
            });
            let page = json!({
                "name": list::PAGE,
                "in": "query",
                "description": "The page, from 1.",
                "schema": { "type": "integer", "minimum": 1, "default": 1 },
            });
            let mode = json!({
                "name": list::MODE,
                "in": "query",
                "description": "Answers numbers instead of rows.",
                "schema": { "type": "string", "enum": [list::MODE_COUNT] },
            });
            own.chain([page, mode]).collect()
        }
    }
}

fn query_schema(parameter: &Parameter) -> Value {
    let mut schema = match &parameter.kind {
        // More forms than JSON Schema's date-time has.
        Kind::Instant => json!({
            "type": "string",
            "examples": ["2026-01-31", "2026-01-31 09:15:00", "2026-01-31T09:15:00.250Z"],
        }),
        Kind::Enum(names) => {
            let names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
            json!({ "type": "string", "enum": names })
        }
        kind => of_kind(kind, false),
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

/// The object in a body whose variables begin with `prefix`.
fn body(route: &Route, prefix: &str, shape: Option<&Shape>) -> Value {
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
            .and_then(Shape::members)
            .and_then(|members| members.get(name));
        let schema = if nested {
            body(route, &format!("{prefix}{name}{NESTED}"), own)
        } else {
            // What is never null cannot be cleared.
            let is_required = matches!(
                own,
                Some(Shape::Leaf {
                    nullable: false,
                    ..
                })
            );
            let mut schema = of_kind(&parameter.kind, parameter.nullable && !is_required);
            schema["description"] = json!(parameter.description);
            schema
        };
        properties.insert(name.to_owned(), schema);
    }
    // What was read may be sent back.
    for (name, own) in shape.and_then(Shape::members).into_iter().flatten() {
        if !properties.contains_key(name) {
            let mut schema = of_shape(own);
            schema["readOnly"] = json!(true);
            properties.insert(name.clone(), schema);
        }
    }
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn of_shape(shape: &Shape) -> Value {
    match shape {
        Shape::Leaf {
            kind,
            nullable,
            description,
        } => {
            let mut schema = match kind {
                Kind::PostalCode => of_kind(&Kind::Text, *nullable),
                kind => of_kind(kind, *nullable),
            };
            schema["description"] = json!(description);
            schema
        }
        Shape::List(item) => json!({ "type": "array", "items": of_shape(item) }),
        Shape::Object(members) => {
            let names: Vec<_> = members.keys().collect();
            let properties: Map<_, _> = members
                .iter()
                .map(|(name, shape)| (name.clone(), of_shape(shape)))
                .collect();
            json!({ "type": "object", "required": names, "properties": properties })
        }
    }
}

fn of_kind(kind: &Kind, nullable: bool) -> Value {
    let mut schema = match kind {
        Kind::Id => json!({ "type": "integer", "format": "int64" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer => json!({ "type": "integer", "format": "int32" }),
        Kind::Instant => json!({ "type": "string", "format": "date-time" }),
        Kind::PostalCode => json!({ "type": ["string", "integer"] }),
        Kind::Enum(names) => json!({ "type": "string", "enum": names }),
    };
    if nullable {
        let mut types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        types.push(json!("null"));
        schema["type"] = Value::Array(types);
    }
    schema
}
