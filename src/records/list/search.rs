//! Substring search by the engines' own indexes of n-grams, here called runs of characters:
//! FTS5 on SQLite (`migration/src/m20261123_000004_index_search.rs`), text search vectors on
//! PostgreSQL (`migration/src/m20261126_000008_index_runs.rs`).
//!
//! An index finds a rare text at once, but a common text is found sooner by reading rows in
//! the order of the list until the page is full. Neither engine can tell a rare text from a
//! common one, so a [sample] of the keys does. Each of the two ways has a statement that
//! the engine can run only in this way; both find the same rows.

mod deleted;
pub mod sample;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend,
    sea_query::{
        Expr, ExprTrait, Func, Query, SelectStatement,
        extension::postgres::{PgBinOper, PgFunc},
    },
};

use super::{Direction, Filter, Listed, OrderField};
use crate::records::Store;
pub use deleted::forget_deleted;
use sample::Outlook;

/// The length of the runs in SQLite's index, in characters.
pub(crate) const RUN: usize = 3;
/// The length of the runs in PostgreSQL's index. Only those at the end of a key are shorter.
const LONG_RUN: usize = 5;
/// Reading one row somewhere in the table costs as much as reading so many rows in order.
const ROWS_IN_TURN: usize = 10;

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A page of rows.
    Page {
        /// What the rows are sorted by.
        field: OrderField,
        /// In which direction they are read.
        direction: Direction,
        /// The most rows.
        limit: u64,
    },
    /// The total.
    Total,
}

impl Purpose {
    /// Whether to find all rows with the text first, wherever they are, rather than to read
    /// rows in order until enough of them have it.
    fn looks_first(self, text: &Outlook, is_indexed: bool) -> bool {
        if self == Self::Total {
            // An index reads each page of the table at most once. Without one all rows are read.
            return is_indexed && text.rows <= text.all / 8;
        }
        let [to_look, in_order] = self.costs(text, is_indexed);
        to_look <= in_order
    }

