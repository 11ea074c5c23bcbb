//! Pages of one poll, and the loop that reads them.

use std::path::Path;

use async_graphql::connection::CursorType;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta};
use clientele::{
    graphql::schema::cursor::{Cursor, ListKind, Place},
    records::list::{Direction, Order, OrderField, Position},
    rest::poll_bookmarks,
};
use entity::poll;
use proptest::{option, prelude::*, sample};
use rstest::rstest;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait, Statement, Value as SqlValue,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    CHANGED, CLIENTS, LONG_AGO, NOTHING, UPDATE,
    poller::{Gateways, id_and_version},
};
use crate::support::{Answer, Engine, TestApp, TestClock, USER};

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

    // Where the second and the third page began is kept for an hour.
    clock.advance(TimeDelta::minutes(59));
    assert_eq!(poll_bookmarks::purge(&app.database).await.unwrap(), 0);
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(poll_bookmarks::purge(&app.database).await.unwrap(), 2);
    assert_eq!(poll_bookmarks::purge(&app.database).await.unwrap(), 0);
}

/// The target of the link to the next page.
fn next(answer: &Answer) -> Option<String> {
    let links = answer.header("link").unwrap();
    let mut links = links.split(", ");
    let link = links.find_map(|link| link.strip_suffix(">; rel=\"next\""))?;
    Some(link.strip_prefix('<').unwrap().to_owned())
}

#[rstest]
#[tokio::test]
async fn links_and_totals_lead_through_all_pages_of_a_poll(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(true, false)] by_links: bool,
) {
    let (app, _clock) = app_with_clients(engine, 5).await;
    let first = format!("{CLIENTS}?updated_from={LONG_AGO}&per_page=2");
    let mut read = Vec::new();
    let mut path = Some(first.clone());
    for page in 1.. {
        let Some(asked) = path else { break };
        let answer = app.get(&asked).await;
        assert_eq!(answer.header("x-total-count"), Some("5"), "page {page}");
        read.extend(ids(answer.json().as_array().unwrap()));
        if page == 1 {
            for id in [1, 2] {
                let input = json!({ "notes": "n" });
                app.data(UPDATE, json!({ "id": id, "input": input })).await;
            }
        }
        path = if by_links {
            next(&answer)
        } else {
            (read.len() < 5).then(|| format!("{first}&page={}", page + 1))
        };
    }
    assert_eq!(read, [1, 2, 3, 4, 5]);
}

#[rstest]
#[tokio::test]
async fn no_page_of_a_poll_shows_what_changed_after_the_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    // The second page is short, or empty.
    #[values(4, 3)] changed: i64,
) {
    let (app, clock) = app_with_clients(engine, 7).await;
    let mut path = Some(format!("{CLIENTS}?updated_from={LONG_AGO}&per_page=2"));
    let mut pages = Vec::new();
    while let Some(asked) = path {
        let answer = app.get(&asked).await;
        assert_eq!(answer.header("x-total-count"), Some("7"));
        pages.push(ids(answer.json().as_array().unwrap()));
        if pages.len() == 1 {
            for id in changed..=7 {
                let input = json!({ "notes": "n" });
                app.data(UPDATE, json!({ "id": id, "input": input })).await;
                clock.advance(TimeDelta::milliseconds(1));
            }
        }
        path = next(&answer);
    }
    let second: Vec<i64> = (3..changed).collect();
    assert_eq!(pages, [vec![1, 2], second, vec![], vec![]]);
}

#[rstest]
#[tokio::test]
async fn a_poll_goes_on_for_15_minutes(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let (app, clock) = app_with_clients(engine, 5).await;
    let query = format!("{CLIENTS}?updated_from={LONG_AGO}&per_page=2");
    let total = async |page: usize| {
        let answer = app.get(&format!("{query}&page={page}")).await;
        answer.header("x-total-count").unwrap().to_owned()
    };
    assert_eq!(total(1).await, "5");
    app.create_client(json!({})).await;
    let step = TimeDelta::milliseconds(1);
    clock.advance(TimeDelta::minutes(15) - step);
    assert_eq!(total(2).await, "5");
    clock.advance(step);
    assert_eq!(total(2).await, "6");
}

