//! Lists and single records, written as JSON text straight from the columns in which their rows stand.
//!
//! async-graphql makes a future of every field of every row, which costs more than all
//! else that a list takes. So the selection of a list is read once, only the columns
//! that it names are asked for, what belongs to the rows is read along with them, and
//! every row becomes text at once.
//!
//! A projection knows the fields that are columns, the one record that each record refers to,
//! and the locations of clients. Whoever selects more gets the answer from the
//! resolvers; so does whoever runs into an error, which they report in its place. Both
//! answer the same: `tests/it/graphql/projection.rs`.

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

/// Every row begins with its id.
const ID: usize = 0;
/// In a root list, what it is sorted by comes next, unless that is the id.
const SORT_KEY: usize = 1;
/// In a list of locations below clients, their client comes next.
const CLIENT_ID: usize = 1;
/// The fields of a connection that are lists.
const NODES: &str = "nodes";
const EDGES: &str = "edges";

/// How the rows of a list are read and written.
pub struct ListProjection {
    /// What its cursors have in common.
    place: Place,
    ids: Ids,
    rows: Rows,
    /// What is written, by the response keys of the fields.
    lists: Vec<(String, ProjectedList)>,
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
enum ProjectedList {
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
    rows: Rows,
    object: Object,
    /// The text of its statement, once it was needed.
    statement: OnceLock<String>,
}

/// The projections of the root fields of an operation, by their response keys. They are kept,
/// unless what is selected depends on the values of variables.
pub struct Projections(Option<Mutex<HashMap<String, Arc<RecordProjection>>>>);

impl Projections {
    /// For an operation in which the same is selected of its root fields whatever the
    /// values of its variables are, if it `is_fixed`.
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

/// A value that a projection has written, or that its resolvers must make.
pub enum Projected<T> {
    /// As it is answered.
    Written(ConstValue),
    /// To be resolved.
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
    /// Up to which instant it shows the rows of a list that is polled, if it had to end.
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
        filter: &Filter,
        request: &PageRequest,
    ) -> Result<WrittenPage> {
        let columns = Columns {
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
            let mut writer = Writer::new(self.ids, &locations, page.rows.len());
            writer.place = place;
            writer.list(list, &page.rows)?;
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
    pub async fn run(&self, db: &Statements, id: i64) -> Result<Option<ConstValue>> {
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
        let mut writer = Writer::new(Ids::Text, &locations, 1);
        writer.object(&self.object, row)?;
        Ok(Some(raw(writer.out)))
    }
}

/// What a projection has written; none if it failed, for the resolvers to report the error in
/// its place.
///
/// # Errors
/// If the database is away or too busy: the resolvers would only wait once more.
pub fn unless_failed<T>(written: Result<T>) -> Result<Option<T>> {
    match written {
        Ok(written) => Ok(Some(written)),
        Err(error @ Error::Unavailable(..)) => Err(error),
        Err(error) => {
            tracing::warn!(
                cause = error.cause(),
                "a projection failed: the resolvers answer"
            );
            Ok(None)
        }
    }
}

/// The name under which a field is answered.
#[must_use]
pub fn response_key<'a>(field: &SelectionField<'a>) -> &'a str {
    field.alias().unwrap_or(field.name())
}

impl Rows {
    /// What to read of the rows of a page.
    fn read_columns(&self) -> Columns {
        let own = |column: &&Column| column.table == self.record.table;
        if !self.with_one {
            let columns = self.columns.iter().map(|column| column.of(column.table));
            return Columns {
                columns: Some(columns.collect()),
                ..Columns::default()
            };
        }
        // Each once, for there they are known by their names; also what the join needs.
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

    /// Makes a statement over the records, which it knows as `rows`, read all columns.
    fn join(&self, statement: &mut SelectStatement, rows: &'static str) {
        for column in &self.columns {
            let is_own = column.table == self.record.table;
            statement.expr(column.of(if is_own { rows } else { column.table }));
        }
        if self.with_one {
            // Both are there, always: the database makes sure of it.
            let (table, reference, id) = if self.record.table == CLIENT.table {
                (LOCATION.table, PRIMARY_OF, "id")
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
            let columns = rows.columns.iter().map(|column| column.name);
            let page = PageOfEach::of(request);
            let found =
                first_of_each::<client_location::Entity>(db, &client_ids, page, columns).await?;
            pages.push(LocationPages::new(found, request.limit)?);
        }
        Ok(pages)
    }
}
