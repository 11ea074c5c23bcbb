//! Substring search by the engines' own indexes of runs of three characters
//! (`migration/src/m20261123_000004_index_search.rs`). The rows are those that LIKE
//! finds; the indexes only find them sooner. Texts of one or two characters have no
//! run of three: the rows are read in the order of the list until the page is full.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, Statement,
    sea_query::{Expr, Query},
};

use crate::{
    database::Database,
    error::Result,
    paging::{Listed, Selection},
    statements::Statements,
};

/// What the indexes are made of, in characters.
pub(crate) const RUN: usize = 3;
/// A page of more matches than these is found sooner by reading rows in the order of
/// the list, and skipping those that do not match.
pub const FEW_FOR_A_PAGE: u32 = 1_000;
/// More matches than these are counted sooner by reading all rows in turn.
pub const FEW_TO_COUNT: u32 = 50_000;

/// Where to read `selection`.
///
/// PostgreSQL must plan each search for its text: a rare one takes the index, a
/// common one the order of the list. From its sixth time a prepared statement might
/// have one plan for all, which at a million rows is a thousand times slower. To have
/// all statements planned each time would triple the cost of small ones.
#[must_use]
pub fn reader(database: &Database, selection: &Selection) -> Statements {
    if selection.search.is_some() {
        database.reader.planned_each_time()
    } else {
        database.reader.clone()
    }
}

/// The condition of `selection`, which on SQLite names the index of searches that
/// match at most so `few` rows: SQLite does not tell rare texts from common ones.
///
/// # Errors
/// If the database fails.
pub async fn condition<E: Listed>(
    db: &impl ConnectionTrait,
    selection: &Selection,
    few: u32,
) -> Result<Condition> {
    let condition = selection.condition.clone();
    let engine = db.get_database_backend();
    let text = match &selection.search {
        Some(text) if engine == DbBackend::Sqlite && text.chars().count() >= RUN => text,
        _ => return Ok(condition),
    };
    let index = format!("{}_search", E::default().table_name());
    // A phrase of FTS5: the runs of the text, one after the other.
    let phrase = format!("\"{}\"", text.replace('"', "\"\""));

    let sql = format!(
        r#"SELECT COUNT(*) AS "count" FROM (SELECT 1 FROM "{index}" WHERE "{index}" MATCH ? LIMIT ?)"#
    );
    let most = i64::from(few) + 1;
    let statement =
        Statement::from_sql_and_values(engine, sql, [phrase.clone().into(), most.into()]);
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a count".to_owned()))?;
    if row.try_get::<i64>("", "count")? == most {
        return Ok(condition);
    }
    let matches = Query::select()
        .column("rowid")
        .and_where(Expr::cust_with_values(
            format!(r#""{index}" MATCH ?"#),
            [phrase],
        ))
        .from(index)
        .take();
    Ok(condition.add(E::ID.in_subquery(matches)))
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
