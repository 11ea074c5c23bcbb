//! Checks that the search indexes hold the keys of the rows (`records/list/search.rs`).
//!
//! PostgreSQL keeps its index right, but over copies of the keys, so the copies are
//! compared with the rows. SQLite's index keeps no copies, so it is compared entry by
//! entry.

use indicatif::ProgressBar;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{
    Violation,
    query::StatementCheck,
    rows::{Batches, show_length},
    select,
};
use crate::records::list::search::RUN;

/// Prime moduli of the checksum: different entries give different sums, within 64 bits.
const TERMS: i64 = 1_000_003;
const PLACES: i64 = 999_983;
const ENTRIES: i64 = 2_147_483_647;

/// A search index.
#[derive(Clone, Copy)]
pub struct Index {
    /// The table with the index.
    pub name: &'static str,
    /// The table that is searched.
    table: &'static str,
    /// The columns of the keys.
    keys: &'static [&'static str],
}

/// All search indexes.
pub const INDEXES: [Index; 2] = [
    Index {
        name: "client_search",
        table: "client",
        keys: &["name_key", "account_code_key"],
    },
    Index {
        name: "client_location_search",
        table: "client_location",
        keys: &["name_key"],
    },
];

/// The number of entries of an index, and a checksum that does not depend on their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Digest {
    entries: i64,
    sum: i64,
}

impl Index {
    pub async fn check(
        &self,
        db: &DatabaseTransaction,
        progress: &ProgressBar,
    ) -> Result<(String, Vec<Violation>), DbErr> {
        let stored = self.stored(db).await?;
        let expected = self.expected(db, progress).await?;
        let (name, table, keys) = (self.name, self.table, self.keys.join(", "));
        let violation = (stored != expected).then(|| {
            Violation::single(format!(
                "does not hold what the keys of {table} say: {} entries, and should have {}. To make \
                 it anew: INSERT INTO {name} ({name}) VALUES ('delete-all'); \
                 INSERT INTO {name} (rowid, {keys}) SELECT id, {keys} FROM {table}",
                stored.entries, expected.entries
            ))
        });
        let extent = format!("{} entries", stored.entries);
        Ok((extent, violation.into_iter().collect()))
    }

    /// On PostgreSQL: finds the rows whose keys differ from their copies.
    pub fn of_postgres(&self) -> StatementCheck {
        let (name, table, keys) = (self.name, self.table, self.keys.join(", "));
        let of = |row: &str| {
            let keys = self.keys.iter().map(|key| format!("{row}.{key}"));
            keys.collect::<Vec<_>>().join(", ")
        };
        StatementCheck {
            name,
            what: format!(
                "does not hold the keys of {table}. To copy them anew, while no gateway runs: \
                 DELETE FROM {name}; INSERT INTO {name} (id, {keys}) SELECT id, {keys} FROM {table}"
            )
            .into(),
            unit: "id",
            sql: format!(
                "SELECT COALESCE(list.id, copy.id) AS id
                 FROM {table} AS list FULL JOIN {name} AS copy ON copy.id = list.id
                 WHERE list.id IS NULL OR copy.id IS NULL
                     OR ({}) IS DISTINCT FROM ({})",
                of("list"),
                of("copy")
            )
            .into(),
        }
    }

    /// The digest of the index. FTS5 cannot compare an index without copies of the keys. A
    /// table of the type fts5vocab shows its entries, and is gone with the connection.
    async fn stored(&self, db: &DatabaseTransaction) -> Result<Digest, DbErr> {
        let name = self.name;
        let terms = format!(
            "CREATE VIRTUAL TABLE temp.{name}_terms USING fts5vocab(main, {name}, instance)"
        );
        db.execute_unprepared(&terms).await?;
        // Columns are told apart by the lengths of their names.
        let sql = format!(
            "SELECT COUNT(*), COALESCE(SUM(
                 ((unicode(term) * 31 + unicode(substr(term, 2))) * 31 + unicode(substr(term, 3)))
                     % {TERMS} * ((doc % {PLACES} * 1009 + length(col) * 31 + offset) % {PLACES} + 1)
                     % {ENTRIES}
             ), 0) FROM temp.{name}_terms"
        );
        let mut digest = Digest::default();
        for row in select(db, &sql).await? {
            digest.entries = row.try_get_by_index(0)?;
            digest.sum = row.try_get_by_index(1)?;
        }
        Ok(digest)
    }

    /// The digest that the index should have.
    async fn expected(
        &self,
        db: &DatabaseTransaction,
        progress: &ProgressBar,
    ) -> Result<Digest, DbErr> {
        let mut digest = Digest::default();
        let keys = self.keys.iter().map(|key| format!("CAST({key} AS blob)"));
        let columns = keys.collect::<Vec<_>>().join(", ");
        show_length(db, self.table, progress).await?;
        let mut batches = Batches::new(self.table, &columns);
        while let Some(rows) = batches.next(db).await? {
            for (id, row) in &rows {
                for (index, key) in self.keys.iter().enumerate() {
                    let text: Option<Vec<u8>> = row.try_get_by_index(index + 1)?;
                    let text = text.unwrap_or_default();
                    digest.add(*id, key, &String::from_utf8_lossy(&text));
                }
            }
            progress.inc(rows.len() as u64);
        }
        Ok(digest)
    }
}

/// SQLite reads the noncharacters U+FFFE and U+FFFF as the replacement character when it
/// reads single characters, so in its index, too.
fn as_indexed(character: char) -> char {
    match character {
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        character => character,
    }
}

impl Digest {
    /// Adds the entries of one key: each run of characters, with its place.
    fn add(&mut self, id: i64, column: &str, text: &str) {
        let characters: Vec<_> = text
            .chars()
            .map(|character| i64::from(u32::from(as_indexed(character))))
            .collect();
        let length = i64::try_from(column.len()).unwrap_or_default();
        for (offset, run) in (0..).zip(characters.windows(RUN)) {
            let term = run.iter().fold(0, |term, character| term * 31 + character);
            let place = (id % PLACES * 1009 + length * 31 + offset) % PLACES + 1;
            self.entries += 1;
            self.sum += term % TERMS * place % ENTRIES;
        }
    }
}