    /// What it costs to find all rows with the text first, and to read rows in order until enough
    /// of them have it; in rows that are read in order.
    pub(super) fn costs(self, text: &Outlook, is_indexed: bool) -> [usize; 2] {
        let cost_to_look = if is_indexed {
            text.rows.saturating_mul(ROWS_IN_TURN)
        } else {
            text.all
        };
        let Self::Page {
            field,
            direction,
            limit,
        } = self
        else {
            return [cost_to_look, text.all];
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
        [cost_to_look, cost_in_order]
    }

    /// Whether rows are read by id, the order that the sample knows.
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

/// The condition for the rows of `filter`, and whether PostgreSQL may use a generic plan for
/// it: one plan is best for all values.
pub async fn condition<E: Listed>(
    store: &Store,
    filter: &Filter,
    purpose: Purpose,
) -> (Condition, bool) {
    let Filter {
        condition,
        search,
        generic_plan,
        ..
    } = filter.clone();
    let Some(text) = search else {
        return (condition, generic_plan);
    };
    let engine = store.reader.get_database_backend();
    let is_alone = condition.is_empty();
    if generic_plan && !is_alone {
        // The other conditions leave few rows to look into.
        return (condition.add(contains::<E>(engine, &text)), generic_plan);
    }
    let is_indexed = is_indexed::<E>(store, &text);
    let sample = match E::sample(&store.lists.samples) {
        Some(latest) => latest.sample::<E>(store).await,
        None => None,
    };
    let has_sample = sample.is_some();
    let looks_first = match sample {
        // Other conditions may leave fewer rows than the sample stands for.
        Some(sample) if is_indexed || is_alone => {
            purpose.looks_first(&sample.look_for(&text), is_indexed)
        }
        Some(_) => false,
        None => is_indexed,
    };
    let contains = contains::<E>(engine, &text);
    if !looks_first {
        let generic_plan = generic_plan && purpose.is_foreseen();
        return (condition.add(contains), generic_plan);
    }
    // FTS5 takes a few characters for each other, and its index has no keys to compare.
    let is_compared = is_indexed && engine != DbBackend::Postgres;
    let condition = condition.add_option(is_compared.then(|| contains.clone()));
    let found = match engine {
        // Reads rows in the order of the table, which is faster than the order of the list.
        _ if !is_indexed => list::<E>().cond_where(contains).take(),
        DbBackend::Postgres => in_text_search::<E>(&text).cond_where(contains).take(),
        _ => in_fts5::<E>(&text),
    };
    let condition = condition.add(is_among::<E>(engine, found));
    // A statement that may read very many rows is not batched: its followers would wait.
    (condition, generic_plan && is_indexed && has_sample)
}

/// Whether an index finds the text.
pub(super) fn is_indexed<E: Listed>(store: &Store, text: &str) -> bool {
    let may_be = match store.reader.get_database_backend() {
        // A text of any length may begin a run.
        DbBackend::Postgres => !text.is_empty(),
        _ => text.chars().count() >= RUN,
    };
    may_be && store.lists.is_search_indexed::<E>()
}

/// The condition that a key contains the text, in a form that no index answers. PostgreSQL
/// expects all rows to meet it, and so reads them in order.
fn contains<E: Listed>(engine: DbBackend, text: &str) -> Condition {
    let [no, yes] = ["0", "1"].map(Expr::cust);
    if engine == DbBackend::Postgres {
        let pattern = pattern(text);
        let is_like = |key: &E::Column| key.into_expr().like(pattern.as_str());
        let contains = Expr::case(any(E::SEARCHED.iter().map(is_like)), yes);
        return Condition::all().add(contains.finally(no.clone()).ne(no));
    }
    let place = |key: &E::Column| Func::cust("instr").arg(key.into_expr()).arg(text);
    let contains = any(E::SEARCHED.iter().map(|key| place(key).ne(no.clone())));
    Condition::all().add(contains)
}

fn any(conditions: impl Iterator<Item = Expr>) -> Condition {
    conditions.fold(Condition::any(), Condition::add)
}

/// The pattern of LIKE for all that contains the text, with the wildcards in it escaped.
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

/// The condition that a row is among those that the subquery `found` finds. The subquery
/// runs before any other row is read.
fn is_among<E: Listed>(engine: DbBackend, found: SelectStatement) -> Expr {
    let id = E::ID.into_expr();
    if engine == DbBackend::Postgres {
        let found = Expr::SubQuery(None, Box::new(found.into()));
        id.eq(PgFunc::any(Func::cust("ARRAY").arg(found)))
    } else {
        id.in_subquery(found)
    }
}

/// The ids of the list.
fn list<E: Listed>() -> SelectStatement {
    Query::select()
        .expr(E::ID.into_expr())
        .from(E::default().table_ref())
        .take()
}

/// The table of the index.
pub(super) fn index_of<E: Listed>() -> String {
    format!("{}_search", E::default().table_name())
}

/// The ids that SQLite's index has for the text: all its runs, one after the other.
fn in_fts5<E: Listed>(text: &str) -> SelectStatement {
    let index = index_of::<E>();
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let is_match = Expr::cust_with_values(format!(r#""{index}" MATCH ?"#), [phrase]);
    Query::select()
        .column("rowid")
        .from(index)
        .and_where(is_match)
        .take()
}

/// The ids that PostgreSQL's index has for the runs of the text, which may be anywhere in a
/// key. The table of the index has the same keys as the list, and goes by its name here.
fn in_text_search<E: Listed>(text: &str) -> SelectStatement {
    let list = E::default().table_name().to_owned();
    let keys = E::SEARCHED.iter().map(|key| key.into_expr());
    let runs = Expr::from(Func::cust("search_runs").args(keys));
    // PostgreSQL does not know the value of a subquery when it plans, so it has one plan
    // for all.
    let query = Expr::val(runs_of(text)).cast_as("text").cast_as("tsquery");
    let query = Query::select().expr(query).take();
    let query = Expr::SubQuery(None, Box::new(query.into()));
    Query::select()
        .expr(E::ID.into_expr())
        .from_as(index_of::<E>(), list)
        .and_where(runs.binary(PgBinOper::Matches, query))
        .take()
}

/// The text search query for keys that have all runs of the text. Runs that adjoin are
/// enough, and the last one.
fn runs_of(text: &str) -> String {
    let characters: Vec<_> = text.chars().collect();
    let run = |characters: &[char]| {
        let run: String = characters.iter().collect();
        format!("'{}'", run.replace('\\', r"\\").replace('\'', "''"))
    };
    let Some(last) = characters.len().checked_sub(LONG_RUN) else {
        return run(&characters) + ":*";
    };
    let runs = characters.windows(LONG_RUN).enumerate();
    let runs = runs.filter(|(place, _)| place.is_multiple_of(LONG_RUN) || *place == last);
    let runs: Vec<_> = runs.map(|(_, characters)| run(characters)).collect();
    runs.join(" & ")
}
