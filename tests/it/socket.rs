//! GraphQL over a WebSocket, subprotocol `graphql-transport-ws`.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::net::TcpStream;
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
    let next = receive(&mut socket).await;
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
    assert_eq!(receive(&mut socket).await["type"], "complete");

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
    let next = receive(&mut socket).await;
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "LIMIT_EXCEEDED"
    );
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
