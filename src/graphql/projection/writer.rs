//! Writes the rows of a [projection](super) as JSON text.

use std::{collections::HashMap, ops::Range};

use async_graphql::connection::CursorType;
use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult};

use super::columns::Ids;
use super::{
    CLIENT_ID, ConnectionPart, EdgePart, ID, Members, Object, PageInfoPart, Part, ProjectedList,
    SORT_KEY,
};
use crate::{
    error::Result,
    graphql::answer_size::{AnswerSize, SHORT},
    graphql::schema::cursor::{Cursor, ListKind, Place},
    records::list::{OrderField, Position},
};

/// About how long the text of a row with all its fields is, in bytes.
const ROW_LENGTH: usize = 1_024;

/// Locations of several clients, those of one client together.
pub struct LocationPages {
    rows: Vec<QueryResult>,
    of_client: HashMap<i64, Range<usize>>,
    limit: usize,
}

impl LocationPages {
    pub fn new(rows: Vec<QueryResult>, limit: u64) -> Result<Self, DbErr> {
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

pub fn id_of(row: &QueryResult) -> Result<i64, DbErr> {
    row.try_get_by_index(ID)
}

/// The cursor of a row of a page.
pub fn cursor(place: Place, row: &QueryResult) -> Result<Cursor, DbErr> {
    let key = match place.order.field {
        OrderField::Id => None,
        OrderField::Name => Some(row.try_get_by_index::<String>(SORT_KEY)?.into()),
        OrderField::CreatedAt | OrderField::UpdatedAt => {
            Some(row.try_get_by_index::<DateTime<Utc>>(SORT_KEY)?.into())
        }
    };
    let id = id_of(row)?;
    Ok(Cursor::Row(place, Position { key, id }))
}

/// Appends rows as JSON text.
pub struct Writer<'a> {
    pub place: Place,
    ids: Ids,
    locations: &'a [LocationPages],
    size: &'a AnswerSize,
    /// How much of `out` is counted.
    counted: usize,
    pub out: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(
        ids: Ids,
        locations: &'a [LocationPages],
        size: &'a AnswerSize,
        rows: usize,
    ) -> Self {
        Self {
            place: Place::default(),
            ids,
            locations,
            size,
            counted: 0,
            out: Vec::with_capacity(rows * ROW_LENGTH),
        }
    }

    /// A root list. Each row counts for the size of the answer, and between rows others go on.
    pub async fn root_list(&mut self, list: &ProjectedList, rows: &[QueryResult]) -> Result<()> {
        let mut at_pause = 0;
        self.out.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.item(list, row)?;
            if self.out.len() - at_pause >= SHORT {
                at_pause = self.out.len();
                self.size.pause().await;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn list(&mut self, list: &ProjectedList, rows: &[QueryResult]) -> Result<()> {
        self.out.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.item(list, row)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// An item of a list. What was written since the last one counts for the size of the answer.
    fn item(&mut self, list: &ProjectedList, row: &QueryResult) -> Result<()> {
        match list {
            ProjectedList::Nodes(object) => self.object(object, row),
            ProjectedList::Edges(members) => self.members(members, |writer, part| {
                match part {
                    EdgePart::TypeName(name) => writer.text(name),
                    EdgePart::Cursor => writer.cursor(Some(row))?,
                    EdgePart::Node(object) => writer.object(object, row)?,
                }
                Ok(())
            }),
        }?;
        self.count()
    }

    /// Counts what was written since it was last counted.
    pub fn count(&mut self) -> Result<()> {
        let written = self.out.len();
        let uncounted = written - std::mem::replace(&mut self.counted, written);
        self.size.add(uncounted)
    }

    pub fn object(&mut self, object: &Object, row: &QueryResult) -> Result<()> {
        self.members(object, |writer, part| match part {
            Part::TypeName(name) => {
                writer.text(name);
                Ok(())
            }
            Part::Column(index, column) => {
                column.write(row, *index, writer.ids, &mut writer.out)?;
                Ok(())
            }
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
    ) -> Result<()> {
        let own = Place {
            list: Some(ListKind::OfClient),
            ..Place::default()
        };
        let place = std::mem::replace(&mut self.place, own);
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
        self.place = place;
        written
    }

    fn members<Part>(
        &mut self,
        members: &Members<Part>,
        mut write: impl FnMut(&mut Self, &Part) -> Result<()>,
    ) -> Result<()> {
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

    fn cursor(&mut self, row: Option<&QueryResult>) -> Result<()> {
        match row {
            Some(row) => self.text(&cursor(self.place, row)?.encode_cursor()),
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
