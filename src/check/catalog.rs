//! Compares what the engine has beside the rows (tables, columns, constraints, indexes,
//! triggers, functions, sequences) with what the migrations make.
//!
//! The expected objects are in a file for each engine, one object a line. A test migrates
//! an empty database and compares; it can also write the files anew.

use std::collections::HashSet;

use entity::{client, client_location};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    IdenStatic, Iterable,
};

use super::{Violation, select};

/// Selects a line for each object, except those that the engine keeps for itself.
const SQLITE: &str = "
    SELECT type || ' ' || name || ' on ' || tbl_name
        || CASE WHEN type = 'trigger' OR sql LIKE 'CREATE VIRTUAL%' THEN ': ' || sql ELSE '' END
        AS line
    FROM sqlite_schema WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'
    UNION ALL
    SELECT 'column ' || t.name || '.' || c.name || ': ' || c.type
        || CASE WHEN c.\"notnull\" THEN ' not null' ELSE '' END
        || CASE c.hidden WHEN 2 THEN ' virtual' WHEN 3 THEN ' stored' ELSE '' END
    FROM sqlite_schema t, pragma_table_xinfo(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!'
        AND t.sql NOT LIKE 'CREATE VIRTUAL%'
    UNION ALL
    SELECT 'key of ' || t.name || ': ' || k.\"from\" || ' -> ' || k.\"table\" || '.' || k.\"to\"
    FROM sqlite_schema t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table'
    UNION ALL
    SELECT CASE WHEN i.\"unique\" THEN 'unique' ELSE 'ordered' END || ' in ' || t.name || ': '
        || (SELECT group_concat(x.name, ', ') FROM pragma_index_info(i.name) x)
    FROM sqlite_schema t, pragma_index_list(t.name) i
    WHERE t.type = 'table' AND NOT i.partial";

const POSTGRES: &str = "
    SELECT 'table ' || relname AS line FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column ' || relname || '.' || attname || ': ' || format_type(atttypid, atttypmod)
        || CASE WHEN attcollation = 'pg_catalog.\"C\"'::regcollation THEN ' by bytes' ELSE '' END
        || CASE WHEN attnotnull THEN ' not null' ELSE '' END
        || CASE attgenerated WHEN 's' THEN ' stored' ELSE '' END
        || CASE attidentity WHEN 'a' THEN ' always numbered' WHEN 'd' THEN ' numbered' ELSE '' END
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint ' || conname || ' on ' || conrelid::regclass || ': '
        || pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT 'index ' || relname || ' on ' || indrelid::regclass || ': '
        || substring(pg_get_indexdef(indexrelid) FROM 'USING .*')
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = current_schema()::regnamespace AND indisvalid AND indisready
    UNION ALL
    SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass || ': '
        || pg_get_triggerdef(pg_trigger.oid, true)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
        AND tgenabled IN ('O', 'A')
    UNION ALL
    SELECT 'function ' || proname || ': ' || md5(prosrc)
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
    UNION ALL
    SELECT 'sequence ' || relname || ': increment ' || seqincrement || ', cache ' || seqcache
        || CASE WHEN seqcycle THEN ', cycle' ELSE '' END
    FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND deptype = 'e')
    UNION ALL
    SELECT 'enforced on ' || tgrelid::regclass || ': ' || conname || ' by ' || tgfoid::regproc
    FROM pg_trigger JOIN pg_constraint ON pg_constraint.oid = tgconstraint
    WHERE connamespace = current_schema()::regnamespace AND tgisinternal
        AND tgenabled IN ('O', 'A')";

/// What an engine should have: what stands in its file, and the columns of text that stand
/// in none.
#[must_use]
pub fn expected(engine: DbBackend) -> Vec<String> {
    let file = match engine {
        DbBackend::Postgres => include_str!("catalog/postgres.txt"),
        _ => include_str!("catalog/sqlite.txt"),
    };
    let mut lines: Vec<_> = file.lines().map(str::to_owned).collect();
    let named: HashSet<_> = file.lines().map(name).collect();
    let texts = texts(engine).into_iter();
    lines.extend(texts.filter(|line| !named.contains(name(line))));
    lines.sort_unstable();
    lines
}

/// Which object a line is about.
fn name(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(name, _)| name)
}

/// The columns of text of clients and locations, as they follow from the entities if there
/// is nothing special about them: those need no line in a file.
#[must_use]
pub fn texts(engine: DbBackend) -> Vec<String> {
    let mut lines = texts_of::<client::Entity>(engine);
    lines.extend(texts_of::<client_location::Entity>(engine));
    lines
}

fn texts_of<E: EntityTrait>(engine: DbBackend) -> Vec<String> {
    let text = match engine {
        DbBackend::Postgres => "text",
        _ => "TEXT",
    };
    let line = |column: E::Column| {
        let definition = column.def();
        let is_text = matches!(
            definition.get_column_type(),
            ColumnType::String(_) | ColumnType::Text
        );
        let null = if definition.is_null() {
            ""
        } else {
            " not null"
        };
        let (table, column) = (E::default().table_name(), column.as_str());
        is_text.then(|| format!("column {table}.{column}: {text}{null}"))
    };
    E::Column::iter().filter_map(line).collect()
}

/// The objects that the database has, sorted. Line breaks become spaces.
///
/// # Errors
/// If the database fails.
pub async fn actual(db: &DatabaseTransaction) -> Result<Vec<String>, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => POSTGRES,
        _ => SQLITE,
    };
    let rows = select(db, sql).await?.into_iter();
    let lines = rows.map(|row| {
        let line: String = row.try_get("", "line")?;
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    let mut lines: Vec<_> = lines.collect::<Result<_, DbErr>>()?;
    lines.sort_unstable();
    Ok(lines)
}

/// Finds objects that are missing or differ. Additional objects do no harm.
pub(super) async fn check(db: &DatabaseTransaction) -> Result<(String, Vec<Violation>), DbErr> {
    let expected = expected(db.get_database_backend());
    let actual: HashSet<_> = actual(db).await?.into_iter().collect();
    let missing = expected.iter().filter(|line| !actual.contains(*line));
    let violations = missing.map(|line| {
        // The name is enough: a trigger's text is long.
        let name = line
            .split_once(": CREATE")
            .map_or(&**line, |(name, _)| name);
        Violation::single(format!("missing, changed or not in force: {name}"))
    });
    let extent = format!("{} objects", expected.len());
    Ok((extent, violations.collect()))
}
