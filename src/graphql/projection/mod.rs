//! Projections: lists and single records, written as JSON text straight from the columns of
//! their rows.
//!
//! async-graphql makes a future of every field of every row, which costs more than everything
//! else that a list takes. A projection makes none. It is compiled from the selection of a
//! field, reads only the columns that the selection names, reads related records along with the
//! rows, and writes each row as text in one go.
//!
//! A projection knows the fields that are columns, the one record that each record refers to,
//! and the locations of clients. If a query selects more, the resolvers answer. If a projection
//! fails, the resolvers answer, too, and report the error in its place. Resolvers and
//! projections give the same answers: `tests/it/graphql/projection.rs`.

pub mod columns;
mod compile;
pub mod raw_json;
mod writer;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, SelectionField, ServerResult, Value as ConstValue,
    parser::types::Field, registry::Registry,
};
use chrono::{DateTime, Utc};
use entity::client_location;
use indexmap::IndexSet;
use sea_orm::{
    ConnectionTrait, QueryResult, Statement,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    answer_size::AnswerSize,
    projection::{
        columns::{CLIENT, Column, Ids, LOCATION, Record},
        raw_json::raw,
    },
    schema::cursor::{Cursor, Place},
};
use crate::{
    error::{Error, Result},
    records::{
        Store,
        list::{
            self, Columns, Filter, Listed, PAGE, PageRequest,
            per_client::{PageOfEach, first_of_each},
        },
        locations::PRIMARY_OF,
    },
    storage::statements::Statements,
};
use writer::{LocationPages, Writer, cursor, id_of};

/// The index of the id, with which every row begins.
const ID: usize = 0;
/// The index of the sort key in the rows of a root list, unless the id is the sort key.
const SORT_KEY: usize = 1;
/// The index of the client's id in the rows of a list of locations below clients.
const CLIENT_ID: usize = 1;
/// The fields of a connection that are lists.
const NODES: &str = "nodes";
const EDGES: &str = "edges";

/// How the rows of a list are read and written.
pub struct ListProjection {
    /// What the cursors of the list have in common.
    place: Place,
    ids: Ids,
    rows: RowReader,
    /// The selected lists, by the response keys of their fields.
    lists: Vec<(String, ProjectedList)>,
    /// Whether the length of the whole list is selected, too.
    with_total: bool,
}

/// The columns and records that a projection reads.
struct RowReader {
    record: &'static Record,
    columns: Vec<Column>,
    /// Whether the one record that each row refers to is read along with it.
    with_one: bool,
    /// Pages of locations that are read for all rows.
    locations: Vec<LocationReader>,
}

/// The same page of locations for each row.
struct LocationReader {
    request: PageRequest,
    rows: RowReader,
}

/// A selected list of rows: `nodes` or `edges`.
enum ProjectedList {
    Nodes(Object),
    Edges(Members<EdgePart>),
}

/// The members of an object: the name of each as JSON text, and its value.
type Members<Part> = Vec<(Vec<u8>, Part)>;
type Object = Members<Part>;

