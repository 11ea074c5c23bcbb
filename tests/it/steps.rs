//! A lint for the steps of the schema: they only expand, and take a moment however large the
//! tables are. It looks at what a step does, not at its text: no table that was there is read,
//! rewritten or deprived of anything.

use migration::{Migrator, MigratorTrait};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement};

use crate::{
    cli::empty,
    support::{Engine, TestApp},
};

/// The steps of 0.1.0, which are frozen.
const RELEASED: u32 = 2;
/// Rows of a table that may be found by an index: the first and the last one, a few times.
const FEW: i64 = 16;

/// The parts of the tables that are there: a step must leave them as they are.
const PARTS: &str = "
    SELECT format('table %s: %s', oid::regclass, relfilenode) AS part FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')
    UNION ALL
    SELECT format('column %s.%s: %s', attrelid::regclass, attname, attnotnull) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND attnum > 0 AND NOT attisdropped
    ORDER BY 1";

async fn texts(db: &DatabaseTransaction, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

/// What a step does to tables that were there. The transaction must have done nothing else.
async fn harm(db: &DatabaseTransaction, step: impl AsyncFnOnce()) -> Vec<String> {
    // Tables are empty here or nearly so, and large elsewhere.
    let large = "SET LOCAL enable_seqscan = off";
    db.execute_unprepared(large).await.unwrap();
    let before = texts(db, PARTS).await;
    step().await;
    let after = texts(db, PARTS).await;
    let gone = before.iter().filter(|part| !after.contains(part));
    let mut harm: Vec<_> = gone.map(|part| format!("changes {part}")).collect();
    let read = format!(
        "SELECT relname FROM pg_stat_xact_user_tables
         WHERE seq_tup_read > 0 OR idx_tup_fetch > {FEW} OR n_tup_upd + n_tup_del > {FEW}"
    );
    let was_there = |name: &String| {
        let table = format!("table {name}: ");
        name != "seaql_migrations" && before.iter().any(|part| part.starts_with(&table))
    };
    let read = texts(db, &read).await.into_iter().filter(was_there);
    harm.extend(read.map(|name| format!("reads or writes the rows of {name}")));
    harm
}

/// A database with the schema of 0.1.0, and some clients.
async fn released() -> TestApp {
    let app = TestApp::start(Engine::Postgres).await;
    empty(&app, Engine::Postgres).await;
    let transaction = app.database.begin_migration().await.unwrap();
    Migrator::up(&transaction, Some(RELEASED)).await.unwrap();
    let clients = "WITH client AS (INSERT INTO client (name, name_key, has_invoice_reminders, \
        show_location_on_invoice, created_at, updated_at, version) \
        SELECT 'A', 'a', false, false, now(), now(), 1 FROM generate_series(1, 100) RETURNING id) \
        INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
        created_at, updated_at, version) \
        SELECT id, true, 'A', 'a', 'CO', 'US', now(), now(), 1 FROM client";
    transaction.execute_unprepared(clients).await.unwrap();
    transaction.commit().await.unwrap();
    app
}

#[tokio::test]
async fn no_step_reads_or_rewrites_a_table() {
    let app = released().await;
    let released = usize::try_from(RELEASED).unwrap();
    for step in Migrator::migrations().into_iter().skip(released) {
        let transaction = app.database.begin_migration().await.unwrap();
        let up = async || Migrator::up(&transaction, Some(1)).await.unwrap();
        let harm = harm(&transaction, up).await;
        assert_eq!(harm, [] as [String; 0], "{}", step.name());
        transaction.commit().await.unwrap();
    }
}

#[rstest]
#[case("CREATE INDEX ON client (notes)")]
#[case("ALTER TABLE client ALTER version TYPE bigint")]
#[case("ALTER TABLE client ADD COLUMN later double precision DEFAULT random()")]
#[case(
    "ALTER TABLE client ALTER name SET NOT NULL, ALTER notes SET DEFAULT ''; \
        ALTER TABLE client ADD CONSTRAINT named CHECK (name <> '')"
)]
#[case("ALTER TABLE client DROP COLUMN notes")]
#[case("ALTER TABLE client RENAME COLUMN notes TO remarks")]
#[case("ALTER TABLE client ALTER version DROP NOT NULL")]
#[case("DROP INDEX client_name_key_idx")]
#[case("UPDATE client SET notes = ''")]
#[case("CREATE TABLE copy AS SELECT * FROM client")]
#[case("CREATE TABLE copy AS SELECT * FROM client WHERE id > 0 ORDER BY id")]
#[tokio::test]
async fn the_lint_finds(#[case] sql: &str) {
    let app = released().await;
    let transaction = app.database.begin_migration().await.unwrap();
    let step = async || {
        transaction.execute_unprepared(sql).await.unwrap();
    };
    let harm = harm(&transaction, step).await;
    assert_ne!(harm, [] as [String; 0], "{sql}");
}
