//! Whoever polls misses nothing, whoever writes meanwhile, and through any gateway.

mod pages;
mod poller;

use chrono::TimeDelta;
use clientele::clock::Clock;
use futures_util::future::join_all;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    change_log::slow_commits,
    support::{Engine, TestApp},
};
use poller::{Gateways, Seen, id_and_version, write};

const CLIENTS: &str = "/api/v1/clients";
const LONG_AGO: &str = "1970-01-01T00:00:00.000Z";
const UPDATE: &str = "mutation ($id: ID!, $input: UpdateClientInput!) {
    updateClient(id: $id, input: $input) { client { id version } } }";
const CHANGED: &str = "query ($from: DateTime, $after: String, $first: Int) {
    clients(first: $first, after: $after, filter: { updatedFrom: $from }) {
        nodes { id version updatedAt } pageInfo { hasNextPage endCursor } } }";
const COUNTED: &str =
    "query ($from: DateTime) { clients(filter: { updatedFrom: $from }) { totalCount } }";
const NOTHING: [(i64, i64); 0] = [];

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pollers_miss_nothing_of_many_writers(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(0, 5)] seconds_ahead: i64,
) {
    const WRITERS: usize = 8;
    const WRITES: usize = 90;
    let app = TestApp::start(engine).await;
    slow_commits(&app).await;
    let clock = match seconds_ahead {
        0 => Clock::system(),
        seconds => {
            let system = Clock::system();
            Clock::from_fn(move || system.now() + TimeDelta::seconds(seconds))
        }
    };
    let gateways = &Gateways::start(&app, clock).await;
    let (done, is_done) = watch::channel(false);
    let writing = async {
        let written = join_all((0..WRITERS).map(|writer| write(gateways, writer, WRITES))).await;
        done.send(true).unwrap();
        written.concat()
    };
    // Each polls once more after all is written.
    let polls = || {
        let mut is_last = false;
        let is_done = is_done.clone();
        move || !std::mem::replace(&mut is_last, *is_done.borrow())
    };
    let rest = async |instant: &str| {
        let (mut seen, mut goes_on) = (Seen::nothing(), polls());
        while goes_on() {
            seen.poll_rest(gateways, instant).await;
        }
        seen
    };
    let graphql = async {
        let (mut seen, mut goes_on) = (Seen::nothing(), polls());
        while goes_on() {
            seen.poll_graphql(gateways).await;
        }
        seen
    };
    let follower = async {
        let (mut seen, mut goes_on) = (Seen::nothing(), polls());
        while goes_on() {
            seen.follow(gateways).await;
        }
        seen
    };
    let (written, changed, created, graphql, follower) = tokio::join!(
        writing,
        rest("updated_at"),
        rest("created_at"),
        graphql,
        follower
    );
    assert_eq!(written.len(), WRITERS * WRITES);
    assert_eq!(changed.missed(&written), NOTHING, "by updated_from");
    assert_eq!(graphql.missed(&written), NOTHING, "by updatedFrom");
    let new = written.iter().filter(|(_, version)| *version == 1);
    let new: Vec<_> = new.copied().collect();
    assert_eq!(created.missed(&new), NOTHING, "by created_from");
    // A server has one clock, which nobody has set; a given one is not the server's.
    if engine == Engine::Sqlite || seconds_ahead == 0 {
        assert_eq!(follower.missed(&written), NOTHING, "in order of updatedAt");
    }
}

#[tokio::test]
async fn a_list_waits_for_who_may_yet_appear_in_it() {
    let app = TestApp::start(Engine::Postgres).await;
    let first = app.create_client(json!({})).await;
    let second = app.create_client(json!({})).await;
    let polled = format!("{CLIENTS}?updated_from={LONG_AGO}");
    let newest = "{ clients(orderBy: { field: UPDATED_AT }) { totalCount nodes { id version } } }";
    let look = async || {
        let answer = app.get(&polled).await;
        let list = answer.json();
        let list: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(id_and_version)
            .collect();
        assert_eq!(
            answer.header("x-total-count"),
            Some(&*list.len().to_string())
        );
        let counted = app.get(&format!("{polled}&mode=count")).await.json();
        assert_eq!(counted["record_count"], list.len());
        let data = app.data(COUNTED, json!({ "from": LONG_AGO })).await;
        assert_eq!(data["clients"]["totalCount"], list.len());
        let data = app.data(newest, json!({})).await;
        // Without a bound nobody polls by the total.
        assert_eq!(data["clients"]["totalCount"], 2);
        let nodes = data["clients"]["nodes"].as_array().unwrap();
        (list, nodes.iter().map(id_and_version).collect::<Vec<_>>())
    };
    let both = vec![(1, 1), (2, 1)];
    assert_eq!(look().await, (both.clone(), both));

    let open = app.database.begin().await.unwrap();
    let update = "UPDATE client SET version = 2, updated_at = change_stamp(NULL, updated_at) \
                  WHERE id = 1";
    open.execute_unprepared(update).await.unwrap();
    let variables = json!({ "id": second["id"], "input": { "notes": "n" } });
    app.data(UPDATE, variables).await;
    // Acknowledged, so it is there; but the other one has the earlier instant.
    let found = app.get(&format!("{CLIENTS}/2")).await.json();
    assert_eq!(id_and_version(&found), (2, 2));
    assert_eq!(look().await, (vec![(1, 1)], vec![(1, 1)]));

    open.commit().await.unwrap();
    let both = vec![(1, 2), (2, 2)];
    assert_eq!(look().await, (both.clone(), both));
    assert_eq!(id_and_version(&first), (1, 1));
}
