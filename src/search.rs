//! Substring search by the engines' own indexes of runs of three characters
//! (`migration/src/m20261123_000004_index_search.rs`).
//!
//! An index finds a rare text at once, but a common one is found sooner by reading rows in
//! the order of the list, until the page is full. Neither engine can tell which is which,
//! so a [sample] of the keys does, and each of the two ways is a statement of its own,
//! which the engine can only run in that way. What is found is the same.

pub mod sample;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, Statement,
    sea_query::{
        BinOper, Expr, ExprTrait, Func, Query, SelectStatement, extension::postgres::PgFunc,
    },
};

use crate::{
    database::Database,
    error::Result,
    paging::{Direction, Listed, OrderField, Selection},
};
use sample::Seen;

/// What the indexes are made of, in characters.
pub(crate) const RUN: usize = 3;
/// The runs inside a word of so many characters tell it from others.
const LONG_WORD: usize = 5;
/// A row somewhere in the table costs what reading so many in turn does.
const ROWS_IN_TURN: usize = 20;
/// Rows of a page, about.
const PAGE: usize = 20;

/// What a text is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show rows, read in this order.
    Page(OrderField, Direction),
    /// To count all.
    Total,
}

impl Purpose {
    /// Whether it is better to look for the rows with a text first, wherever they are, than
    /// to read rows in order until there are enough with it.
    fn is_rare(self, text: &Seen) -> bool {
        let Self::Page(field, direction) = self else {
            // All are read either way, but those that are found one page after the other.
            return text.rows <= text.all / 8;
        };
        let between = text.all / text.rows.max(1);
        let before_first = match (field, direction) {
            (OrderField::Id, Direction::Asc) => text.before_first,
            (OrderField::Id, Direction::Desc) => text.behind_last,
            _ => 0,
        };
        let in_order = between.saturating_mul(PAGE).max(before_first);
        let cost_in_order = match field {
            // Rows are stored in the order in which they were created.
            OrderField::Id | OrderField::CreatedAt => in_order,
            OrderField::Name | OrderField::UpdatedAt => in_order.saturating_mul(ROWS_IN_TURN),
        };
        text.rows.saturating_mul(ROWS_IN_TURN) <= cost_in_order
    }
}

/// What must hold for the rows of `selection`, and whether all values of it are best found
/// in one way.
///
/// # Errors
/// If the database fails.
pub async fn condition<E: Listed>(
    database: &Database,
    selection: &Selection,
    purpose: Purpose,
) -> Result<(Condition, bool)> {
    let Selection {
        condition,
        search,
        has_one_plan,
    } = selection.clone();
    let (Some(text), Some(kept)) = (search, E::sample(&database.samples)) else {
        return Ok((condition, has_one_plan));
    };
    let engine = database.reader.get_database_backend();
    let contains = contains::<E>(engine, &text);
    let is_alone = condition.is_empty();
    let condition = condition.add(contains.clone());
    let is_indexed = text.chars().count() >= RUN;
    // Other filters may leave few rows to look into: here for sure, or perhaps fewer than
    // all of the table.
    if !is_alone && (has_one_plan || !is_indexed) {
        return Ok((condition, has_one_plan));
    }
    let sample = kept.sample::<E>(database).await?;
    if !purpose.is_rare(&sample.look_for(&text)) {
        return Ok((condition, has_one_plan));
    }
    let found = match (engine, purpose) {
        (_, Purpose::Total) if !is_indexed => return Ok((condition, has_one_plan)),
        (DbBackend::Postgres, Purpose::Total) => {
            return Ok((condition.add(is_like_words::<E>(&text)), has_one_plan));
        }
        // In the order of the table, which is faster than that of the list.
        _ if !is_indexed => ids_of::<E>(contains),
        (DbBackend::Postgres, _) => ids_of::<E>(is_like_words::<E>(&text)),
        _ => ids_in_index::<E>(&text),
    };
    // By a statement inside the statement, before any row is read.
    let id = E::ID.into_expr();
    let is_found = if engine == DbBackend::Postgres {
        let found = Expr::SubQuery(None, Box::new(found.into()));
        id.eq(PgFunc::any(Func::cust("ARRAY").arg(found)))
    } else {
        id.in_subquery(found)
    };
    // To read the whole table takes so long that nobody else should wait for it.
    Ok((condition.add(is_found), has_one_plan && is_indexed))
}

/// The condition that a key contains the text, in a form for which no index is used. With
/// it alone PostgreSQL expects all rows to have the text, and so reads them in order.
fn contains<E: Listed>(engine: DbBackend, text: &str) -> Condition {
    let [no, yes] = ["0", "1"].map(Expr::cust);
    if engine == DbBackend::Postgres {
        let is_like = is_like::<E>(&Expr::val(pattern(text)));
        let contains = Expr::case(is_like, yes).finally(no.clone());
        return Condition::all().add(contains.ne(no));
    }
    let place = |key: &E::Column| Func::cust("instr").arg(key.into_expr()).arg(text);
    any(E::SEARCHED.iter().map(|key| place(key).ne(no.clone())))
}

/// The condition for PostgreSQL's index: that a key has the long words of the text, in
/// their order, or the text itself if there are none.
///
/// The index also knows the first and the last letters of words, together with the space
/// around them. Very many keys have these, and each takes time to pass by, but a word that
/// may stand anywhere does without them.
///
/// The pattern is a value that PostgreSQL does not know when it plans, so it has one plan
/// for all.
fn is_like_words<E: Listed>(text: &str) -> Condition {
    let is_long = |word: &&str| word.chars().count() >= LONG_WORD;
    let words = text.split(|character: char| !character.is_alphanumeric());
    let words: Vec<_> = words.filter(is_long).collect();
    let pattern = if words.is_empty() {
        pattern(text)
    } else {
        format!("%{}%", words.join("%"))
    };
    let pattern = Expr::val(pattern).cast_as("text");
    let pattern = Query::select().expr(pattern).take();
    is_like::<E>(&Expr::SubQuery(None, Box::new(pattern.into())))
}

fn is_like<E: Listed>(pattern: &Expr) -> Condition {
    let is_like = |key: &E::Column| key.into_expr().binary(BinOper::Like, pattern.clone());
    any(E::SEARCHED.iter().map(is_like))
}

fn any(conditions: impl Iterator<Item = Expr>) -> Condition {
    conditions.fold(Condition::any(), Condition::add)
}

/// The pattern of all that contains the text. The wildcards of LIKE stand for themselves.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The ids of the rows for which this holds.
fn ids_of<E: Listed>(condition: Condition) -> SelectStatement {
    Query::select()
        .expr(E::ID.into_expr())
        .from(E::default().table_ref())
        .cond_where(condition)
        .take()
}

/// The ids of the rows that have the text, from SQLite's index.
fn ids_in_index<E: Listed>(text: &str) -> SelectStatement {
    let index = format!("{}_search", E::default().table_name());
    // A phrase of FTS5: the runs of the text, one after the other.
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let is_match = Expr::cust_with_values(format!(r#""{index}" MATCH ?"#), [phrase]);
    Query::select()
        .column("rowid")
        .from(index)
        .and_where(is_match)
        .take()
}

/// Whether searches have their indexes.
///
/// # Errors
/// If the database fails.
pub async fn is_indexed(db: &impl ConnectionTrait) -> std::result::Result<bool, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let sql = "SELECT to_regclass('client_name_key_search_idx') IS NOT NULL AS found";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = db.query_one_raw(statement).await?;
    row.map_or(Ok(false), |row| row.try_get("", "found"))
}
