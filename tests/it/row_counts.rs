//! The length of a list, and its pages deep inside, come from the row counts: they must
//! be what counting rows and passing by rows would give.

use axum::http::StatusCode;
use clientele::records::list::{Direction, row_counts};
use entity::{client, client_location as location};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, Statement};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::support::{Engine, TestApp};

const COUNTS: &str = "{ clients { totalCount } clientLocations { totalCount } }";
const LISTS: [(&str, &str); 2] = [
    ("client", "/api/v1/clients"),
    ("client_location", "/api/v1/client/locations"),
];

/// What a client and its location consist of, past all code of ours. Every third
/// client is called 'Birch'.
fn insert(ids: impl IntoIterator<Item = i64>) -> [String; 2] {
    let at = "'2026-01-31T09:15:00.250+00:00'";
    let (mut clients, mut locations) = (Vec::new(), Vec::new());
    for id in ids {
        let (name, key) = if id % 3 == 0 {
            ("Birch", "birch")
        } else {
            ("Acme", "acme")
        };
        clients.push(format!(
            "({id}, '{name}', '{key}', false, false, {at}, {at}, 1)"
        ));
        locations.push(format!(
            "({id}, {id}, true, '{name}', '{key}', 'CO', 'US', {at}, {at}, 1)"
        ));
    }
    [
        format!(
            "INSERT INTO client (id, name, name_key, has_invoice_reminders, \
             show_location_on_invoice, created_at, updated_at, version) VALUES {}",
            clients.join(", ")
        ),
        format!(
            "INSERT INTO client_location (id, client_id, is_primary, name, name_key, state, \
             country, created_at, updated_at, version) VALUES {}",
            locations.join(", ")
        ),
    ]
}

/// Executes the statements in one transaction.
async fn raw(app: &TestApp, statements: &[String]) -> Result<(), DbErr> {
    let transaction = app.database.begin().await.unwrap();
    for statement in statements {
        transaction.execute_unprepared(statement).await?;
    }
    transaction.commit().await
}

async fn integers(app: &TestApp, sql: &str) -> Vec<i64> {
    let db = &app.database.reader;
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", "n").unwrap())
        .collect()
}

