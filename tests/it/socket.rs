//! GraphQL over a WebSocket, subprotocol `graphql-transport-ws`.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::support::{Engine, TestApp};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[rstest]
#[tokio::test]
async fn queries_and_mutations_are_answered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut socket = connect(app.serve().await, &[]).await.unwrap();
    send(&mut socket, &init(&app.token)).await;
    assert_eq!(
        receive(&mut socket).await,
        json!({ "type": "connection_ack" })
    );

    app.create_client(json!({ "name": "Acme" })).await;
    send(
        &mut socket,
        &subscribe("1", "{ clients { nodes { name } } }"),
    )
    .await;
    let next = receive(&mut socket).await;
    assert_eq!(next["id"], "1");
    assert_eq!(
        next["payload"]["data"],
        json!({ "clients": { "nodes": [{ "name": "Acme" }] } })
    );
    assert_eq!(
        receive(&mut socket).await,
        json!({ "type": "complete", "id": "1" })
    );

    let rename = "mutation { updateClient(id: 1, input: { name: \"New\" }) { client { name } } }";
    send(&mut socket, &subscribe("2", rename)).await;
    let next = receive(&mut socket).await;
    assert_eq!(
        next["payload"]["data"]["updateClient"]["client"]["name"],
        "New"
    );
}

#[rstest]
#[tokio::test]
async fn a_token_is_checked_at_the_start_and_for_every_operation(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    for (first, code) in [
        (json!({ "type": "connection_init" }), 4403),
        (init("clt_wrong"), 4403),
        (subscribe("1", "{ __typename }"), 4401),
        (json!("nonsense"), 4400),
    ] {
        let mut socket = connect(address, &[]).await.unwrap();
        send(&mut socket, &first).await;
        assert_eq!(close_code(&mut socket).await, code, "{first}");
    }

    let mut socket = connect(address, &[]).await.unwrap();
    send(&mut socket, &init(&app.read_token)).await;
    assert_eq!(receive(&mut socket).await["type"], "connection_ack");
    let rename = "mutation { updateClient(id: 1, input: { name: \"New\" }) { client { name } } }";
    send(&mut socket, &subscribe("1", rename)).await;
    let refused = receive(&mut socket).await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "FORBIDDEN");

    let transaction = app.database.begin().await.unwrap();
    let prefix = clientele::auth::tokens::prefix_of(&app.read_token).unwrap();
    clientele::auth::tokens::revoke(&transaction, &app.database.clock, prefix)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    send(&mut socket, &subscribe("2", "{ clients { totalCount } }")).await;
    assert_eq!(close_code(&mut socket).await, 4403);
}

#[rstest]
#[tokio::test]
async fn expensive_documents_are_refused_here_too(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut socket = connect(app.serve().await, &[]).await.unwrap();
    send(&mut socket, &init(&app.token)).await;
    receive(&mut socket).await;
    let mut bomb = "query { ...f0 } fragment f9 on Query { __typename }".to_owned();
    for level in 0..9 {
        let spreads = format!("...f{} ", level + 1).repeat(8);
        bomb = format!("{bomb} fragment f{level} on Query {{ {spreads} }}");
    }
    send(&mut socket, &subscribe("1", &bomb)).await;
    let refused = receive(&mut socket).await;
    assert_eq!(refused["type"], "error");
    assert_eq!(refused["id"], "1");
    assert_eq!(
        refused["payload"][0]["extensions"]["code"],
        "LIMIT_EXCEEDED"
    );
}

#[rstest]
#[tokio::test]
async fn the_protocol_is_kept(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let address = app.serve().await;
    let mut socket = acknowledged(&app, address).await;
    send(&mut socket, &json!({ "type": "ping" })).await;
    assert_eq!(receive(&mut socket).await, json!({ "type": "pong" }));
    send(
        &mut socket,
        &json!({ "type": "ping", "payload": { "n": 1 } }),
    )
    .await;
    let pong = json!({ "type": "pong", "payload": { "n": 1 } });
    assert_eq!(receive(&mut socket).await, pong);
    // Neither is answered.
    send(&mut socket, &json!({ "type": "pong" })).await;
    send(&mut socket, &json!({ "type": "complete", "id": "none" })).await;
    send(&mut socket, &init(&app.token)).await;
    assert_eq!(close_code(&mut socket).await, 4429);

    let mut socket = acknowledged(&app, address).await;
    send(&mut socket, &json!({ "type": "start", "id": "1" })).await;
    assert_eq!(close_code(&mut socket).await, 4400);
}

