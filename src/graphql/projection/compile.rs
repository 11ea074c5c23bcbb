//! Compiles the selection of a field into a [projection](super): what it reads and what it
//! writes.

use std::sync::{Arc, OnceLock};

use async_graphql::{Context, SelectionField, Value as ConstValue};
use sea_orm::IdenStatic;

use super::columns::{CLIENT, LOCATION, Record};
use super::{
    ConnectionPart, EDGES, EdgePart, ListProjection, LocationReader, Members, NODES, Object,
    PageInfoPart, Part, ProjectedList, RecordProjection, RowReader, response_key,
};
use crate::{
    graphql::schema::{
        RequestData,
        cursor::{ListKind, Place},
        paging::{LookAhead, Paging},
    },
    records::{
        list::{Listed, Order},
        validation::Checks,
    },
};

impl ListProjection {
    /// Compiles a projection for the connection field that is being resolved, over the rows of
    /// `E`. None if the resolvers must answer.
    #[must_use]
    pub fn compile<E: Listed>(context: &Context<'_>, kind: ListKind, order: Order) -> Option<Self> {
        let record: &'static Record = if E::default().table_name() == CLIENT.table {
            &CLIENT
        } else {
            &LOCATION
        };
        let mut rows = RowReader::of(record)?;
        if let Some(column) = E::sort_column(order.field) {
            rows.columns.push(record.column_named(column.as_str())?);
        }
        let mut lists = Vec::new();
        let mut with_total = false;
        for field in context.field().selection_set() {
            with_total |= field.name() == "totalCount";
            if matches!(field.name(), NODES | EDGES) {
                lists.push((response_key(&field).to_owned(), rows.list(&field)?));
            }
        }
        let ids = RequestData::of(context).ok()?.shape.ids;
        Some(Self {
            place: Place {
                list: Some(kind),
                order,
                until: None,
            },
            ids,
            rows,
            lists,
            with_total,
        })
    }
}

impl RecordProjection {
    /// The projection of the record field that is being resolved. None if the resolvers must
    /// answer.
    #[must_use]
    pub fn of(context: &Context<'_>, record: &'static Record) -> Option<Arc<Self>> {
        let request = RequestData::of(context).ok()?;
        if request.shape.records_as_values {
            return None;
        }
        let compile = || Self::compile(&context.field(), record);
        let key = context.item.node.response_key();
        request.executed.projections.record(&key.node, compile)
    }

    fn compile(field: &SelectionField<'_>, record: &'static Record) -> Option<Self> {
        let mut rows = RowReader::of(record)?;
        let object = rows.row(field)?;
        Some(Self {
            rows,
            object,
            statement: OnceLock::new(),
        })
    }
}

impl RowReader {
    fn of(record: &'static Record) -> Option<Self> {
        Some(Self {
            record,
            columns: vec![record.column("id")?],
            with_one: false,
            locations: Vec::new(),
        })
    }

    /// The selection of a list. None if the resolvers must answer.
    fn list(&mut self, field: &SelectionField<'_>) -> Option<ProjectedList> {
        if field.name() == NODES {
            self.row(field).map(ProjectedList::Nodes)
        } else {
            self.edges(field).map(ProjectedList::Edges)
        }
    }