/// Both faces must answer what counting gives.
async fn assert_exact(app: &TestApp, after: &str) {
    let data = app.data(COUNTS, json!({})).await;
    let expected = [
        client::Entity::find()
            .count(&app.database.reader)
            .await
            .unwrap(),
        location::Entity::find()
            .count(&app.database.reader)
            .await
            .unwrap(),
    ];
    let answered = ["clients", "clientLocations"].map(|list| data[list]["totalCount"].as_u64());
    assert_eq!(answered, expected.map(Some), "{after}");
    for ((table, path), expected) in LISTS.into_iter().zip(expected) {
        let counted = app.get(&format!("{path}?mode=count")).await.json();
        assert_eq!(counted["record_count"], expected, "{after}");
        let answer = app.get(&format!("{path}?per_page=1")).await;
        let total = expected.to_string();
        assert_eq!(answer.header("x-total-count"), Some(&*total), "{after}");

        let tally = format!(
            "SELECT CAST(SUM(\"rows\") AS bigint) AS n FROM {table}_tally GROUP BY block \
             HAVING SUM(\"rows\") <> 0 ORDER BY block"
        );
        let rows = format!("SELECT COUNT(*) AS n FROM {table} GROUP BY id >> 12 ORDER BY id >> 12");
        assert_eq!(
            integers(app, &tally).await,
            integers(app, &rows).await,
            "{after}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn totals_are_exact_after_every_kind_of_write(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    assert_exact(&app, "nothing").await;
    let created = app.create_client(json!({})).await;
    app.create_location(json!({ "clientId": created["id"] }))
        .await;
    assert_exact(&app, "creates by GraphQL").await;
    let body = json!({ "client": {
        "name": "Acme",
        "primary_location": { "name": "Main", "state": "CO", "country": "US" },
    } });
    let answer = app.post("/api/v1/clients", body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_exact(&app, "a create by REST").await;

    let refused = json!({ "clientId": "77", "name": "A", "state": "CO", "country": "US" });
    let create = "mutation ($input: CreateClientLocationInput!) {
        createClientLocation(input: $input) { clientLocation { id } } }";
    let answer = app.graphql(create, json!({ "input": refused })).await;
    assert_ne!(answer["errors"], Value::Null);
    assert_exact(&app, "a create that was refused").await;
    let transaction = app.database.begin().await.unwrap();
    for statement in insert(10..20) {
        transaction.execute_unprepared(&statement).await.unwrap();
    }
    transaction.rollback().await.unwrap();
    assert_exact(&app, "a rollback").await;
    assert!(raw(&app, &insert(10..20)[..1]).await.is_err());
    assert_exact(&app, "a commit that was refused").await;

    // Three blocks, and ids that only raw SQL gives.
    let ids = (10..20).chain(4090..4100).chain(-5..0).chain([1 << 40]);
    raw(&app, &insert(ids)).await.unwrap();
    assert_exact(&app, "raw inserts").await;
    let delete = |ids: &str| {
        // Either order is refused half way but for the deferred constraint.
        ["client_location WHERE client_id", "client WHERE id"]
            .map(|rows| format!("DELETE FROM {rows} {ids}"))
    };
    raw(&app, &delete("BETWEEN 12 AND 4092")).await.unwrap();
    assert_exact(&app, "raw deletes").await;
    let moved = "UPDATE client_location SET id = id + 5000 WHERE id > 4092".to_owned();
    raw(&app, &[moved]).await.unwrap();
    assert_exact(&app, "ids that change").await;
    let update = "UPDATE client SET name = 'Other'".to_owned();
    raw(&app, &[update]).await.unwrap();
    let existing = insert([10]).map(|statement| format!("{statement} ON CONFLICT DO NOTHING"));
    raw(&app, &existing).await.unwrap();
    assert_exact(&app, "writes that add nothing").await;
    if engine == Engine::Postgres {
        raw(&app, &["TRUNCATE client, client_location".to_owned()])
            .await
            .unwrap();
    } else {
        raw(&app, &delete("IS NOT NULL")).await.unwrap();
    }
    assert_exact(&app, "everything is deleted").await;
    app.create_client(json!({})).await;
    assert_exact(&app, "a new beginning").await;
}

/// Who reads a total that is the sum of many rows has them merged, once.
#[tokio::test]
async fn reading_a_long_row_count_merges_it() {
    let app = TestApp::start(Engine::Postgres).await;
    raw(&app, &insert(1..=500)).await.unwrap();
    app.take_statements();
    assert_exact(&app, "few rows").await;
    raw(&app, &insert(4096..4196)).await.unwrap();
    assert_exact(&app, "many rows").await;
    app.gateway.lifecycle.tasks.close();
    app.gateway.lifecycle.tasks.wait().await;
    for (table, _) in LISTS {
        let rows = format!("SELECT COUNT(*) AS n FROM {table}_tally");
        assert_eq!(integers(&app, &rows).await, [2], "{table}");
    }
    assert_exact(&app, "the merge").await;
    let statements = app.take_statements();
    let merges = statements
        .iter()
        .filter(|sql| sql.contains("DELETE"))
        .count();
    assert_eq!(merges, 2, "{statements:#?}");
}

/// However writers, readers and mergers meet, no total is ever wrong.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_are_exact_while_row_counts_are_merged(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let app = TestApp::start(engine).await;
    raw(&app, &insert(10_000..10_100)).await.unwrap();
    let writing = tokio_util::sync::CancellationToken::new();
    let mut merging = JoinSet::new();
    for _ in 0..3 {
        let (store, writing) = (app.gateway.store.clone(), writing.clone());
        merging.spawn(async move {
            let mut merges = 0;
            while !writing.is_cancelled() {
                let counts = &store.lists.row_counts;
                for count in [&counts.clients, &counts.locations] {
                    row_counts::merge(&store, count).await.unwrap();
                }
                merges += 1;
                tokio::task::yield_now().await;
            }
            merges
        });
    }
    let database = app.gateway.store.clone();
    let until = writing.clone();
    let reading = tokio::spawn(async move {
        let mut last = 0;
        while !until.is_cancelled() {
            // One statement, one snapshot: the sum is what counting would give.
            let sql = "SELECT (SELECT SUM(\"rows\") FROM client_tally) - \
                       (SELECT COUNT(*) FROM client) AS n";
            let statement = Statement::from_string(database.reader.get_database_backend(), sql);
            let row = database
                .reader
                .query_one_raw(statement)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(row.try_get::<i64>("", "n").unwrap(), 0);
            let total = row_counts::total(&database, &database.lists.row_counts.clients)
                .await
                .unwrap();
            assert!(total >= last, "{total} after {last}");
            last = total;
            tokio::task::yield_now().await;
        }
    });
    futures_util::future::join_all((0..WRITERS).map(async |_| {
        for _ in 0..EACH {
            app.create_client(json!({})).await;
        }
    }))
    .await;
    writing.cancel();
    reading.await.unwrap();
    let merges = merging.join_all().await;
    assert!(merges.iter().all(|merges| *merges > 0), "{merges:?}");
    assert_exact(&app, "all that").await;
    let total = row_counts::total(
        &app.gateway.store,
        &app.gateway.store.lists.row_counts.clients,
    )
    .await
    .unwrap();
    assert_eq!(total, 100 + i64::try_from(WRITERS * EACH).unwrap());
}

/// Several blocks, one of them almost full, with gaps inside and between them.
async fn app_with_gaps(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let ids = (1..40)
        .chain(4000..4200)
        .chain((8192..9000).step_by(7))
        .chain([16_383, 16_384])
        .chain(1_000_000..1_000_060);
    raw(&app, &insert(ids)).await.unwrap();
    let gaps = "IN (1, 4095, 4096, 8192, 1000059) OR client_id % 11 = 0";
    let delete = [
        format!("DELETE FROM client_location WHERE client_id {gaps}"),
        format!(
            "DELETE FROM client WHERE id {}",
            gaps.replace("client_id", "id")
        ),
    ];
    raw(&app, &delete).await.unwrap();
    app
}

#[rstest]
fn deep_pages_are_those_of_the_whole_list(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(app_with_gaps(engine));
    let filters = [
        ("", ""),
        ("&name=birch", "birch"),
        ("&search=ACM", "acme"),
        ("&search=zzz", "-"),
    ];
    let strategy = (
        select(LISTS.to_vec()),
        any::<bool>(),
        select(filters.to_vec()),
        prop_oneof![1..=12_usize, Just(100), Just(500)],
        0.0..1.2_f64,
    );
    let config = Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(
        &strategy,
        |((table, path), descending, (filter, key), per_page, depth)| {
            runtime.block_on(async {
                let mut all = integers(
                    &app,
                    &format!(
                        "SELECT id AS n FROM {table} WHERE '{key}' IN ('', name_key) ORDER BY id"
                    ),
                )
                .await;
                if descending {
                    all.reverse();
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "any page will do"
                )]
                let page = (all.len() as f64 / per_page as f64 * depth) as usize;
                let direction = if descending { "desc" } else { "asc" };
                let path = format!(
                    "{path}?dir={direction}&per_page={per_page}&page={}{filter}",
                    page + 1
                );
                let answer = app.get(&path).await;
                let rows = answer.json();
                let ids = rows.as_array().unwrap().iter();
                let ids: Vec<_> = ids.map(|row| row["id"].as_i64().unwrap()).collect();
                let begin = (page * per_page).min(all.len());
                let end = (begin + per_page).min(all.len());
                let same = ids == all[begin..end]
                    && answer.header("x-total-count") == Some(&*all.len().to_string());
                same.then_some(())
                    .ok_or_else(|| TestCaseError::fail(format!("{path}: {ids:?}")))
            })
        },
    );
    result.unwrap();
    runtime.block_on(async move { drop(app) });
}

