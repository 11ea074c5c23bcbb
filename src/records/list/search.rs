//! Substring search by the engines' own indexes of runs of characters: FTS5 on SQLite
//! (`migration/src/m20261123_000004_index_search.rs`), text search vectors on PostgreSQL
//! (`migration/src/m20261126_000008_index_runs.rs`).
//!
//! An index finds a rare text at once, but a common one is found sooner by reading rows in
//! the order of the list, until the page is full. Neither engine can tell which is which,
//! so a [sample] of the keys does, and each of the two ways is a statement of its own,
//! which the engine can only run in that way. What is found is the same.

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
use sample::Outlook;

/// What SQLite's index is made of, in characters.
pub(crate) const RUN: usize = 3;
/// The same of PostgreSQL's, which has shorter runs only at the end of a key.
const LONG_RUN: usize = 5;
/// A row somewhere in the table costs what reading so many in turn does.
const ROWS_IN_TURN: usize = 10;

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

/// What must hold for the rows of `filter`, and whether all values of it are best found
/// in one way.
pub async fn condition<E: Listed>(
    store: &Store,
    filter: &Filter,
    purpose: Purpose,
) -> (Condition, bool) {
    let Filter {
        condition,
        search,
        has_one_plan,
        polled_by: _,
    } = filter.clone();
    let Some(text) = search else {
        return (condition, has_one_plan);
    };
    let engine = store.reader.get_database_backend();
    let is_alone = condition.is_empty();
    if has_one_plan && !is_alone {
        // The other filters leave few rows to look into.
        return (condition.add(contains::<E>(engine, &text)), has_one_plan);
    }
    let is_indexed = match engine {
        // Texts of any length begin a run.
        DbBackend::Postgres => !text.is_empty(),
        _ => text.chars().count() >= RUN,
    };
    let sample = match E::sample(&store.lists.samples) {
        Some(latest) => latest.sample::<E>(store).await,
        None => None,
    };
    let has_sample = sample.is_some();
    let looks_first = match sample {
        // Other filters may leave fewer rows than the whole table has.
        Some(sample) if is_indexed || is_alone => {
            purpose.looks_first(&sample.look_for(&text), is_indexed)
        }
        Some(_) => false,
        None => is_indexed,
    };
    let contains = contains::<E>(engine, &text);
    if !looks_first {
        let has_one_plan = has_one_plan && purpose.is_foreseen();
        return (condition.add(contains), has_one_plan);
    }
    // FTS5 takes a few characters for each other, and has no keys to compare.
    let is_compared = is_indexed && engine != DbBackend::Postgres;
    let condition = condition.add_option(is_compared.then(|| contains.clone()));
    let found = match engine {
        // In the order of the table, which is faster than that of the list.
        _ if !is_indexed => list::<E>().cond_where(contains).take(),
        DbBackend::Postgres => in_text_search::<E>(&text).cond_where(contains).take(),
        _ => in_fts5::<E>(&text),
    };
    let condition = condition.add(is_among::<E>(engine, found));
    // Nobody should wait while very many rows are read for somebody else.
    (condition, has_one_plan && is_indexed && has_sample)
}

/// The condition that a key contains the text, in a form for which no index is used. With
/// it alone PostgreSQL expects all rows to have the text, and so reads them in order.
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

/// The condition that a row is among those that a statement inside the statement finds,
/// before any other row is read.
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

/// The ids that SQLite's index has under the text, each run of it behind the one before.
fn in_fts5<E: Listed>(text: &str) -> SelectStatement {
    let index = format!("{}_search", E::default().table_name());
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));
    let is_match = Expr::cust_with_values(format!(r#""{index}" MATCH ?"#), [phrase]);
    Query::select()
        .column("rowid")
        .from(index)
        .and_where(is_match)
        .take()
}

/// The ids that PostgreSQL's index has under the runs of the text, which may be in other
/// places there. Its table goes by the name of the list, and has the same keys.
fn in_text_search<E: Listed>(text: &str) -> SelectStatement {
    let list = E::default().table_name().to_owned();
    let keys = E::SEARCHED.iter().map(|key| key.into_expr());
    let runs = Expr::from(Func::cust("search_runs").args(keys));
    // A value that PostgreSQL does not know when it plans, so it has one plan for all.
    let query = Expr::val(runs_of(text)).cast_as("text").cast_as("tsquery");
    let query = Query::select().expr(query).take();
    let query = Expr::SubQuery(None, Box::new(query.into()));
    Query::select()
        .expr(E::ID.into_expr())
        .from_as(format!("{list}_search"), list)
        .and_where(runs.binary(PgBinOper::Matches, query))
        .take()
}

/// The text search query for keys with all runs of the text. One after the other is
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
