//! A gateway that is told to stop.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rstest::rstest;
use sea_orm::sqlx::{Connection, Executor};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::support::{Engine, Gateway, Ledger, Place, REFUSED, turn, until};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_answers_all_that_was_asked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let mut gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.create("first").await.assert_status(201);
    let ledger = Ledger::default();
    let storm = ledger.storm(&gateway, "drain", 8);
    ledger.grows_by(50).await;

    gateway.terminate();
    let stopping = Instant::now();
    until("it is not ready", Duration::from_secs(1), async || {
        !client.is_ready().await
    })
    .await;
    let status = gateway.ended().await;
    let took = stopping.elapsed();
    storm.end().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    assert!(took < Duration::from_secs(3), "{took:?}");

    gateway.restart(&place).await;
    // This one is no part of the storm.
    let count = {
        let ledger = &ledger;
        ledger.promise("first", 1);
        ledger.verify(&gateway.client()).await
    };
    let dropped: Vec<_> = count.refused.keys().filter(|why| *why != REFUSED).collect();
    assert!(dropped.is_empty(), "{count}");
    println!("D1 {engine:?}: stopped after {took:?}: {count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_is_finished_and_a_second_signal_does_not_wait_for_it() {
    let _turn = turn().await;
    let place = Place::create(Engine::Postgres).await;
    let postgres = place.postgres.as_ref().unwrap();
    let body = json!({ "client": { "name": "New" } });
    for signals in 1..=2 {
        let mut gateway = Gateway::start(&place).await;
        let client = gateway.client();
        client.create("first").await.assert_status(201);
        let mut session = postgres.session().await;
        let mut lock = session.begin().await.unwrap();
        lock.execute("SELECT * FROM client FOR UPDATE")
            .await
            .unwrap();
        let write = tokio::spawn({
            let (client, body) = (client.clone(), body.clone());
            async move {
                let path = "/api/v1/clients/1";
                client
                    .send(axum::http::Method::PUT, path, Some(&body))
                    .await
            }
        });
        let mut watching = postgres.session().await;
        until("the write waits", Duration::from_secs(2), async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity \
                           WHERE application_name = 'clientele' AND wait_event_type = 'Lock'";
            let waiting = sea_orm::sqlx::query_scalar(waiting)
                .fetch_one(&mut watching)
                .await;
            waiting.is_ok_and(|waiting: i64| waiting > 0)
        })
        .await;
        gateway.terminate();
        until("it is not ready", Duration::from_secs(1), async || {
            !client.is_ready().await
        })
        .await;
        let stopping = Instant::now();
        if signals == 1 {
            lock.rollback().await.unwrap();
            let answer = write.await.unwrap().unwrap();
            answer.assert_status(200);
            assert_eq!(gateway.ended().await.code(), Some(0));
        } else {
            gateway.terminate();
            assert_eq!(gateway.ended().await.code(), Some(1));
            let took = stopping.elapsed();
            assert!(took < Duration::from_secs(1), "{took:?}");
            assert!(write.await.unwrap().is_err());
            println!("D2: the second signal ended it after {took:?}");
        }
    }
}

/// Half a request may still become a whole one, as long as it may take at any time.
#[rstest]
#[case::idle("", 3)]
#[case::half_a_request("GET /healthz HTTP/1.1\r\nHost: ", 20)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_hold_no_stopping_gateway(#[case] sent: &str, #[case] seconds: u64) {
    let _turn = turn().await;
    let place = Place::create(Engine::Sqlite).await;
    let mut gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.get("/healthz").await.assert_status(200);
    let silent = TcpStream::connect(&gateway.address).await.unwrap();
    let mut half = TcpStream::connect(&gateway.address).await.unwrap();
    half.write_all(sent.as_bytes()).await.unwrap();
    let mut conversations = JoinSet::new();
    for _ in 0..100 {
        let mut request = format!("ws://{}/graphql", gateway.address)
            .into_client_request()
            .unwrap();
        let protocol = "graphql-transport-ws".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let (mut socket, _) = connect_async(request).await.unwrap();
        let bearer = format!("Bearer {}", gateway.token);
        let init = json!({ "type": "connection_init", "payload": { "Authorization": bearer } });
        socket.send(Message::text(init.to_string())).await.unwrap();
        socket.next().await.unwrap().unwrap();
        conversations.spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(Some(frame)) = message {
                    return u16::from(frame.code);
                }
            }
            0
        });
    }
    gateway.terminate();
    let stopping = Instant::now();
    let status = gateway.ended().await;
    let took = stopping.elapsed();
    assert_eq!(status.code(), Some(0), "{}", gateway.log());
    let codes = conversations.join_all().await;
    assert!(codes.iter().all(|code| *code == 1001), "{codes:?}");
    assert!(took < Duration::from_secs(seconds), "{took:?}");
    drop((silent, half));
    println!(
        "D2: with {} WebSockets, silence, and {sent:?}, stopped after {took:?}",
        codes.len()
    );
}
