//! Lists and single records, written as JSON text straight from the columns in which their rows stand.
//!
//! async-graphql makes a future of every field of every row, which costs more than all
//! else that a list takes. So the selection of a list is read once, only the columns
//! that it names are asked for, what belongs to the rows is read along with them, and
//! every row becomes text at once.
//!
//! A plan knows the fields that are columns, the one record that each record refers to,
//! and the locations of clients. Whoever selects more gets the answer from the
//! resolvers; so does whoever runs into an error, which they report in its place. Both
//! answer the same: `tests/it/graphql/plan.rs`.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use async_graphql::{
    Context, ContextSelectionSet, OutputType, Positioned, SelectionField, ServerResult,
    Value as ConstValue, connection::CursorType, parser::types::Field, registry::Registry,
};
use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use sea_orm::{
    ConnectionTrait, DbErr, IdenStatic, QueryResult,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    RequestData,
    columns::{CLIENT, Column, Ids, LOCATION, Record},
    connection::{Paging, Selected},
    cursor::Cursor,
    raw::raw,
};
use crate::{
    database::Database,
    error::{Error, Result},
    locations,
    paging::{self, Listed, Order, OrderField, PAGE, PageRequest, Position, Reading, Selection},
    validation::Checks,
};

/// Every row begins with its id.
const ID: usize = 0;
/// In a root list, what it is sorted by comes next, unless that is the id.
const SORT_KEY: usize = 1;
/// In a list of locations below clients, their client comes next.
const CLIENT_ID: usize = 1;
/// The fields of a connection that are lists.
const NODES: &str = "nodes";
const EDGES: &str = "edges";
/// About how long the text of a row is, in bytes.
const ROW_LENGTH: usize = 512;

/// How the rows of a list are read and written.
pub struct ListPlan {
    order: Order,
    ids: Ids,
    rows: Rows,
    /// What is written, by the response keys of the fields.
    lists: Vec<(String, List)>,
    /// Whether the length of the whole list is selected, too.
    with_total: bool,
}

/// What is read.
struct Rows {
    record: &'static Record,
    columns: Vec<Column>,
    /// Whether the one record that each row refers to is read along with it.
    with_one: bool,
    /// Pages of locations that are read for all rows.
    locations: Vec<Locations>,
}

/// The same page of locations for each row.
struct Locations {
    request: PageRequest,
    rows: Rows,
}

/// A list of rows.
enum List {
    Nodes(Object),
    Edges(Members<EdgePart>),
}

/// The members of an object: the name of each as it is written, and its value.
type Members<Part> = Vec<(Vec<u8>, Part)>;
type Object = Members<Part>;

enum Part {
    TypeName(&'static str),
    /// The column at this index of the row.
    Column(usize, Column),
    /// The one record that the row refers to.
    One(Object),
    /// A page of the row's locations: which of those that are read.
    Locations(usize, Members<ConnectionPart>),
}

enum EdgePart {
    TypeName(&'static str),
    Cursor,
    Node(Object),
}

enum ConnectionPart {
    TypeName(&'static str),
    List(List),
    PageInfo(Members<PageInfoPart>),
}

enum PageInfoPart {
    TypeName(&'static str),
    HasPrevious,
    HasNext,
    Start,
    End,
}

/// How a single record is read and written.
pub struct RecordPlan {
    rows: Rows,
    object: Object,
}

/// A value that a plan has written, or that its resolvers must make.
pub enum Planned<T> {
    /// As it is answered.
    Written(ConstValue),
    /// To be resolved.
    Resolve(T),
}

impl<T: OutputType> OutputType for Planned<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<ConstValue> {
        match self {
            Self::Written(value) => Ok(value.clone()),
            Self::Resolve(value) => value.resolve(context, field).await,
        }
    }
}

/// The lists of a page as they are answered, and what its other fields need.
pub struct WrittenPage {
    /// The text of each list, by the response key of its field.
    pub lists: HashMap<String, ConstValue>,
    /// The cursor of the first row.
    pub start: Option<Cursor>,
    /// The cursor of the last row.
    pub end: Option<Cursor>,
    /// Whether rows come before the first one.
    pub has_previous: bool,
    /// Whether rows come after the last one.
    pub has_next: bool,
    /// How many rows the whole list has, if that was read along with them.
    pub total: Option<i64>,
}

impl ListPlan {
    /// A plan for the connection field that is being resolved, over the rows of `E`;
    /// none if the resolvers must answer.
    #[must_use]
    pub fn compile<E: Listed>(context: &Context<'_>, order: Order) -> Option<Self> {
        let record: &'static Record = if E::default().table_name() == CLIENT.table {
            &CLIENT
        } else {
            &LOCATION
        };
        let mut rows = Rows::of(record)?;
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
        let is_stored = RequestData::of(context).ok()?.is_stored;
        Some(Self {
            order,
            ids: if is_stored { Ids::Number } else { Ids::Text },
            rows,
            lists,
            with_total,
        })
    }

