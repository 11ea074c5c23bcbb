//! Callers who got no answer, and ask again with the same `Idempotency-Key`.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::http::{HeaderName, Method};
use futures_util::future::join_all;
use rstest::rstest;
use tokio::task::JoinSet;

use crate::support::{
    Answer, Client, Engine, Gateway, Place, all, client_body, lasts, soak, turn, until,
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: &str = "idempotency-replayed";

const WRITERS: u32 = 12;
/// Unless it is a soak.
const ROUNDS: u32 = 5;
/// How many more there are until the gateway dies between commit and answer.
const MORE_ROUNDS: u32 = 10;
/// How long a retry may be told to come back later.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends requests until one has no answer, or is refused for now. Returns the ids that
/// were answered, by their keys, and the key of the last.
async fn write(client: Client, prefix: String) -> (Vec<(String, i64)>, String) {
    let mut answered = Vec::new();
    for number in 0.. {
        let key = format!("{prefix}-{number}");
        match create(&client, &key).await {
            Ok(answer) if answer.status == 201 => {
                assert!(!answer.headers.contains_key(REPLAYED), "{answer:?}");
                answered.push((key, id(&answer)));
            }
            Ok(answer) => {
                answer.assert_unavailable();
                return (answered, key);
            }
            Err(_no_answer) => return (answered, key),
        }
    }
    unreachable!("it goes on until the gateway is killed")
}

/// Makes a client whose account code is the key.
async fn create(client: &Client, key: &str) -> Result<Answer, String> {
    let body = client_body(key);
    let sent = client.send_with((KEY, key), Method::POST, "/api/v1/clients", &body);
    sent.await
}

fn id(answer: &Answer) -> i64 {
    answer.json()["id"].as_i64().unwrap()
}

/// The answer to a retry, which may have to wait for the end of what it repeats.
async fn retry(client: &Client, key: String) -> (String, Answer) {
    let mut last = None;
    until("a retry is answered", PATIENCE, async || {
        let answer = create(client, &key).await.unwrap();
        let is_final = answer.status == 201;
        if !is_final {
            assert!(matches!(answer.status.as_u16(), 409 | 503), "{answer:?}");
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        }
        last = Some(answer);
        is_final
    })
    .await;
    (key, last.unwrap())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_crash_writes_nothing_twice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let mut gateway = Gateway::start(&place).await;
    // The ids that were answered, by the key, which is the account code, too.
    let mut ids = HashMap::new();
    let (mut retried, mut replayed, mut rounds) = (0, 0, 0);
    let began = Instant::now();
    let goes_on = |round: u32, replayed: usize| match soak() {
        Some(time) => began.elapsed() < time,
        None => round < ROUNDS || (replayed == 0 && round < ROUNDS + MORE_ROUNDS),
    };
    while goes_on(rounds, replayed) {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let prefix = format!("retry-{rounds}-{writer}");
            writers.spawn(write(gateway.client(), prefix));
        }
        lasts(Duration::from_millis(300 + u64::from(rounds * 177 % 500))).await;
        gateway.kill().await;
        let (answered, open): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().unzip();
        gateway.restart(&place).await;
        let client = gateway.client();

        retried += open.len();
        let retries = open.into_iter().map(|key| retry(&client, key));
        for (key, answer) in join_all(retries).await {
            replayed += usize::from(answer.headers.contains_key(REPLAYED));
            ids.insert(key, id(&answer));
        }
        // Also those whose answer arrived are told the same again.
        for answered in answered {
            if let Some((key, id_before)) = answered.last() {
                let (_, answer) = retry(&client, key.clone()).await;
                assert!(answer.headers.contains_key(REPLAYED), "{answer:?}");
                assert_eq!(id(&answer), *id_before);
            }
            ids.extend(answered);
        }
        rounds += 1;
    }

    let client = gateway.client();
    let found = all(&client, "/api/v1/clients").await;
    assert_eq!(found.len(), ids.len(), "one client for each key");
    for record in &found {
        let key = record["account_code"].as_str().unwrap();
        assert_eq!(ids.get(key).copied(), record["id"].as_i64(), "{key}");
    }
    place.assert_sound().await;
    println!(
        "B4 {engine:?}: {rounds} kills of the gateway, {} keys, one client for each; {retried} \
         without an answer, {replayed} of them between commit and answer",
        ids.len()
    );
}