enum Part {
    TypeName(&'static str),
    /// The column at this index of the row.
    Column(usize, Column),
    /// The one record that the row refers to.
    One(Object),
    /// A page of the row's locations, as an index into the pages that are read.
    Locations(usize, Members<ConnectionPart>),
}

enum EdgePart {
    TypeName(&'static str),
    Cursor,
    Node(Object),
}

enum ConnectionPart {
    TypeName(&'static str),
    List(ProjectedList),
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
pub struct RecordProjection {
    rows: RowReader,
    object: Object,
    /// The text of the statement, made on first use.
    statement: OnceLock<String>,
}

/// The projections of an operation's root fields, by their response keys. They are kept, unless
/// a selection depends on the values of variables.
pub struct Projections(Option<Mutex<HashMap<String, Arc<RecordProjection>>>>);

impl Projections {
    /// Projections for an operation. They are kept if it `is_fixed`: if its root fields select
    /// the same for all values of its variables.
    #[must_use]
    pub fn new(is_fixed: bool) -> Self {
        Self(is_fixed.then(Mutex::default))
    }

    /// The projection of the field with this response key, made by `compile` if it is not known
    /// yet.
    pub fn record(
        &self,
        key: &str,
        compile: impl FnOnce() -> Option<RecordProjection>,
    ) -> Option<Arc<RecordProjection>> {
        let Self(Some(projections)) = self else {
            return compile().map(Arc::new);
        };
        let mut projections = projections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(projection) = projections.get(key) {
            return Some(Arc::clone(projection));
        }
        let projection = Arc::new(compile()?);
        projections.insert(key.to_owned(), Arc::clone(&projection));
        Some(projection)
    }
}

/// A value that a projection has written, or that the resolvers must answer.
pub enum Projected<T> {
    /// The value as it is answered.
    Written(ConstValue),
    /// The value that the resolvers start from.
    Resolve(T),
}

impl<T: OutputType> OutputType for Projected<T> {
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

/// The written lists of a page, and what the other fields of the connection need.
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
    /// The horizon of a polled list, if the page had to end at one: the instant up to which the
    /// page shows rows.
    pub horizon: Option<DateTime<Utc>>,
}

impl ListProjection {
    /// Reads and writes a page of the rows of `filter`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run<E: Listed>(
        &self,
        store: &Store,
        size: &AnswerSize,
        filter: &Filter,
        request: &PageRequest,
    ) -> Result<WrittenPage> {
        let columns = || Columns {
            total: self.with_total,
            ..self.rows.read_columns()
        };
        let page = list::page::<E>(store, filter, request, columns).await?;
        let locations = self.rows.read_locations(&store.reader, &page.rows).await?;
        let place = Place {
            until: page.until,
            ..self.place
        };
        let mut lists = HashMap::with_capacity(self.lists.len());
        for (key, list) in &self.lists {
            let mut writer = Writer::new(self.ids, &locations, size, page.rows.len());
            writer.place = place;
            writer.root_list(list, &page.rows).await?;
            lists.insert(key.clone(), raw(writer.out));
        }
        let cursor = |row| cursor(place, row);
        Ok(WrittenPage {
            lists,
            start: page.rows.first().map(cursor).transpose()?,
            end: page.rows.last().map(cursor).transpose()?,
            has_previous: page.has_previous,
            has_next: page.has_next,
            total: page.total,
            horizon: page.horizon,
        })
    }
}

impl RecordProjection {
    /// Reads and writes the record with this id, if there is one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run(
        &self,
        db: &Statements,
        size: &AnswerSize,
        id: i64,
    ) -> Result<Option<ConstValue>> {
        let engine = db.get_database_backend();
        let sql = self.statement.get_or_init(|| {
            let table = self.rows.record.table;
            let mut statement = Query::select();
            statement.from(table);
            statement.and_where(Expr::col((table, "id")).eq(id));
            self.rows.join(&mut statement, table);
            engine.build(&statement).sql
        });
        let statement = Statement::from_sql_and_values(engine, sql, [id.into()]);
        let rows = db.query_batched(statement, 1).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let locations = self.rows.read_locations(db, &rows).await?;
        let mut writer = Writer::new(Ids::Text, &locations, size, 1);
        writer.object(&self.object, row)?;
        writer.count()?;
        Ok(Some(raw(writer.out)))
    }
}

/// The value that a projection has written. None if it failed: the resolvers then report the
/// error in its place.
///
/// # Errors
/// If the database is away or too busy: the resolvers would only wait once more. If the answer
/// is too large, it would be so by the resolvers, too.
pub fn unless_failed<T>(written: Result<T>) -> Result<Option<T>> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(error @ (Error::Unavailable(..) | Error::TooLarge(_))) => Err(error),
        Err(error) => {
            tracing::warn!(
                cause = error.cause(),
                "a projection failed: the resolvers answer"
            );
            Ok(None)
        }
    }
}

/// The response key of a field: its alias, or else its name.
#[must_use]
pub fn response_key<'a>(field: &SelectionField<'a>) -> &'a str {
    field.alias().unwrap_or(field.name())
}

impl RowReader {
    /// The columns to read for the rows of a page.
    fn read_columns(&self) -> Columns {
        let own = |column: &&Column| column.table == self.record.table;
        if !self.with_one {
            let columns = self.columns.iter().map(|column| column.of(column.table));
            return Columns {
                columns: Some(columns.collect()),
                ..Columns::default()
            };
        }
        // A column of a CTE is addressed by name, so each is selected once. `client_id` is
        // added for the join.
        let reference = LOCATION.column("clientId");
        let unique: IndexSet<_> = self.columns.iter().chain(&reference).filter(own).collect();
        let unique = unique.into_iter().map(|column| column.of(column.table));
        let mut around = Query::select();
        self.join(&mut around, PAGE);
        Columns {
            columns: Some(unique.collect()),
            around: Some(around),
            ..Columns::default()
        }
    }

    /// Adds all columns to a statement over the records, whose alias in it is `rows`.
    fn join(&self, statement: &mut SelectStatement, rows: &'static str) {
        for column in &self.columns {
            let is_own = column.table == self.record.table;
            statement.expr(column.of(if is_own { rows } else { column.table }));
        }
        if self.with_one {
            // The inner join loses no row: the database guarantees that a client has a primary
            // location and a location has a client.
            let (table, reference, id) = if self.record.table == CLIENT.table {
                (LOCATION.table, PRIMARY_OF, "id")
            } else {
                (CLIENT.table, "id", "client_id")
            };
            let condition = Expr::col((table, reference)).eq(Expr::col((rows, id)));
            statement.inner_join(table, condition);
        }
    }

    /// Reads the selected pages of locations for all these rows: one statement for each entry
    /// of `locations`.
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
        for LocationReader { request, rows } in &self.locations {
            let columns = rows.columns.iter().map(|column| column.name);
            let page = PageOfEach::of(request);
            let found =
                first_of_each::<client_location::Entity>(db, &client_ids, page, columns).await?;
            pages.push(LocationPages::new(found, request.limit)?);
        }
        Ok(pages)
    }
}
