//! Turns what was sent into the variables of a stored operation. Values are coerced by their
//! declared kind before execution, and every fault is gathered under the name by which the
//! caller knows it.

mod did_you_mean;
mod values;

use std::collections::{HashMap, HashSet};

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use serde_json::{Map, Value};

use super::operation::{AnswerShape, NESTED, Parameter, ParameterKind, StoredOperation};
use crate::{
    http::{json, problem::BodyFaults},
    records::{instant::DateTime, validation::parse_id},
};

pub use did_you_mean::did_you_mean;
pub use values::{NO, YES};
use values::{coerced, is_empty};

/// Reads the value of a query parameter. White space around it is ignored, except around a
/// text: there the filter decides what it means.
///
/// # Errors
/// A phrase that says what the value must be, to complete the sentence "The parameter ...".
pub fn from_query(parameter: &Parameter, value: &str) -> Result<Value, String> {
    match &parameter.kind {
        ParameterKind::Instant => {
            let bound = if parameter.name.ends_with("_to") {
                Bound::Upper
            } else {
                Bound::Lower
            };
            instant(value, bound)
                .map(|instant| Value::String(instant.text()))
                .ok_or_else(|| {
                    "must be a date or time in UTC, such as 2026-01-31, 2026-01-31 09:15:00 or \
                     2026-01-31T09:15:00.250Z"
                        .to_owned()
                })
        }
        ParameterKind::Id => parse_id(value).map(|id| Value::String(id.to_string())),
        _ => coerced(&parameter.kind, &Value::String(value.to_owned())),
    }
}

/// Which end of a range a timestamp stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Lower,
    Upper,
}

/// Reads a timestamp in any of the documented forms. As an upper bound, a whole day or a whole
/// second means its last instant.
fn instant(text: &str, bound: Bound) -> Option<DateTime> {
    const DAY: &str = "%Y-%m-%d";
    // In a query string a plus sign that was not escaped arrives as a space.
    let text = match text.rsplit_once(' ') {
        Some((start, offset))
            if start.contains(':') && offset.starts_with(|first: char| first.is_ascii_digit()) =>
        {
            format!("{start}+{offset}")
        }
        _ => text.to_owned(),
    };
    let day = NaiveDate::parse_from_str(&text, DAY).ok();
    // The parser also takes signs and spaces, which are refused here.
    let day = day.filter(|day| day.format(DAY).to_string() == text);
    let (first, last) = if let Some(day) = day {
        let first = day.and_time(NaiveTime::MIN).and_utc();
        let last = day.and_hms_milli_opt(23, 59, 59, 999)?.and_utc();
        (first, last)
    } else {
        let in_utc = || DateTime::parse(&format!("{text}Z"));
        let instant = DateTime::parse(&text).or_else(in_utc)?;
        if text.contains(['.', ',']) {
            (instant.first_millisecond(), instant.last_millisecond())
        } else {
            (instant.0, instant.0 + TimeDelta::milliseconds(999))
        }
    };
    let instant = match bound {
        Bound::Lower => first,
        Bound::Upper => last,
    };
    DateTime::new(instant)
}

/// The contents of a body.
pub struct Body {
    /// A value for each variable that was given.
    pub variables: Map<String, Value>,
    /// The faults of the body. If there are any, required variables have stand-ins, so that the
    /// operation can look for further faults.
    pub faults: BodyFaults,
}

/// Reads a body nested under `wrapper`.
///
/// # Errors
/// A sentence, if the body is no object at all.
pub fn from_body(operation: &StoredOperation, wrapper: &str, body: Value) -> Result<Body, String> {
    let Value::Object(mut members) = body else {
        return Err(format!(
            "The body must be a JSON object with the member \"{wrapper}\"."
        ));
    };
    let mut reader = BodyReader {
        operation,
        body: Body {
            variables: Map::new(),
            faults: BodyFaults::default(),
        },
        objects: HashSet::new(),
    };
    let fields = members.remove(wrapper);
    for name in members.keys() {
        reader.unknown(&[], name, || {
            format!("is not known: the fields must be nested under \"{wrapper}\"")
        });
    }
    match fields {
        Some(Value::Object(fields)) => {
            reader.object(&[wrapper], "", fields, Some(&operation.answer));
        }
        Some(_) => reader.fault(&[], wrapper, "must be an object"),
        None => reader.fault(&[], wrapper, "is required"),
    }
    reader.missing(wrapper);
    Ok(reader.body)
}

struct BodyReader<'a> {
    operation: &'a StoredOperation,
    body: Body,
    /// The objects that were given, by the prefix of their variables.
    objects: HashSet<String>,
}

