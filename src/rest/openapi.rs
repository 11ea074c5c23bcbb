//! `GET /api/v1/openapi.json`: the OpenAPI 3.1 description of the REST layer, made from the
//! stored operations, the schema and the rules of the fields.

mod body;
mod parameter;
mod pattern;
mod response;
mod value;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Action, RESOURCES, Route, Routes};

/// The document. It is the same for everybody and needs no token.
#[must_use]
pub fn document(routes: &Routes) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for route in &routes.0 {
        let method = match route.action {
            Action::List | Action::Read => "get",
            Action::Create => "post",
            Action::Update => "put",
        };
        let path = paths.entry(route.path()).or_default();
        path.insert(method.to_owned(), operation(route));
        if route.action == Action::Read {
            let wrapper = route.resource.wrapper;
            let record = body::answered(wrapper, &route.operation.answer);
            schemas.insert(wrapper.to_owned(), record);
        }
    }
    schemas.insert("problem".to_owned(), response::problem());
    let tags: Vec<_> = RESOURCES
        .iter()
        .map(|resource| json!({ "name": resource.title, "description": resource.description }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Clients and client locations",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST routes of clientele. Each runs a stored operation of its \
                GraphQL schema. Timestamps are in UTC.",
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "security": [{ "basic": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": response::headers(),
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The user is 'NAME/token', the password is the token.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token.",
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let resource = route.resource;
    let title = resource.title;
    let (name, summary, description) = match route.action {
        Action::List => (
            "list",
            format!("List {title}s"),
            "A list with updated_from or created_from ends where nothing can still appear: who \
             asks again with the latest timestamp that was answered misses no record."
                .to_owned(),
        ),
        Action::Read => ("read", format!("Get one {title}"), String::new()),
        Action::Create => (
            "create",
            format!("Create a {title}"),
            "White space around a text is none of it. An empty text is null wherever null may be. \
             Fields that are read-only may be sent, and are ignored."
                .to_owned(),
        ),
        Action::Update => (
            "update",
            format!("Update a {title}: what is left out stays as it is"),
            format!(
                "What was read may be sent back: fields that are read-only are ignored, but an id \
                 must be that of the {title} that is updated. White space around a text is none \
                 of it. An empty text is null wherever null may be."
            ),
        ),
    };
    let mut operation = json!({
        "operationId": format!("{name}_{}", resource.wrapper),
        "summary": summary,
        "tags": [title],
        "parameters": parameter::all(route),
        "responses": response::all(route),
    });
    if !description.is_empty() {
        operation["description"] = json!(description);
    }
    if matches!(route.action, Action::Create | Action::Update) {
        operation["requestBody"] = body::request(route);
    }
    operation
}
