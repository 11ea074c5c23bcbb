//! Pages of one poll, and the loop that reads them.

use std::path::Path;

use async_graphql::connection::CursorType;
use chrono::{DateTime, TimeDelta};
use clientele::{
    graphql::cursor::{Cursor, ListKind, Place},
    paging::{Direction, Order, OrderField, Position},
    polls,
};
use proptest::{option, prelude::*};
use rstest::rstest;
use sea_orm::Value as SqlValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    CHANGED, LONG_AGO, NOTHING, UPDATE,
    poller::{Gateways, id_and_version},
};
use crate::support::{Engine, TestApp, TestClock, USER};

/// Clients 1 to `count`, a millisecond apart.
async fn app_with_clients(engine: Engine, count: usize) -> (TestApp, TestClock) {
    let clock = TestClock::at("2026-01-31T09:15:00.250Z");
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    for _ in 0..count {
        app.create_client(json!({})).await;
        clock.advance(TimeDelta::milliseconds(1));
    }
    (app, clock)
}

fn ids(clients: &[Value]) -> Vec<i64> {
    clients
        .iter()
        .map(|client| id_and_version(client).0)
        .collect()
}

#[rstest]
#[tokio::test]
async fn the_pages_of_a_poll_end_at_one_instant(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    // The last page may be full, and one more is asked for then.
    #[values(4, 5)] count: usize,
) {
    let (app, clock) = app_with_clients(engine, count).await;
    let gateways = Gateways::start(&app, clock.clock()).await;
    let query = format!("updated_from={LONG_AGO}&per_page=2");
    let page = async |number: usize| {
        let query = format!("{query}&page={number}");
        gateways.list(number, &query).await
    };
    assert_eq!(ids(&page(1).await), [1, 2]);
    let variables = json!({ "from": LONG_AGO, "first": 2 });
    let data = app.data(CHANGED, variables).await;
    let mut cursor = data["clients"]["pageInfo"]["endCursor"].clone();

    // One that was read, and one that is yet to come.
    for id in [1, 5] {
        if id > count {
            app.create_client(json!({})).await;
        } else {
            let input = json!({ "notes": "n" });
            app.data(UPDATE, json!({ "id": id, "input": input })).await;
        }
        clock.advance(TimeDelta::milliseconds(1));
    }
    let second = page(2).await;
    assert_eq!(ids(&second), [3, 4]);
    assert_eq!(ids(&page(3).await), [0_i64; 0]);
    let mut followed = Vec::new();
    loop {
        let variables = json!({ "from": LONG_AGO, "first": 2, "after": cursor });
        let data = app.data(CHANGED, variables).await;
        let clients = &data["clients"];
        followed.extend(ids(clients["nodes"].as_array().unwrap()));
        if clients["pageInfo"]["hasNextPage"] == false {
            break;
        }
        cursor = clients["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(followed, [3, 4]);

    let last = second[1]["updated_at"].as_str().unwrap();
    let next = gateways.list(1, &format!("updated_from={last}")).await;
    assert_eq!(ids(&next), [1, 4, 5]);

    // Where the second and the third page began is kept for a day.
    clock.advance(TimeDelta::hours(24));
    assert_eq!(polls::purge(&app.database).await.unwrap(), 2);
    assert_eq!(polls::purge(&app.database).await.unwrap(), 0);
}

#[rstest]
#[tokio::test]
async fn the_loop_that_is_shown_handles_every_change_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(("python3", "docs/polling.py"), ("php", "docs/polling.php"))] program: (&str, &str),
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let folder = TempDir::new().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(program.1);
    let run = async || {
        let output = Command::new(program.0)
            .arg(&script)
            .arg(folder.path().join("state.json"))
            .env("CLIENTELE_URL", format!("http://{address}"))
            .env("CLIENTELE_USER", USER)
            .env("CLIENTELE_TOKEN", &app.read_token)
            .env("PER_PAGE", "2")
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let clients = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let clients = clients.map(|client: Value| id_and_version(&client));
        clients.collect::<Vec<_>>()
    };
    assert_eq!(run().await, NOTHING);
    for _ in 0..5 {
        app.create_client(json!({})).await;
    }
    assert_eq!(run().await, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    assert_eq!(run().await, NOTHING);
    let input = json!({ "primaryLocation": { "city": "Salem" } });
    app.data(UPDATE, json!({ "id": 2, "input": input })).await;
    app.create_client(json!({})).await;
    assert_eq!(run().await, [(2, 2), (6, 1)]);
    assert_eq!(run().await, NOTHING);
}

#[test]
fn cursors_are_read_as_they_were_written() {
    let instant = 0..253_402_300_799_999_i64;
    proptest!(|(
        id in any::<i64>(),
        key in "[^\0]{0,12}",
        at in instant.clone(),
        until in option::of(instant.clone()),
        is_descending in any::<bool>()
    )| {
        let at = DateTime::from_timestamp_millis(at).unwrap();
        let until = until.map(|until| DateTime::from_timestamp_millis(until).unwrap());
        let direction = if is_descending { Direction::Desc } else { Direction::Asc };
        let mut lists = [ListKind::Clients, ListKind::History, ListKind::OfClient].into_iter();
        for (field, key) in [
            (OrderField::Id, None),
            (OrderField::Name, Some(SqlValue::from(key.clone()))),
            (OrderField::CreatedAt, Some(at.into())),
            (OrderField::UpdatedAt, Some(at.into())),
        ] {
            let order = Order { field, direction };
            let list = lists.next();
            let place = Place { list, order, until };
            let cursor = Cursor::Row(place, Position { key, id });
            let read = Cursor::decode_cursor(&cursor.encode_cursor());
            prop_assert_eq!(read, Ok(cursor));
        }
    });
}
