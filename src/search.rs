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
    sea_query::{BinOper, Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};

use crate::{
    database::Database,
    paging::{Direction, Listed, OrderField, Selection},
};
use sample::{Outlook, Sample};

/// What the indexes are made of, in characters.
pub(crate) const RUN: usize = 3;
/// The runs inside a word of so many characters tell it from most others.
const LONG_WORD: usize = 5;
/// So many long words of a text are looked at.
const MOST_WORDS: usize = 8;
/// A row somewhere in the table costs what reading so many in turn does.
const ROWS_IN_TURN: usize = 20;

/// What a text is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show rows.
    Page {
        /// What they are sorted by.
        field: OrderField,
        /// In which direction they are read.
        direction: Direction,
        /// The most of them.
        limit: u64,
    },
    /// To count all.
    Total,
}

impl Purpose {
    /// Whether it is better to look for all rows with a text first, wherever they are, than
    /// to read rows in order until there are enough with it.
    fn looks_first(self, text: &Outlook, is_indexed: bool) -> bool {
        let Self::Page {
            field,
            direction,
            limit,
        } = self
        else {
            // An index leads to each page of the table once. Without one, all is read.
            return is_indexed && text.rows <= text.all / 8;
        };
        let cost_to_look = if is_indexed {
            text.rows.saturating_mul(ROWS_IN_TURN)
        } else {
            text.all
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let spread = (text.all / text.rows.max(1)).saturating_mul(limit);
        let in_order = spread.min(text.all);
        // Rows are stored in the order in which they were created.
        let cost_in_order = match (field, direction) {
            (OrderField::Id | OrderField::CreatedAt, Direction::Asc) => {
                in_order.max(text.before_first)
            }
            (OrderField::Id | OrderField::CreatedAt, Direction::Desc) => {
                in_order.max(text.behind_last)
            }
            _ => in_order.saturating_mul(ROWS_IN_TURN),
        };
        cost_to_look <= cost_in_order
    }

    /// Whether rows are read in an order of which the sample knows.
    fn is_foreseen(self) -> bool {
        matches!(
            self,
            Self::Page {
                field: OrderField::Id,
                ..
            }
        )
    }
}

/// What must hold for the rows of `selection`, and whether all values of it are best found
/// in one way.
pub async fn condition<E: Listed>(
    database: &Database,
    selection: &Selection,
    purpose: Purpose,
) -> (Condition, bool) {
    let Selection {
        condition,
        search,
        has_one_plan,
    } = selection.clone();
    let Some(text) = search else {
        return (condition, has_one_plan);
    };
    let engine = database.reader.get_database_backend();
    let is_alone = condition.is_empty();
    let contains = contains::<E>(engine, &text);
    let condition = condition.add(contains.clone());
    if has_one_plan && !is_alone {
        // The other filters leave few rows to look into.
        return (condition, has_one_plan);
    }
    let has_runs = has_runs(engine, &text);
    let sample = match E::sample(&database.samples) {
        Some(latest) => latest.sample::<E>(database).await,
        None => None,
    };
    let Some(sample) = sample else {
        let condition = match engine {
            // PostgreSQL judges as well as it can.
            DbBackend::Postgres => condition.add(is_like::<E>(&Expr::val(pattern(&text)))),
            _ if has_runs => condition.add(is_in_index::<E>(&text)),
            _ => condition,
        };
        return (condition, false);
    };
    let is_indexed = sample.has_index && has_runs;
    // Other filters may leave fewer rows than the whole table has.
    let may_look_first = is_indexed || is_alone;
    if !may_look_first || !purpose.looks_first(&sample.look_for(&text), is_indexed) {
        return (condition, has_one_plan && purpose.is_foreseen());
    }
    let condition = match engine {
        // In the order of the table, which is faster than that of the list.
        _ if !is_indexed => condition.add(is_among::<E>(engine, contains)),
        DbBackend::Postgres => {
            let found = is_like_some::<E>(&text, &sample);
            match purpose {
                Purpose::Total => condition.add(found),
                Purpose::Page { .. } => condition.add(is_among::<E>(engine, contains.add(found))),
            }
        }
        _ => condition.add(is_in_index::<E>(&text)),
    };
    // Nobody should wait while the whole table is read for somebody else.
    (condition, has_one_plan && is_indexed)
}

/// Whether the engine's index has runs of the text. PostgreSQL's has only letters and
/// digits, two spaces before each word, and one after it.
fn has_runs(engine: DbBackend, text: &str) -> bool {
    if engine != DbBackend::Postgres {
        return text.chars().count() >= RUN;
    }
    let mut words = text.split(is_no_letter).enumerate().peekable();
    while let Some((number, word)) = words.next() {
        let before = if number > 0 { 2 } else { 0 };
        let after = usize::from(words.peek().is_some());
        if !word.is_empty() && before + word.chars().count() + after >= RUN {
            return true;
        }
    }
    false
}

fn is_no_letter(character: char) -> bool {
    !character.is_alphanumeric()
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
    let contains = any(E::SEARCHED.iter().map(|key| place(key).ne(no.clone())));
    Condition::all().add(contains)
}

/// The condition for PostgreSQL's index: that a key has the rarest long word of the text,
/// or, if none is rare, the text itself.
///
/// The index also knows the first and the last letters of words, together with the space
/// around them. Very many keys have these, and each takes time to pass by, but a word that
/// may stand anywhere does without them.
///
/// The pattern is a value that PostgreSQL does not know when it plans, so it has one plan
/// for all.
fn is_like_some<E: Listed>(text: &str, sample: &Sample) -> Condition {
    let is_long = |word: &&str| word.chars().count() >= LONG_WORD;
    let words = text.split(is_no_letter).filter(is_long).take(MOST_WORDS);
    let seen = words.map(|word| (sample.look_for(word), word));
    let rarest = seen.min_by_key(|(seen, _)| seen.rows);
    let rare = rarest.filter(|(seen, _)| seen.rows <= seen.all.isqrt());
    let part = rare.map_or(text, |(_, word)| word);
    let pattern = Expr::val(pattern(part)).cast_as("text");
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

/// The condition that a row is among those for which this holds: they are found by a
/// statement inside the statement, before any other row is read.
fn is_among<E: Listed>(engine: DbBackend, condition: Condition) -> Expr {
    let id = E::ID.into_expr();
    let found = Query::select()
        .expr(id.clone())
        .from(E::default().table_ref())
        .cond_where(condition)
        .take();
    if engine == DbBackend::Postgres {
        let found = Expr::SubQuery(None, Box::new(found.into()));
        id.eq(PgFunc::any(Func::cust("ARRAY").arg(found)))
    } else {
        id.in_subquery(found)
    }
}

/// The condition that SQLite's index has the row under the text.
fn is_in_index<E: Listed>(text: &str) -> Expr {
    let index = format!("{}_search", E::default().table_name());
    // A phrase of FTS5: the runs of the text, one after the other.
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let is_match = Expr::cust_with_values(format!(r#""{index}" MATCH ?"#), [phrase]);
    let found = Query::select()
        .column("rowid")
        .from(index)
        .and_where(is_match)
        .take();
    E::ID.in_subquery(found)
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