    /// Reads and writes a page of the rows of `selection`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run<E: Listed>(
        &self,
        database: &Database,
        selection: &Selection,
        request: &PageRequest,
    ) -> Result<WrittenPage> {
        let reading = Reading {
            total: self.with_total,
            ..self.rows.reading()
        };
        let page = paging::page::<E>(database, selection, request, reading).await?;
        let locations = self
            .rows
            .read_locations(&database.reader, &page.rows)
            .await?;
        let mut lists = HashMap::with_capacity(self.lists.len());
        for (key, list) in &self.lists {
            let mut writer = Writer::new(self.ids, &locations, page.rows.len());
            writer.order = self.order;
            writer.list(list, &page.rows)?;
            lists.insert(key.clone(), raw(writer.out));
        }
        let cursor = |row| cursor(self.order, row);
        Ok(WrittenPage {
            lists,
            start: page.rows.first().map(cursor).transpose()?,
            end: page.rows.last().map(cursor).transpose()?,
            has_previous: page.has_previous,
            has_next: page.has_next,
            total: page.total,
        })
    }
}

impl RecordPlan {
    /// A plan for the field that is being resolved, which is a record; none if the
    /// resolvers must answer. The REST layer looks into its single records.
    #[must_use]
    pub fn compile(context: &Context<'_>, record: &'static Record) -> Option<Self> {
        if RequestData::of(context).ok()?.is_stored {
            return None;
        }
        let mut rows = Rows::of(record)?;
        let object = rows.row(&context.field())?;
        Some(Self { rows, object })
    }

    /// Reads and writes the record with this id, if there is one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run(&self, db: &impl ConnectionTrait, id: i64) -> Result<Option<ConstValue>> {
        let table = self.rows.record.table;
        let mut statement = Query::select();
        statement.from(table);
        statement.and_where(Expr::col((table, "id")).eq(id));
        self.rows.join(&mut statement, table);
        let Some(row) = db.query_one(&statement).await? else {
            return Ok(None);
        };
        let locations = self
            .rows
            .read_locations(db, std::slice::from_ref(&row))
            .await?;
        let mut writer = Writer::new(Ids::Text, &locations, 1);
        writer.object(&self.object, &row)?;
        Ok(Some(raw(writer.out)))
    }
}

/// What a plan has written; none if it failed, for the resolvers to report the error in
/// its place.
///
/// # Errors
/// If the database is away or too busy: the resolvers would only wait once more.
pub fn unless_failed<T>(written: Result<T>) -> Result<Option<T>> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(error @ Error::Unavailable(..)) => Err(error),
        Err(error) => {
            tracing::debug!(?error, "a plan failed: the resolvers answer");
            Ok(None)
        }
    }
}

/// The record that each record of this kind refers to, by the field that shows it.
fn one_of(record: &Record, field: &str) -> Option<&'static Record> {
    match (record.type_name, field) {
        ("Client", "primaryLocation") => Some(&LOCATION),
        ("ClientLocation", "client") => Some(&CLIENT),
        _ => None,
    }
}

/// The name under which a field is answered.
#[must_use]
pub fn response_key<'a>(field: &SelectionField<'a>) -> &'a str {
    field.alias().unwrap_or(field.name())
}

/// A member's name as it is written. Names need no escapes.
fn member_name(field: &SelectionField<'_>) -> Vec<u8> {
    format!("\"{}\":", response_key(field)).into_bytes()
}

impl Rows {
    fn of(record: &'static Record) -> Option<Self> {
        Some(Self {
            record,
            columns: vec![record.column("id")?],
            with_one: false,
            locations: Vec::new(),
        })
    }