    fn edges(&mut self, field: &SelectionField<'_>) -> Option<Members<EdgePart>> {
        let type_name = match self.record.type_name {
            "Client" => "ClientEdge",
            _ => "ClientLocationEdge",
        };
        let member = |field: SelectionField<'_>| {
            let part = match field.name() {
                "__typename" => EdgePart::TypeName(type_name),
                "cursor" => EdgePart::Cursor,
                "node" => EdgePart::Node(self.row(&field)?),
                _ => return None,
            };
            Some((member_name(&field), part))
        };
        field.selection_set().map(member).collect()
    }

    /// The selection of each row.
    fn row(&mut self, field: &SelectionField<'_>) -> Option<Object> {
        let member = |field: SelectionField<'_>| {
            let part = if let Some(one) = one_of(self.record, field.name()) {
                self.with_one = true;
                Part::One(self.object(&field, one)?)
            } else if field.name() == "locations" {
                self.locations(&field)?
            } else {
                self.column(&field, self.record)?
            };
            Some((member_name(&field), part))
        };
        field.selection_set().map(member).collect()
    }

    /// The selection of a record of which only columns are read.
    fn object(&mut self, field: &SelectionField<'_>, record: &'static Record) -> Option<Object> {
        let member =
            |field: SelectionField<'_>| Some((member_name(&field), self.column(&field, record)?));
        field.selection_set().map(member).collect()
    }

    fn column(&mut self, field: &SelectionField<'_>, record: &'static Record) -> Option<Part> {
        if field.name() == "__typename" {
            return Some(Part::TypeName(record.type_name));
        }
        let column = record.column(field.name())?;
        self.columns.push(column);
        Some(Part::Column(self.columns.len() - 1, column))
    }

    fn locations(&mut self, field: &SelectionField<'_>) -> Option<Part> {
        let mut paging = Paging::default();
        for (name, value) in field.arguments().ok()? {
            match (name.as_str(), value) {
                (_, ConstValue::Null) => {}
                ("first", ConstValue::Number(number)) => {
                    paging.first = Some(i32::try_from(number.as_i64()?).ok()?);
                }
                ("after", ConstValue::String(text)) => paging.after = Some(text),
                _ => return None,
            }
        }
        let selected = LookAhead::by(field, false);
        let mut checks = Checks::new("");
        let request = paging.request(ListKind::OfClient, Order::default(), &selected, &mut checks);
        // The resolver reports the faults. It also answers pages that must know whether rows
        // come before them, as that takes a statement of its own.
        checks.finish().ok()?;
        if request.after.is_some() && request.look_behind {
            return None;
        }
        // Fields that ask for the same page share it.
        let is_same = |other: &LocationReader| {
            other.request.limit == request.limit && other.request.after == request.after
        };
        let index = self.locations.iter().position(is_same);
        let index = index.unwrap_or(self.locations.len());
        if index == self.locations.len() {
            let mut rows = Self::of(&LOCATION)?;
            rows.columns.push(LOCATION.column("clientId")?);
            self.locations.push(LocationReader { request, rows });
        }
        let rows = &mut self.locations.get_mut(index)?.rows;
        let member = |field: SelectionField<'_>| {
            let part = match field.name() {
                "__typename" => ConnectionPart::TypeName("ClientLocationConnection"),
                "pageInfo" => ConnectionPart::PageInfo(page_info(&field)?),
                NODES | EDGES => ConnectionPart::List(rows.list(&field)?),
                _ => return None,
            };
            Some((member_name(&field), part))
        };
        let members = field.selection_set().map(member).collect::<Option<_>>()?;
        if rows.with_one || !rows.locations.is_empty() {
            return None;
        }
        Some(Part::Locations(index, members))
    }
}

fn page_info(field: &SelectionField<'_>) -> Option<Members<PageInfoPart>> {
    let member = |field: SelectionField<'_>| {
        let part = match field.name() {
            "__typename" => PageInfoPart::TypeName("PageInfo"),
            "hasPreviousPage" => PageInfoPart::HasPrevious,
            "hasNextPage" => PageInfoPart::HasNext,
            "startCursor" => PageInfoPart::Start,
            "endCursor" => PageInfoPart::End,
            _ => return None,
        };
        Some((member_name(&field), part))
    };
    field.selection_set().map(member).collect()
}

/// The record behind a field that refers to exactly one other record.
fn one_of(record: &Record, field: &str) -> Option<&'static Record> {
    match (record.type_name, field) {
        ("Client", "primaryLocation") => Some(&LOCATION),
        ("ClientLocation", "client") => Some(&CLIENT),
        _ => None,
    }
}

/// A member's name as JSON text. Names of GraphQL need no escapes.
fn member_name(field: &SelectionField<'_>) -> Vec<u8> {
    format!("\"{}\":", response_key(field)).into_bytes()
}
