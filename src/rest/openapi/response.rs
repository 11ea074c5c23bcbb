//! The answers of routes: every status that one can give, with its headers.

use serde_json::{Map, Value, json};

use super::pattern;
use crate::rest::{Action, Route};

/// The statuses that every request may get.
const ALWAYS: [u16; 6] = [400, 401, 414, 429, 500, 503];
/// The further statuses of requests with a body.
const WITH_BODY: [u16; 9] = [403, 408, 409, 410, 413, 415, 422, 501, 507];

/// All answers of a route.
pub fn all(route: &Route) -> Value {
    let record = json!({ "$ref": format!("#/components/schemas/{}", route.resource.wrapper) });
    let tag = header(
        "The version of the record.",
        &json!({ "type": "string", "pattern": pattern::TAG }),
    );
    let replayed = replayed();
    let mut responses = Map::new();
    match route.action {
        Action::List => {
            responses.insert("200".to_owned(), listed(&record));
        }
        Action::Read => {
            let found = answer("The record.", &record, [("ETag", &tag)]);
            responses.insert("200".to_owned(), found);
            let note = "The record is the one in If-None-Match.";
            let mut unchanged = json!({ "description": note, "headers": on_every_answer() });
            unchanged["headers"]["ETag"] = tag;
            responses.insert("304".to_owned(), unchanged);
        }
        Action::Create => {
            let path = route.resource.path;
            let schema = json!({ "type": "string", "pattern": format!("^{path}/[1-9][0-9]*$") });
            let location = header("The URL of the new record.", &schema);
            let headers = [
                ("ETag", &tag),
                ("Location", &location),
                ("Idempotency-Replayed", &replayed),
            ];
            responses.insert(
                "201".to_owned(),
                answer("The new record.", &record, headers),
            );
        }
        Action::Update => {
            let headers = [("ETag", &tag), ("Idempotency-Replayed", &replayed)];
            let updated = answer("The record as it is now.", &record, headers);
            responses.insert("200".to_owned(), updated);
        }
    }
    let of_action: &[u16] = match route.action {
        Action::List | Action::Create => &[],
        Action::Read | Action::Update => &[404, 412],
    };
    let writes = matches!(route.action, Action::Create | Action::Update);
    let of_bodies: &[u16] = if writes { &WITH_BODY } else { &[] };
    let mut statuses = [&ALWAYS[..], of_action, of_bodies].concat();
    statuses.sort_unstable();
    for status in statuses {
        responses.insert(status.to_string(), failure(status, writes));
    }
    Value::Object(responses)
}

/// The headers that several answers have in common.
pub fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "Finds the request in the log of the server.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" },
        },
        "Retry-After": {
            "description": "After how many seconds to try again.",
            "required": true,
            "schema": { "type": "integer", "minimum": 0 },
        },
    })
}

/// The body of an error.
pub fn problem() -> Value {
    json!({
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["title", "detail", "status", "type", "request_id"],
        "properties": {
            "title": { "type": "string" },
            "detail": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "type": { "type": "string", "const": "about:blank" },
            "request_id": { "type": "string" },
            "errors": {
                "type": "array",
                "description": "All that is wrong with the body.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": { "type": "string", "format": "json-pointer" },
                        "detail": { "type": "string" },
                    },
                },
            },
            "current_version": { "type": "integer", "format": "int32", "minimum": 1 },
            "differs": {
                "type": "array",
                "description": "The members that were sent and that the record has otherwise.",
                "items": { "type": "string" },
            },
        },
    })
}

fn listed(record: &Value) -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let counts = json!({
        "type": "object",
        "description": "With mode=count.",
        "required": ["record_count", "page_count"],
        "properties": { "record_count": count, "page_count": count },
    });
    let rows = json!({ "type": "array", "items": record });
    let total = header("How many records there are on all pages.", &count);
    let mut links = header("The other pages (RFC 8288).", &json!({ "type": "string" }));
    // The answer to `mode=count` is numbers, which have no pages.
    links["required"] = json!(false);
    answer(
        "The records on this page; an empty list past the last one.",
        &json!({ "oneOf": [rows, counts] }),
        [("X-Total-Count", &total), ("Link", &links)],
    )
}

/// An answer that is no error.
fn answer<'a>(
    description: &str,
    schema: &Value,
    own: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> Value {
    let mut headers = on_every_answer();
    for (name, header) in own {
        headers[name] = header.clone();
    }
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/json": { "schema": schema } },
    })
}

/// A header that is always there.
fn header(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "required": true, "schema": schema })
}

/// A header of answers that were given before.
fn replayed() -> Value {
    json!({
        "description":
            "This is the first answer to the request with this Idempotency-Key, given again.",
        "schema": { "type": "string", "const": "true" },
    })
}

fn on_every_answer() -> Value {
    json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } })
}

fn failure(status: u16, writes: bool) -> Value {
    let description = match status {
        400 => {
            "The request cannot be understood: malformed JSON, or a parameter or a header at \
             fault; or the answer would be too large."
        }
        401 => "No token, or one that is not valid.",
        403 => "The token may only read.",
        404 => "There is no such record.",
        408 => "The body took too long to arrive.",
        409 => {
            "The first request with this Idempotency-Key is still under way; try again after \
             Retry-After."
        }
        410 => {
            "The request with this Idempotency-Key was executed before; its answer was erased, along \
             with a client that it told of."
        }
        412 => {
            "The record is not one that If-Match names, or it is one that If-None-Match names; \
             'current_version' and 'differs' say how it is now."
        }
        413 => "The body is too large.",
        414 => "The URL is too long.",
        415 => "The body is not JSON, or is compressed.",
        422 => {
            "Some fields are not valid; 'errors' names them all. Or the Idempotency-Key belongs to \
             another request."
        }
        429 => "The request asks for more than the operator allows.",
        501 => "The body is sent in a transfer coding that is not known.",
        503 => "The database does not answer; try again after Retry-After.",
        507 => "The disk of the database is full; reading goes on.",
        _ => "Something went wrong on the side of the server; its log has the cause.",
    };
    let mut headers = on_every_answer();
    match status {
        401 => {
            headers["WWW-Authenticate"] = header("How to sign in.", &json!({ "type": "string" }));
        }
        409 | 429 | 503 | 507 => {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
        }
        415 => {
            headers["Accept-Encoding"] = json!({
                "description": "That bodies are taken as they are, if this one was compressed.",
                "schema": { "type": "string", "const": "identity" },
            });
        }
        // These answers are kept for the next request with the same key.
        404 | 412 | 422 if writes => headers["Idempotency-Replayed"] = replayed(),
        _ => {}
    }
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/problem" },
        } },
    })
}