    /// What is selected of a list: none if it must be left to the resolvers.
    fn list(&mut self, field: &SelectionField<'_>) -> Option<List> {
        if field.name() == NODES {
            self.row(field).map(List::Nodes)
        } else {
            self.edges(field).map(List::Edges)
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

    /// What is selected of each row.
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

    /// What is selected of a record of which only columns are read.
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
        let selected = Selected::by(field, false);
        let mut checks = Checks::new("");
        let request = paging.request(Order::default(), &selected, &mut checks);
        // Faults are for the resolver to report, and what stands before the page takes
        // a statement of its own.
        checks.finish().ok()?;
        if request.after.is_some() && request.look_behind {
            return None;
        }
        // Fields that ask for the same page share it.
        let is_same = |other: &Locations| {
            other.request.limit == request.limit && other.request.after == request.after
        };
        let index = self.locations.iter().position(is_same);
        let index = index.unwrap_or(self.locations.len());
        if index == self.locations.len() {
            let mut rows = Self::of(&LOCATION)?;
            rows.columns.push(LOCATION.column("clientId")?);
            self.locations.push(Locations { request, rows });
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

    /// What to read of the rows of a page.
    fn reading(&self) -> Reading {
        let own = |column: &&Column| column.table == self.record.table;
        if !self.with_one {
            let columns = self.columns.iter().map(|column| column.of(column.table));
            return Reading {
                columns: Some(columns.collect()),
                ..Reading::default()
            };
        }
        // Each once, for there they are known by their names; also what the join needs.
        let reference = LOCATION.column("clientId");
        let unique: IndexSet<_> = self.columns.iter().chain(&reference).filter(own).collect();
        let unique = unique.into_iter().map(|column| column.of(column.table));
        let mut around = Query::select();
        self.join(&mut around, PAGE);
        Reading {
            columns: Some(unique.collect()),
            around: Some(around),
            ..Reading::default()
        }
    }

    /// Makes a statement over the records, which it knows as `rows`, read all columns.
    fn join(&self, statement: &mut SelectStatement, rows: &'static str) {
        for column in &self.columns {
            let is_own = column.table == self.record.table;
            statement.expr(column.of(if is_own { rows } else { column.table }));
        }
        if self.with_one {
            // Both are there, always: the database makes sure of it.
            let (table, reference, id) = if self.record.table == CLIENT.table {
                (LOCATION.table, "primary_of", "id")
            } else {
                (CLIENT.table, "id", "client_id")
            };
            let condition = Expr::col((table, reference)).eq(Expr::col((rows, id)));
            statement.inner_join(table, condition);
        }
    }

    /// Reads the pages of locations of all these rows, one statement each.
    async fn read_locations(
        &self,
        db: &impl ConnectionTrait,
        rows: &[QueryResult],
    ) -> Result<Vec<LocationPages>> {
        if self.locations.is_empty() || rows.is_empty() {
            return Ok(Vec::new());
        }
        let client_ids = rows.iter().map(id_of).collect::<Result<Vec<_>, _>>()?;
        let mut pages = Vec::with_capacity(self.locations.len());
        for Locations { request, rows } in &self.locations {
            let after = request.after.as_ref().map(|position| position.id);
            let columns = rows.columns.iter().map(|column| column.name);
            // One more than asked for tells whether there are more.
            let limit = request.limit + 1;
            let found = locations::first_of_each(db, &client_ids, after, limit, columns).await?;
            pages.push(LocationPages::new(found, request.limit)?);
        }
        Ok(pages)
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

/// Locations of several clients, those of one client together.
struct LocationPages {
    rows: Vec<QueryResult>,
    of_client: HashMap<i64, Range<usize>>,
    limit: usize,
}

impl LocationPages {
    fn new(rows: Vec<QueryResult>, limit: u64) -> Result<Self, DbErr> {
        let mut of_client: HashMap<i64, Range<usize>> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let client_id = row.try_get_by_index(CLIENT_ID)?;
            of_client.entry(client_id).or_insert(index..index).end = index + 1;
        }
        Ok(Self {
            rows,
            of_client,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    /// The page of one client, and whether there is more.
    fn of(&self, client_id: i64) -> (&[QueryResult], bool) {
        let range = self.of_client.get(&client_id).cloned();
        let rows = range.and_then(|range| self.rows.get(range));
        let rows = rows.unwrap_or_default();
        match rows.get(..self.limit) {
            Some(page) => (page, rows.len() > self.limit),
            None => (rows, false),
        }
    }
}

fn id_of(row: &QueryResult) -> Result<i64, DbErr> {
    row.try_get_by_index(ID)
}

/// The cursor of a row of a list in this order.
fn cursor(order: Order, row: &QueryResult) -> Result<Cursor, DbErr> {
    let key = match order.field {
        OrderField::Id => None,
        OrderField::Name => Some(row.try_get_by_index::<String>(SORT_KEY)?.into()),
        OrderField::CreatedAt | OrderField::UpdatedAt => {
            Some(row.try_get_by_index::<DateTime<Utc>>(SORT_KEY)?.into())
        }
    };
    let id = id_of(row)?;
    Ok(Cursor::Row(order, Position { key, id }))
}

/// Appends rows as JSON text.
struct Writer<'a> {
    order: Order,
    ids: Ids,
    locations: &'a [LocationPages],
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(ids: Ids, locations: &'a [LocationPages], rows: usize) -> Self {
        Self {
            order: Order::default(),
            ids,
            locations,
            out: Vec::with_capacity(rows * ROW_LENGTH),
        }
    }

    fn list(&mut self, list: &List, rows: &[QueryResult]) -> Result<(), DbErr> {
        self.out.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            match list {
                List::Nodes(object) => self.object(object, row)?,
                List::Edges(members) => self.members(members, |writer, part| {
                    match part {
                        EdgePart::TypeName(name) => writer.text(name),
                        EdgePart::Cursor => writer.cursor(Some(row))?,
                        EdgePart::Node(object) => writer.object(object, row)?,
                    }
                    Ok(())
                })?,
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, object: &Object, row: &QueryResult) -> Result<(), DbErr> {
        self.members(object, |writer, part| match part {
            Part::TypeName(name) => {
                writer.text(name);
                Ok(())
            }
            Part::Column(index, column) => column.write(row, *index, writer.ids, &mut writer.out),
            Part::One(object) => writer.object(object, row),
            Part::Locations(index, members) => {
                let pages = writer.locations.get(*index);
                let client_id = id_of(row)?;
                let (rows, has_next) = pages.map_or((&[][..], false), |pages| pages.of(client_id));
                writer.connection(members, rows, has_next)
            }
        })
    }

    fn connection(
        &mut self,
        members: &Members<ConnectionPart>,
        rows: &[QueryResult],
        has_next: bool,
    ) -> Result<(), DbErr> {
        // Its cursors are those of its own order.
        let order = std::mem::take(&mut self.order);
        let written = self.members(members, |writer, part| match part {
            ConnectionPart::TypeName(name) => {
                writer.text(name);
                Ok(())
            }
            ConnectionPart::List(list) => writer.list(list, rows),
            ConnectionPart::PageInfo(members) => writer.members(members, |writer, part| {
                match part {
                    PageInfoPart::TypeName(name) => writer.text(name),
                    PageInfoPart::HasPrevious => writer.flag(false),
                    PageInfoPart::HasNext => writer.flag(has_next),
                    PageInfoPart::Start => writer.cursor(rows.first())?,
                    PageInfoPart::End => writer.cursor(rows.last())?,
                }
                Ok(())
            }),
        });
        self.order = order;
        written
    }

    fn members<Part>(
        &mut self,
        members: &Members<Part>,
        mut write: impl FnMut(&mut Self, &Part) -> Result<(), DbErr>,
    ) -> Result<(), DbErr> {
        self.out.push(b'{');
        for (index, (name, part)) in members.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(name);
            write(self, part)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn cursor(&mut self, row: Option<&QueryResult>) -> Result<(), DbErr> {
        match row {
            Some(row) => self.text(&cursor(self.order, row)?.encode_cursor()),
            None => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    /// A text that needs no escapes.
    fn text(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    fn flag(&mut self, flag: bool) {
        let text: &[u8] = if flag { b"true" } else { b"false" };
        self.out.extend_from_slice(text);
    }
}