impl BodyReader<'_> {
    /// Reads the members of the object at `place`, whose variables begin with
    /// `prefix`. `shape` is our own representation of it.
    fn object(
        &mut self,
        place: &[&str],
        prefix: &str,
        members: Map<String, Value>,
        shape: Option<&AnswerShape>,
    ) {
        self.objects.insert(prefix.to_owned());
        let known = Known::within(self.operation, prefix);
        for (name, value) in members {
            let own = shape
                .and_then(AnswerShape::members)
                .and_then(|own| own.get(&name));
            match known.members.get(name.as_str()) {
                Some(Member::Field(parameter)) => self.field(place, &name, parameter, &value),
                Some(Member::Object) => {
                    if let Value::Object(members) = value {
                        let nested = format!("{prefix}{name}{NESTED}");
                        self.object(&[place, &[name.as_str()]].concat(), &nested, members, own);
                    } else {
                        self.fault(place, &name, "must be an object");
                    }
                }
                None if own.is_none() => self.unknown(place, &name, || {
                    let meant = did_you_mean(&name, &known.names);
                    format!(
                        "is not known{meant}; accepted are {}",
                        known.names.join(", ")
                    )
                }),
                // The member belongs to our own representation of the record, which may be sent
                // back.
                None => {}
            }
        }
    }

    fn field(&mut self, place: &[&str], name: &str, parameter: &Parameter, value: &Value) {
        let value = match value {
            Value::Null if parameter.nullable => Ok(Value::Null),
            Value::Null => Err("is required and cannot be null".to_owned()),
            // Forms send their empty fields, too. A boolean is never null, so an empty one
            // counts as not given.
            value if is_empty(value) && parameter.kind == ParameterKind::Boolean => return,
            // An empty value means null, except in a text, whose own rule decides whether it
            // may be empty.
            value
                if is_empty(value)
                    && !matches!(
                        parameter.kind,
                        ParameterKind::Text | ParameterKind::PostalCode
                    ) =>
            {
                if parameter.nullable {
                    Ok(Value::Null)
                } else {
                    Err("is required and cannot be empty".to_owned())
                }
            }
            value => coerced(&parameter.kind, value),
        };
        match value {
            Ok(value) => self.set(parameter, value),
            Err(detail) => {
                self.fault(place, name, detail);
                self.stand_in(parameter);
            }
        }
    }

    /// Notes the required fields that were not given. If a whole object is missing, only the
    /// object is named.
    fn missing(&mut self, wrapper: &str) {
        let operation = self.operation;
        for parameter in operation
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
        {
            if self.body.variables.contains_key(&parameter.name) {
                continue;
            }
            self.stand_in(parameter);
            let mut place = vec![wrapper];
            let mut prefix = String::new();
            for member in parameter.members() {
                if !self.objects.contains(&prefix) {
                    break;
                }
                place.push(member);
                prefix = format!("{prefix}{member}{NESTED}");
            }
            if let Some((name, place)) = place.split_last()
                && !self.body.faults.are_at(&pointer(place, name))
            {
                self.fault(place, name, "is required");
            }
        }
    }

    fn set(&mut self, parameter: &Parameter, value: Value) {
        self.body.variables.insert(parameter.name.clone(), value);
    }

    /// Adds a value that only keeps the operation valid; it is never written.
    fn stand_in(&mut self, parameter: &Parameter) {
        if !parameter.required {
            return;
        }
        let value = match parameter.kind {
            ParameterKind::Id => Value::String("0".to_owned()),
            ParameterKind::Boolean => Value::Bool(false),
            ParameterKind::Integer => Value::Number(0.into()),
            _ => Value::String(String::new()),
        };
        self.set(parameter, value);
    }

    /// Notes a fault of a field that is known.
    fn fault(&mut self, place: &[&str], name: &str, detail: impl Into<String>) {
        self.body.faults.add(pointer(place, name), detail.into());
    }

    /// Notes an unknown name. `detail` is called only if the fault will be told.
    fn unknown(&mut self, place: &[&str], name: &str, detail: impl FnOnce() -> String) {
        self.body.faults.add_unknown(|| {
            // An unknown name is not repeated in full.
            let end = name.char_indices().nth(json::MAX_ECHO);
            let name = end.map_or(name, |(end, _)| &name[..end]);
            (pointer(place, name), detail())
        });
    }
}

/// The members that an object of a body may have. A body may have very many members, so none of
/// them is looked up by a walk through all parameters.
struct Known<'a> {
    members: HashMap<&'a str, Member<'a>>,
    /// The names of the members, in the order of the document.
    names: Vec<&'a str>,
}

/// A known member of an object.
enum Member<'a> {
    /// A field with a value.
    Field(&'a Parameter),
    /// An object with fields of its own.
    Object,
}

impl<'a> Known<'a> {
    /// The known members where variables begin with `prefix`.
    fn within(operation: &'a StoredOperation, prefix: &str) -> Self {
        let mut known = Self {
            members: HashMap::new(),
            names: Vec::new(),
        };
        for parameter in &operation.parameters {
            let Some(rest) = parameter.name.strip_prefix(prefix) else {
                continue;
            };
            let (name, member) = match rest.split_once(NESTED) {
                Some((name, _)) => (name, Member::Object),
                None => (rest, Member::Field(parameter)),
            };
            if known.members.insert(name, member).is_none() {
                known.names.push(name);
            }
        }
        known
    }
}

/// A JSON pointer (RFC 6901).
fn pointer(place: &[&str], name: &str) -> String {
    let mut pointer = String::new();
    for member in place.iter().chain([&name]) {
        pointer.push('/');
        pointer.push_str(&member.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}