#[rstest]
#[tokio::test]
async fn a_token_has_1000_cursors_at_most(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, clock) = app_with_clients(engine, 5).await;
    let query = format!("{CLIENTS}?updated_from={LONG_AGO}&per_page=2");
    let page = async |page: usize| {
        let answer = app.get(&format!("{query}&page={page}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    };
    page(1).await;
    let reader = &app.database.reader;
    let first = poll::Entity::find().one(reader).await.unwrap().unwrap();
    let other_token = first.token_id + 1_000;
    for (token_id, count) in [(first.token_id, 999), (other_token, 1_001)] {
        let rows = (1..=count).map(|number| poll::ActiveModel {
            key: Set(format!("{token_id} {number}")),
            token_id: Set(token_id),
            cursor: Set(first.cursor.clone()),
            total: Set(first.total),
            at: Set(first.at + TimeDelta::milliseconds(number)),
        });
        let insert = poll::Entity::insert_many(rows);
        let writer = app.database.writer();
        insert.exec_without_returning(writer).await.unwrap();
    }
    clock.advance(TimeDelta::seconds(2));
    page(2).await;
    let left = poll::Entity::find().all(reader).await.unwrap();
    let of_other = left.iter().filter(|row| row.token_id == other_token);
    assert_eq!(of_other.count(), 1_001);
    assert_eq!(left.len(), 2_001);
    assert!(
        left.iter().all(|row| row.key != first.key),
        "the oldest goes"
    );
}

#[rstest]
#[tokio::test]
async fn a_page_whose_cursor_cannot_be_kept_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, _clock) = app_with_clients(engine, 5).await;
    let query = format!("{CLIENTS}?updated_from={LONG_AGO}");
    let open = app.database.begin().await.unwrap();
    if engine == Engine::Postgres {
        let lock = "LOCK TABLE poll IN EXCLUSIVE MODE";
        open.execute_unprepared(lock).await.unwrap();
    }
    let refused = app.get(&format!("{query}&per_page=2")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // It has no page behind it.
    let whole = app.get(&query).await;
    assert_eq!(ids(whole.json().as_array().unwrap()), [1, 2, 3, 4, 5]);
    drop(open);
    let page = app.get(&format!("{query}&per_page=2")).await;
    assert_eq!(ids(page.json().as_array().unwrap()), [1, 2]);
}

#[tokio::test]
async fn pages_of_a_database_that_takes_no_writes_are_answered() {
    let (app, _clock) = app_with_clients(Engine::Postgres, 5).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION SQLSTATE '25006'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON poll FOR EACH ROW EXECUTE FUNCTION refuse()";
    let writer = app.database.writer();
    writer.execute_unprepared(refuse).await.unwrap();
    let query = format!("{CLIENTS}?updated_from={LONG_AGO}&per_page=2");
    for (page, expected) in [(1, vec![1, 2]), (2, vec![3, 4]), (3, vec![5])] {
        let answer = app.get(&format!("{query}&page={page}")).await;
        assert_eq!(ids(answer.json().as_array().unwrap()), expected);
    }
}

#[rstest]
#[tokio::test]
async fn what_was_created_is_listed_though_it_changes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const CREATED: &str = "query ($from: DateTime, $after: String) {
        clients(first: 2, after: $after, filter: { createdFrom: $from },
            orderBy: { field: UPDATED_AT }) {
            totalCount nodes { id version } pageInfo { hasNextPage endCursor } } }";
    let (app, _clock) = app_with_clients(engine, 5).await;
    let (mut read, mut after) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({ "from": LONG_AGO, "after": after });
        let data = app.data(CREATED, variables).await;
        let clients = &data["clients"];
        assert_eq!(clients["totalCount"], 5);
        read.extend(ids(clients["nodes"].as_array().unwrap()));
        if read == [1, 2] {
            let input = json!({ "notes": "n" });
            app.data(UPDATE, json!({ "id": 3, "input": input })).await;
        }
        if clients["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = clients["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(read, [1, 2, 4, 5, 3]);
}

#[tokio::test]
async fn stamps_are_whole_milliseconds_whatever_was_written_by_hand() {
    let (app, _clock) = app_with_clients(Engine::Postgres, 2).await;
    let writer = app.database.writer();
    let by_hand = "UPDATE client SET updated_at = '2026-01-31T09:15:00.252300Z' WHERE id = 1";
    writer.execute_unprepared(by_hand).await.unwrap();
    let query = format!("{CLIENTS}?updated_from={LONG_AGO}");
    let list = app.get(&query).await.json();
    assert_eq!(ids(list.as_array().unwrap()), [1, 2]);

    let input = json!({ "notes": "n" });
    app.data(UPDATE, json!({ "id": 2, "input": input })).await;
    let list = app.get(&query).await.json();
    assert_eq!(list[1]["updated_at"], "2026-01-31T09:15:00.254Z");
    let whole = "SELECT id FROM client \
                 WHERE updated_at = date_trunc('milliseconds', updated_at)";
    let whole = Statement::from_string(DbBackend::Postgres, whole);
    let whole = app.database.reader.query_all_raw(whole).await.unwrap();
    assert_eq!(whole.len(), 1);
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
    const LISTS: [ListKind; 5] = [
        ListKind::Clients,
        ListKind::Locations,
        ListKind::OfClient,
        ListKind::Changes,
        ListKind::History,
    ];
    let instant = 0..253_402_300_799_999_i64;
    proptest!(|(
        id in any::<i64>(),
        key in "[^\0]{0,12}",
        at in instant.clone(),
        until in option::of(instant.clone()),
        list in option::of(sample::select(LISTS.to_vec())),
        is_descending in any::<bool>()
    )| {
        let at = DateTime::from_timestamp_millis(at).unwrap();
        let until = until.map(|until| DateTime::from_timestamp_millis(until).unwrap());
        let direction = if is_descending { Direction::Desc } else { Direction::Asc };
        for (field, key) in [
            (OrderField::Id, None),
            (OrderField::Name, Some(SqlValue::from(key.clone()))),
            (OrderField::CreatedAt, Some(at.into())),
            (OrderField::UpdatedAt, Some(at.into())),
        ] {
            let order = Order { field, direction };
            let place = Place { list, order, until };
            let cursor = Cursor::Row(place, Position { key, id });
            let read = Cursor::decode_cursor(&cursor.encode_cursor());
            prop_assert_eq!(read, Ok(cursor));
        }
    });
}
