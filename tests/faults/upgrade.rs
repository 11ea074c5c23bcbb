//! An upgrade from 0.1.0 while others use the database: nobody is refused, nobody waits long for
//! a lock, and what was there is found as before.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use migration::{Migrator, MigratorTrait};
use rstest::rstest;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::json;

use crate::support::{Client, Engine, Gateway, Place, clientele, turn, until};

/// The steps that 0.1.0 has.
const STEPS_OF_0_1_0: u32 = 2;
/// How many clients there are unless `UPGRADE_CLIENTS` says otherwise.
const CLIENTS: i64 = 6_000;
/// The longest that a statement may wait for a lock, in milliseconds.
const LONGEST_WAIT: u32 = 500;

fn clients() -> i64 {
    let clients = std::env::var("UPGRADE_CLIENTS").ok();
    clients.map_or(CLIENTS, |clients| clients.parse().expect("a number"))
}

/// A session as a gateway of 0.1.0 has it, which fails if it waits too long for a lock.
async fn session(place: &Place) -> DatabaseConnection {
    let mut options = ConnectOptions::new(place.url());
    options.max_connections(1).sqlx_logging(false);
    let session = Database::connect(options).await.unwrap();
    let limit = match place.engine {
        Engine::Postgres => format!("SET lock_timeout = {LONGEST_WAIT}"),
        Engine::Sqlite => {
            format!("PRAGMA foreign_keys = ON; PRAGMA busy_timeout = {LONGEST_WAIT}")
        }
    };
    session.execute_unprepared(&limit).await.unwrap();
    session
}

/// Adds clients with these numbers, and a location for each, as 0.1.0 does: without a log.
fn insert(engine: Engine, first: i64, last: i64) -> String {
    let (numbers, now, given) = match engine {
        Engine::Postgres => (
            format!("SELECT n FROM generate_series({first}, {last}) AS n"),
            "timestamptz '2026-01-31T09:15:00Z'",
            format!("SELECT setval('client_id_seq', {last});"),
        ),
        Engine::Sqlite => (
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL \
                 SELECT n + 1 FROM numbers WHERE n < {last}) SELECT n FROM numbers"
            ),
            "'2026-01-31T09:15:00+00:00'",
            String::new(),
        ),
    };
    format!(
        "BEGIN; INSERT INTO client (id, name, name_key, has_invoice_reminders, \
         show_location_on_invoice, created_at, updated_at, version) \
         SELECT n, 'Client ' || n, 'client ' || n, false, false, {now}, {now}, 1 \
         FROM ({numbers}) AS numbers; \
         INSERT INTO client_location (client_id, is_primary, name, name_key, state, country, \
         created_at, updated_at, version) \
         SELECT n, true, 'Branch ' || n, 'branch ' || n, 'CO', 'US', {now}, {now}, 1 \
         FROM ({numbers}) AS numbers; {given} COMMIT"
    )
}

/// Writes and reads as a gateway of 0.1.0 does, until told to stop.
async fn go_on(place: &Place, all: i64, last: &AtomicI64, ends: &AtomicBool) {
    let session = session(place).await;
    let run = async |sql: &str| session.execute_unprepared(sql).await.expect(sql);
    let mut round = 0;
    while !ends.load(Ordering::Acquire) {
        round += 1;
        let old = round * 7_919 % all + 1;
        run(&format!(
            "UPDATE client SET name = 'Renamed {old}', name_key = 'renamed {old}', \
             version = version + 1 WHERE id = {old}"
        ))
        .await;
        let new = last.fetch_add(1, Ordering::AcqRel) + 1;
        run(&insert(place.engine, new, new)).await;
        run(&format!("SELECT * FROM client WHERE id = {old}")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn total(client: &Client, filter: &str) -> i64 {
    let query = format!("{{ clients{filter} {{ totalCount nodes {{ id }} }} }}");
    let answer = client.graphql(&query).await;
    answer.assert_status(200);
    let total = &answer.json()["data"]["clients"]["totalCount"];
    total.as_i64().unwrap_or_else(|| panic!("{answer:?}"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_stops_nobody(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let all = clients();
    let old = session(&place).await;
    if engine == Engine::Sqlite {
        let wal = "PRAGMA journal_mode = WAL";
        old.execute_unprepared(wal).await.unwrap();
    }
    Migrator::up(&old, Some(STEPS_OF_0_1_0)).await.unwrap();
    let sql = insert(engine, 1, all);
    old.execute_unprepared(&sql).await.unwrap();
    let (last, ends) = (AtomicI64::new(all), AtomicBool::new(false));
    let upgrade = async {
        let gateway = Gateway::start(&place).await;
        let client = gateway.client();
        let mut looks = 0;
        let took = until("all is filled", Duration::from_mins(10), async || {
            looks += 1;
            // What is yet to be filled is not read.
            let before = last.load(Ordering::Acquire) - 1;
            assert!(total(&client, "").await >= before, "the total is whole");
            let found = total(&client, "(filter: { search: \"ient 4321\" })").await;
            let renamed = total(&client, "(filter: { search: \"renamed 4321\" })").await;
            assert!(found + renamed >= 1, "whoever was there is found");
            let metrics = client.get("/metrics").await.body;
            String::from_utf8_lossy(&metrics).contains("clientele_backfill_rows_left 0\n")
        })
        .await;
        ends.store(true, Ordering::Release);
        (gateway, looks, took)
    };
    let ((gateway, looks, took), ()) = tokio::join!(upgrade, go_on(&place, all, &last, &ends));

    let client = gateway.client();
    let count = "SELECT count(*) AS n FROM client";
    let count = Statement::from_string(old.get_database_backend(), count);
    let row = old.query_one_raw(count).await.unwrap().unwrap();
    let stored: i64 = row.try_get("", "n").unwrap();
    assert!(stored > all);
    assert_eq!(total(&client, "").await, stored);
    println!("{engine:?}: {stored} clients, filled within {took:?}, looked at {looks} times");
    let body = json!({ "query": "mutation { createClient(input: { name: \"Quince\",
        primaryLocation: { name: \"Main\", state: \"CO\", country: \"US\" } }) { client { id } } }" });
    client.post("/graphql", &body).await.assert_status(200);
    assert_eq!(total(&client, "(filter: { search: \"quince\" })").await, 1);
    assert_eq!(
        total(&client, "(filter: { search: \"renamed\" })").await
            + total(&client, "(filter: { search: \"client\" })").await,
        total(&client, "").await - 1
    );
    // Every rule holds, and whatever was filled has each row once.
    place.assert_sound().await;
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

/// A filling that is killed goes on where it was.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filling_that_is_broken_off_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let old = session(&place).await;
    Migrator::up(&old, Some(STEPS_OF_0_1_0)).await.unwrap();
    let sql = insert(engine, 1, CLIENTS);
    old.execute_unprepared(&sql).await.unwrap();
    let mut gateway = Gateway::start(&place).await;
    gateway.kill().await;
    let check = ["check", "--database-url", &place.url()];
    clientele(place.folder(), &check).failure().await;
    let wait = ["migrate", "--wait", "--database-url", &place.url()];
    let told = clientele(place.folder(), &wait).output().await;
    assert!(told.ends_with("everything is filled\n"), "{told}");
    place.assert_sound().await;
}
