//! The listener: what it does with clients that do not keep to the protocol.

use std::net::SocketAddr;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn hostile_heads_are_refused(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let headers = "X: 1\r\n".repeat(65);
    let long = "a".repeat(9 * 1024);
    let huge = "a".repeat(64 * 1024);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "414"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n"), "431"),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nX: {huge}\r\n\r\n"),
            "431",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"
                .to_owned(),
            "400",
        ),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
        (
            "TRACE /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
            "405",
        ),
    ] {
        let answer = exchange(address, &request).await;
        let begin = &request[..request.len().min(60)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{begin}: {answer}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_stopping_server_finishes_what_was_asked_and_takes_no_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    // Half a request is under way, a second connection rests.
    let mut under_way = TcpStream::connect(address).await.unwrap();
    let mut resting = TcpStream::connect(address).await.unwrap();
    let token = &app.token;
    let body = "{\"query\":\"{ __typename }\"}";
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    under_way.write_all(head.as_bytes()).await.unwrap();
    let ping = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    resting.write_all(ping.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    assert!(resting.read(&mut buffer).await.unwrap() > 0);

    app.gateway.lifecycle.stopping.cancel();
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 503);
    under_way.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(resting.read(&mut buffer).await.unwrap(), 0, "still open");
    app.gateway.lifecycle.tasks.wait().await;
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses a head may close before it has read it all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
