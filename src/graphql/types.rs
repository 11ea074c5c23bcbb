//! The types of the schema by their names, as its SDL declares them.

use std::{collections::HashMap, sync::LazyLock};

use async_graphql::{
    Name, Value as ConstValue,
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
        },
    },
};

use super::sdl;

/// The types of a schema.
pub struct SchemaTypes(HashMap<Name, TypeKind>);

/// The types of our own schema.
#[expect(
    clippy::expect_used,
    reason = "no input reaches this; every test runs it"
)]
pub static TYPES: LazyLock<SchemaTypes> = LazyLock::new(|| {
    let definitions = parse_schema(sdl())
        .expect("the schema can be read")
        .definitions;
    let types = definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => {
                let definition = definition.node;
                Some((definition.name.node, definition.kind))
            }
            _ => None,
        });
    SchemaTypes(types.collect())
});

impl SchemaTypes {
    /// A field of an object type.
    #[must_use]
    pub fn field(&self, parent: &str, name: &str) -> Option<&FieldDefinition> {
        let Some(TypeKind::Object(object)) = self.0.get(parent) else {
            return None;
        };
        let mut fields = object.fields.iter().map(|field| &field.node);
        fields.find(|field| field.name.node == name)
    }

    /// A field of an input object type.
    #[must_use]
    pub fn input_field(&self, parent: &str, name: &str) -> Option<&InputValueDefinition> {
        let mut fields = self.input_fields(parent)?;
        fields.find(|field| field.name.node == name)
    }

    /// The fields of an input object type.
    fn input_fields(&self, parent: &str) -> Option<impl Iterator<Item = &InputValueDefinition>> {
        match self.0.get(parent)? {
            TypeKind::InputObject(object) => Some(object.fields.iter().map(|field| &field.node)),
            _ => None,
        }
    }

    /// The names of an enum's values.
    #[must_use]
    pub fn enum_values(&self, name: &str) -> Option<impl Iterator<Item = &Name>> {
        match self.0.get(name)? {
            TypeKind::Enum(values) => {
                Some(values.values.iter().map(|value| &value.node.value.node))
            }
            _ => None,
        }
    }

    /// Whether validation has surely nothing to find in this value of a variable.
    #[must_use]
    pub fn accept(&self, kind: &Type, value: &ConstValue) -> bool {
        match (&kind.base, value) {
            (_, ConstValue::Null) => kind.nullable,
            (BaseType::List(item), ConstValue::List(values)) => {
                values.iter().all(|value| self.accept(item, value))
            }
            (BaseType::List(_), _) => false,
            (BaseType::Named(name), value) => self.accept_named(name, value),
        }
    }

    fn accept_named(&self, name: &str, value: &ConstValue) -> bool {
        match (name, value) {
            ("ID" | "String" | "DateTime" | "PostalCode", ConstValue::String(_))
            | ("Boolean", ConstValue::Boolean(_)) => true,
            ("ID", ConstValue::Number(number)) => number.is_i64(),
            ("Int", ConstValue::Number(number)) => number
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok()),
            (_, ConstValue::String(text)) => self
                .enum_values(name)
                .is_some_and(|mut names| names.any(|name| name.as_str() == text)),
            (_, ConstValue::Object(members)) => {
                let Some(fields) = self.input_fields(name) else {
                    return false;
                };
                let mut known = 0;
                let accepted = fields.into_iter().all(|field| {
                    let (kind, value) = (&field.ty.node, members.get(&field.name.node));
                    known += usize::from(value.is_some());
                    match value {
                        Some(value) => self.accept(kind, value),
                        None => kind.nullable || field.default_value.is_some(),
                    }
                });
                accepted && known == members.len()
            }
            _ => false,
        }
    }
}
