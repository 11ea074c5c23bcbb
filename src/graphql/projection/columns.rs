//! The fields of records that are columns of their tables, and how a column is written
//! as JSON. All of it follows from the entities.

use std::{collections::HashMap, sync::LazyLock};

use chrono::Utc;
use entity::{client, client_location};
use sea_orm::{
    ColumnTrait, ColumnType, DbErr, EntityTrait, Iterable, QueryResult, RuntimeErr, SqlxError,
    sea_query::Expr,
    sqlx::{ColumnIndex, Decode, Row},
};

use crate::records::instant::DateTime;

/// An object type whose fields are columns of one table.
pub struct Record {
    /// The name of the type.
    pub type_name: &'static str,
    /// The name of the table.
    pub table: &'static str,
    /// The columns by the names of their fields.
    columns: HashMap<String, Column>,
}

/// A column that is a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its table.
    pub table: &'static str,
    /// Its name in the database.
    pub name: &'static str,
    kind: ColumnKind,
}

/// How the value of a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ColumnKind {
    /// As a text in GraphQL, as a number in REST.
    Id,
    Number,
    Text,
    Flag,
    Instant,
}

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// As texts, for GraphQL.
    Text,
    /// As numbers, for REST.
    Number,
}

/// Clients.
pub static CLIENT: LazyLock<Record> = LazyLock::new(|| Record::of::<client::Entity>("Client"));
/// Client locations.
pub static LOCATION: LazyLock<Record> =
    LazyLock::new(|| Record::of::<client_location::Entity>("ClientLocation"));

impl Record {
    fn of<E: EntityTrait>(type_name: &'static str) -> Self {
        let table = E::default().table_name();
        let columns = E::Column::iter().filter_map(|column| {
            let column = Column::new(table, column)?;
            Some((camel_case(column.name), column))
        });
        Self {
            type_name,
            table,
            columns: columns.collect(),
        }
    }

    /// The column behind a field of this type.
    #[must_use]
    pub fn column(&self, field: &str) -> Option<Column> {
        self.columns.get(field).copied()
    }

    /// The column with this name in the database.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<Column> {
        self.columns
            .values()
            .find(|column| column.name == name)
            .copied()
    }
}

/// The name of a column as that of a field: `address_1` is `address1`.
#[must_use]
pub fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

impl Column {
    /// A column of an entity. None if its values are never shown.
    fn new(table: &'static str, column: impl ColumnTrait) -> Option<Self> {
        let kind = match column.def().get_column_type() {
            ColumnType::BigInteger => ColumnKind::Id,
            ColumnType::Integer => ColumnKind::Number,
            ColumnType::String(_) | ColumnType::Text => ColumnKind::Text,
            ColumnType::Boolean => ColumnKind::Flag,
            ColumnType::TimestampWithTimeZone => ColumnKind::Instant,
            _ => return None,
        };
        let name = column.as_str();
        Some(Self { table, name, kind })
    }

    /// The expression that selects the column, where the alias of its table is `table`.
    #[must_use]
    pub fn of(self, table: &'static str) -> Expr {
        Expr::col((table, self.name))
    }

    /// Writes the value that stands at `index` of `row`.
    ///
    /// # Errors
    /// If the database holds something else there.
    pub fn write(
        self,
        row: &QueryResult,
        index: usize,
        ids: Ids,
        out: &mut Vec<u8>,
    ) -> Result<(), DbErr> {
        let written = if let Some(row) = row.try_as_pg_row() {
            write(row, index, self.kind, ids, out)
        } else if let Some(row) = row.try_as_sqlite_row() {
            write(row, index, self.kind, ids, out)
        } else {
            return Err(DbErr::Custom("a row of an unknown engine".to_owned()));
        };
        written.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }
}

fn write<'r, R: Row>(
    row: &'r R,
    index: usize,
    kind: ColumnKind,
    ids: Ids,
    out: &mut Vec<u8>,
) -> Result<(), SqlxError>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database>,
    i32: Decode<'r, R::Database>,
    bool: Decode<'r, R::Database>,
    &'r str: Decode<'r, R::Database>,
    chrono::DateTime<Utc>: Decode<'r, R::Database>,
    Option<i64>: Decode<'r, R::Database>,
    Option<&'r str>: Decode<'r, R::Database>,
{
    const NULL: &[u8] = b"null";
    match kind {
        ColumnKind::Id => match (row.try_get_unchecked::<Option<i64>, _>(index)?, ids) {
            (Some(id), Ids::Text) => {
                out.push(b'"');
                write_number(id, out);
                out.push(b'"');
            }
            (Some(id), Ids::Number) => write_number(id, out),
            (None, _) => out.extend_from_slice(NULL),
        },
        ColumnKind::Number => {
            write_number(row.try_get_unchecked::<i32, _>(index)?.into(), out);
        }
        ColumnKind::Text => match row.try_get_unchecked::<Option<&str>, _>(index)? {
            Some(text) => write_text(text, out)?,
            None => out.extend_from_slice(NULL),
        },
        ColumnKind::Flag => {
            let flag = row.try_get_unchecked::<bool, _>(index)?;
            out.extend_from_slice(if flag { b"true" } else { b"false" });
        }
        ColumnKind::Instant => {
            let instant = row.try_get_unchecked::<chrono::DateTime<Utc>, _>(index)?;
            out.push(b'"');
            DateTime(instant).write(out);
            out.push(b'"');
        }
    }
    Ok(())
}

fn write_number(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), SqlxError> {
    serde_json::to_writer(out, text).map_err(|error| SqlxError::Decode(Box::new(error)))
}
