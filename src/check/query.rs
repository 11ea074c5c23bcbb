//! Checks that are one statement each: rules about more than a single row.

use std::borrow::Cow;

use sea_orm::{DatabaseTransaction, DbBackend, DbErr};

use super::{SHOWN, Violation, row_rules::TABLES, select};
use crate::records::list::row_counts::BLOCK_BITS;

/// A check that is one statement.
pub struct StatementCheck {
    /// The name of the check.
    pub name: &'static str,
    /// What is wrong with the ids that the statement selects.
    pub what: Cow<'static, str>,
    /// What kind of ids they are.
    pub unit: &'static str,
    /// Selects the ids of violations, as `id`.
    pub sql: Cow<'static, str>,
}

/// SQLite enforces foreign keys only on connections that ask for it, and others may have
/// written.
pub const FOREIGN_KEYS: StatementCheck = StatementCheck {
    name: "foreign_key_check",
    what: Cow::Borrowed("rows of any table refer to rows that do not exist"),
    unit: "rows",
    sql: Cow::Borrowed("SELECT COALESCE(rowid, 0) AS id FROM pragma_foreign_key_check"),
};

/// All checks of this kind, except [`FOREIGN_KEYS`].
pub fn all(engine: DbBackend) -> Vec<StatementCheck> {
    let mut queries = vec![
        tally("client_tally", "client"),
        tally("client_location_tally", "client_location"),
        idempotency_keys(),
    ];
    queries.extend(TABLES.map(|table| sequence(engine, table)));
    queries
}

impl StatementCheck {
    pub async fn check(&self, db: &DatabaseTransaction) -> Result<Vec<Violation>, DbErr> {
        let sql = format!(
            "SELECT CAST(id AS bigint) AS id, COUNT(*) OVER () FROM ({}) AS found \
             ORDER BY 1 LIMIT {SHOWN}",
            self.sql
        );
        let (mut ids, mut count) = (Vec::new(), 0_i64);
        for row in select(db, &sql).await? {
            ids.push(row.try_get_by_index(0)?);
            count = row.try_get_by_index(1)?;
        }
        let violation = Violation {
            what: self.what.clone().into_owned(),
            count: count.unsigned_abs(),
            unit: self.unit,
            ids,
        };
        Ok((count > 0).then_some(violation).into_iter().collect())
    }
}

/// The row counts have the number of rows in each block of ids (`records/list/row_counts.rs`).
fn tally(name: &'static str, table: &str) -> StatementCheck {
    StatementCheck {
        name,
        what: format!(
            "the number of rows in a block of ids is not what the tally says. To count anew, while \
             no gateway runs: DELETE FROM {name}; INSERT INTO {name} \
             SELECT id >> {BLOCK_BITS}, COUNT(*) FROM {table} GROUP BY 1"
        )
        .into(),
        unit: "blocks",
        sql: format!(
            r#"SELECT COALESCE(rows_of.block, tally.block) AS id
               FROM (SELECT id >> {BLOCK_BITS} AS block, COUNT(*) AS n FROM {table} GROUP BY 1)
                   AS rows_of
               FULL JOIN (SELECT block, SUM("rows") AS n FROM {name} GROUP BY block) AS tally
                   ON tally.block = rows_of.block
               WHERE COALESCE(rows_of.n, 0) <> COALESCE(tally.n, 0)"#
        )
        .into(),
    }
}

/// A key is committed together with the final answer to its request (`idempotency/mod.rs`).
fn idempotency_keys() -> StatementCheck {
    StatementCheck {
        name: "idempotency_key",
        what: "a key has no final answer, or no hash of its request".into(),
        unit: "token",
        sql: "SELECT token_id AS id FROM idempotency_key
              WHERE status NOT BETWEEN 200 AND 499 OR length(fingerprint) <> 32"
            .into(),
    }
}

/// The next id is beyond all that exist, so that no id is given twice.
fn sequence(engine: DbBackend, (table, name): (&str, &'static str)) -> StatementCheck {
    let last = match engine {
        // Null before the first id was given.
        DbBackend::Postgres => format!(
            "COALESCE(pg_sequence_last_value(pg_get_serial_sequence('{table}', 'id')::regclass), 0)"
        ),
        _ => format!("COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)"),
    };
    StatementCheck {
        name,
        what: "the database would give this id, or one before it, once more: its sequence is \
               behind"
            .into(),
        unit: "id",
        sql: format!("SELECT id FROM (SELECT MAX(id) AS id FROM {table}) AS top WHERE id > {last}")
            .into(),
    }
}
