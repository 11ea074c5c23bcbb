//! What a PostgreSQL server must be: PostgreSQL itself, reached without a pooler that gives one
//! session to several clients. The log, its locks and the settings of sessions stand on both.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sea_orm::sqlx::{
    self, Connection, Executor, Row,
    postgres::{PgConnectOptions, PgConnection},
    raw_sql,
};
use tokio::time::timeout;

/// The oldest version, as `server_version_num` has it.
const OLDEST: i32 = 140_000;
/// How long the second connection may take.
const OTHER_TIMEOUT: Duration = Duration::from_secs(1);

// Sent as they are: a pooler may know nothing of prepared statements.
const VERSION: &str = "SELECT version(), current_setting('server_version_num')::int";
const SESSION: &str = "SELECT pg_backend_pid()";
/// An advisory lock that nobody else takes: its key spells "probe".
const LOCK: &str = "SELECT pg_advisory_xact_lock_shared(482956239461)";
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted \
    AND pid = pg_backend_pid() AND (classid::bigint << 32 | objid::bigint) = 482956239461";

/// Checks the server behind `connection`; `options` open another connection to it.
///
/// # Errors
/// If the server will not do. The message is for the operator.
pub async fn check(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<()> {
    let answer = connection.fetch_one(raw_sql(VERSION)).await;
    let answer = answer.context("the server does not say what it is")?;
    let (version, number): (String, i32) = (answer.try_get(0)?, answer.try_get(1)?);
    if let Some(name) = other_engine(&version) {
        bail!(
            "the server is {name}, which only speaks PostgreSQL's protocol: it lacks what the log \
             of changes and its locks need. Use PostgreSQL 14 or later"
        );
    }
    ensure!(
        number >= OLDEST,
        "the server is PostgreSQL {}: 14 or later is needed",
        number / 10_000
    );
    check_locks(connection).await?;
    check_sessions(connection, options).await
}

/// The name of an engine that is not PostgreSQL, by what it says of its version.
fn other_engine(version: &str) -> Option<&'static str> {
    let version = version.to_ascii_lowercase();
    let known = [
        ("cockroach", "CockroachDB"),
        ("-yb-", "YugabyteDB"),
        ("redshift", "Amazon Redshift"),
        ("greenplum", "Greenplum"),
        ("materialize", "Materialize"),
        ("risingwave", "RisingWave"),
        ("questdb", "QuestDB"),
        ("cratedb", "CrateDB"),
        ("spanner", "Spanner"),
    ];
    let found = known.iter().find(|(mark, _)| version.contains(mark));
    let found = found.map(|(_, name)| *name);
    found.or_else(|| (!version.starts_with("postgresql ")).then_some("another engine"))
}

/// Readers of the log look for the advisory locks of writers in `pg_locks`.
async fn check_locks(connection: &mut PgConnection) -> Result<()> {
    let mut transaction = connection.begin().await?;
    let locked = transaction.execute(raw_sql(LOCK)).await;
    locked.context("the server has no advisory locks")?;
    let seen: i64 = transaction.fetch_one(raw_sql(LOCKS)).await?.try_get(0)?;
    transaction.rollback().await?;
    ensure!(
        seen == 1,
        "the server does not show advisory locks in pg_locks, where readers of the log look for \
         them. Use PostgreSQL 14 or later"
    );
    Ok(())
}

/// A pooler that shares sessions between transactions gives this connection another session
/// when its own is taken.
async fn check_sessions(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<()> {
    let before: i32 = connection.fetch_one(raw_sql(SESSION)).await?.try_get(0)?;
    let take = async {
        let mut other = PgConnection::connect_with(options).await?;
        other.execute(raw_sql("BEGIN; SELECT 1")).await?;
        Ok::<_, sqlx::Error>(other)
    };
    // A server that has no connection to spare is not asked.
    let Ok(Ok(mut other)) = timeout(OTHER_TIMEOUT, take).await else {
        return Ok(());
    };
    let after: i32 = connection.fetch_one(raw_sql(SESSION)).await?.try_get(0)?;
    other.execute(raw_sql("ROLLBACK")).await?;
    other.close().await?;
    ensure!(
        before == after,
        "the database is behind a pooler that shares sessions between transactions. Connect to \
         the server itself, or to a pool that keeps a session for each client (pgbouncer: \
         pool_mode = session)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::other_engine;

    #[test]
    fn only_postgresql_itself_will_do() {
        for version in [
            "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc",
            "PostgreSQL 17.2 on aarch64-unknown-linux-gnu, compiled by clang version 18.1.8, 64-bit",
        ] {
            assert_eq!(other_engine(version), None, "{version}");
        }
        for (version, name) in [
            (
                "CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)",
                "CockroachDB",
            ),
            (
                "PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu",
                "YugabyteDB",
            ),
            (
                "PostgreSQL 8.0.2 on i686-pc-linux-gnu, Redshift 1.0.5",
                "Amazon Redshift",
            ),
            ("PostgreSQL 9.4.26 (Greenplum Database 6.26.1)", "Greenplum"),
            ("Something 3", "another engine"),
        ] {
            assert_eq!(other_engine(version), Some(name), "{version}");
        }
    }
}