#[rstest]
#[tokio::test]
async fn an_id_names_one_operation_at_a_time(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    app.create_client(json!({})).await;
    let address = app.serve().await;
    // It waits for this lock.
    let transaction = app.database.begin().await.unwrap();
    let lock = "UPDATE client SET notes = notes WHERE id = 1";
    transaction.execute_unprepared(lock).await.unwrap();
    let rename = "mutation { updateClient(id: 1, input: { name: \"New\" }) { client { name } } }";

    let mut socket = acknowledged(&app, address).await;
    send(&mut socket, &subscribe("a", rename)).await;
    send(&mut socket, &subscribe("b", "{ __typename }")).await;
    assert_eq!(receive(&mut socket).await["id"], "b");
    assert_eq!(receive(&mut socket).await["type"], "complete");
    send(&mut socket, &subscribe("a", "{ __typename }")).await;
    assert_eq!(close_code(&mut socket).await, 4409);

    // One that was completed by the client is not answered, and its id is free.
    let mut socket = acknowledged(&app, address).await;
    send(&mut socket, &subscribe("a", rename)).await;
    send(&mut socket, &json!({ "type": "complete", "id": "a" })).await;
    send(&mut socket, &subscribe("a", "{ __typename }")).await;
    let next = receive(&mut socket).await;
    assert_eq!(next["payload"]["data"], json!({ "__typename": "Query" }));
    transaction.rollback().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    // More than the buffers of the operating system take.
    const BYTES: usize = 64 * 1024 * 1024;
    let app = TestApp::start(engine).await;
    let mut stream = TcpStream::connect(app.serve().await).await.unwrap();
    let hello = "GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    stream.write_all(hello.as_bytes()).await.unwrap();
    // Pings of 125 bytes, masked with zeros.
    let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
    ping.extend([b'p'; 125]);
    let pings = ping.repeat(1_000);
    let mut sent = 0;
    while sent < BYTES {
        match timeout(Duration::from_secs(2), stream.write_all(&pings)).await {
            Ok(Ok(())) => sent += pings.len(),
            // Not taken, or the connection was closed.
            Err(_) | Ok(Err(_)) => return,
        }
    }
    panic!("{sent} bytes of pings were read, and their answers were not");
}

#[rstest]
#[tokio::test]
async fn foreign_pages_and_other_protocols_get_no_socket(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let own = format!("http://{address}");
    assert!(connect(address, &[("origin", &own)]).await.is_ok());
    let foreign = [("origin", "https://elsewhere.example")];
    assert_eq!(refusal(connect(address, &foreign).await), 403);
    let old = [("sec-websocket-protocol", "graphql-ws")];
    assert_eq!(refusal(connect(address, &old).await), 400);
}

#[rstest]
#[tokio::test]
async fn a_stopping_server_says_goodbye(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let mut socket = connect(app.serve().await, &[]).await.unwrap();
    send(&mut socket, &init(&app.token)).await;
    receive(&mut socket).await;
    app.gateway.lifecycle.stopping.cancel();
    assert_eq!(close_code(&mut socket).await, 1001);
}

/// A connection that was let in.
async fn acknowledged(app: &TestApp, address: SocketAddr) -> Socket {
    let mut socket = connect(address, &[]).await.unwrap();
    send(&mut socket, &init(&app.token)).await;
    assert_eq!(receive(&mut socket).await["type"], "connection_ack");
    socket
}

async fn connect(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}/graphql")
        .into_client_request()
        .unwrap();
    let defaults = [("sec-websocket-protocol", "graphql-transport-ws")];
    for (name, value) in defaults.iter().chain(headers) {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

fn refusal(connected: Result<Socket, Error>) -> u16 {
    match connected {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } })
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

async fn send(socket: &mut Socket, message: &Value) {
    socket
        .send(Message::text(message.to_string()))
        .await
        .unwrap();
}

async fn receive(socket: &mut Socket) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            other => panic!("not closed with a code: {other:?}"),
        }
    }
}