/// A deep page passes by the rows of one block, not by all that come before.
#[rstest]
#[tokio::test]
async fn a_deep_page_begins_in_its_block(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_gaps(engine).await;
    for direction in [Direction::Asc, Direction::Desc] {
        let all = row_counts::total(
            &app.gateway.store,
            &app.gateway.store.lists.row_counts.clients,
        )
        .await
        .unwrap()
        .unsigned_abs();
        for offset in [0, 1, all / 2, all - 1, all, all + 7] {
            let (first_id, skip) = place(&app, direction, offset).await;
            assert!(skip <= offset.cast_signed());
            let Some(first_id) = first_id else {
                assert!(offset >= all, "{direction:?} {offset}");
                continue;
            };
            let sql = "SELECT COUNT(*) AS n FROM client WHERE id >> 12 =";
            let block = integers(&app, &format!("{sql} {}", first_id >> 12)).await[0];
            assert!(offset < all && skip < block, "{direction:?} {offset}");
        }
    }
    let empty = TestApp::start(engine).await;
    assert!(place(&empty, Direction::Asc, 5).await.0.is_none());
}

/// Where the row after `offset` others is looked for: from which id on, and how many rows
/// are passed.
async fn place(app: &TestApp, direction: Direction, offset: u64) -> (Option<i64>, i64) {
    let place = app
        .gateway
        .store
        .lists
        .row_counts
        .clients
        .place(direction, offset);
    let place = app.database.reader.query_one(&place).await;
    let place = place.unwrap().unwrap();
    let first_id = place.try_get("", row_counts::FIRST_ID).unwrap();
    (first_id, place.try_get("", row_counts::SKIP).unwrap())
}
