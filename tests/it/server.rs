//! The listener: what it does with clients that do not keep to the protocol.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clientele::config::Settings;
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
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

/// A name that is no name could be read in two ways by two programs on the way.
#[rstest]
#[tokio::test]
async fn a_request_names_one_host(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    for head in [
        "GET /healthz HTTP/1.1",
        "GET /healthz HTTP/1.1\r\nHost:",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x",
        "GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y",
        "GET /healthz HTTP/1.1\r\nHost: a b/c",
        "GET /healthz HTTP/1.1\r\nHost: x/y",
        "GET /healthz HTTP/1.1\r\nHost: user@x",
        "GET /healthz HTTP/1.1\r\nHost: x:port",
        "GET /healthz HTTP/1.1\r\nHost: x:+80",
        "GET /healthz HTTP/1.1\r\nHost: x:65536",
        "GET /healthz HTTP/1.1\r\nHost: :80",
        "GET /healthz HTTP/1.1\r\nHost: [hello]",
        "GET /healthz HTTP/1.1\r\nHost: [1.2.3.4]",
        "GET /healthz HTTP/1.1\r\nHost: []",
        "GET /healthz HTTP/1.1\r\nHost: a[1]",
        "GET /healthz HTTP/1.1\r\nHost: a[b]:80",
        "GET /healthz HTTP/1.1\r\nHost: [::1]a",
        "GET /healthz HTTP/1.1\r\nHost: \u{ff}",
        "GET http://x/healthz HTTP/1.1",
        "GET http://user@x/healthz HTTP/1.1\r\nHost: x",
    ] {
        let answer = whole(address, head).await;
        assert!(answer.contains(" 400 Bad Request\r\n"), "{head}: {answer}");
        let problem = "content-type: application/problem+json\r\n";
        assert!(answer.contains(problem), "{head}: {answer}");
        assert!(answer.contains("request_id"), "{head}: {answer}");
    }
    for head in [
        "GET /healthz HTTP/1.0",
        "GET /healthz HTTP/1.1\r\nHost: x",
        "GET /healthz HTTP/1.1\r\nHost: EXAMPLE.com:8080",
        "GET /healthz HTTP/1.1\r\nHost: x:",
        "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:80",
        "GET /healthz HTTP/1.1\r\nHost: [::1]:8080",
        "GET /healthz HTTP/1.1\r\nHost: [::ffff:1.2.3.4]",
        "GET /healthz HTTP/1.1\r\nHost: [v1.a:b]",
        "GET http://x/healthz HTTP/1.1\r\nHost: x",
    ] {
        let answer = whole(address, head).await;
        assert!(answer.contains(" 200 OK\r\n"), "{head}: {answer}");
    }
}

#[rstest]
#[tokio::test]
async fn chunks_are_the_only_transfer_coding(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    for (coding, status) in [
        ("chunked", "401"),
        ("Chunked", "401"),
        ("gzip, chunked", "501"),
        ("gzip\r\nTransfer-Encoding: chunked", "501"),
        ("chunked, chunked", "501"),
        ("gzip", "400"),
    ] {
        let head = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {coding}");
        let answer = whole(address, &format!("{head}\r\nConnection: close\r\n\r\n0")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{coding}: {answer}"
        );
    }
}

/// Programs that send all before they read anything, as most do.
#[rstest]
#[tokio::test]
async fn who_is_refused_while_sending_sees_the_answer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const TIMES: usize = 8;
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let long = vec![b' '; 4 * 1024 * 1024];
    let (token, read_token) = (app.token.as_str(), app.read_token.as_str());
    let json = "Content-Type: application/json";
    let form = "Content-Type: multipart/form-data; boundary=x";
    for (target, token, media, status) in [
        ("POST /graphql", "wrong", json, "401 "),
        ("POST /graphql", token, json, "413 "),
        ("POST /graphql", token, form, "415 "),
        ("POST /api/v1/clients", "wrong", json, "401 "),
        ("POST /api/v1/clients", read_token, json, "403 "),
        ("POST /api/v1/clients", token, json, "413 "),
        ("POST /api/v1/clients", token, form, "415 "),
        ("POST /nowhere", token, json, "404 "),
        ("DELETE /graphql", token, json, "405 "),
    ] {
        let head =
            format!("{target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{media}");
        for time in 0..TIMES {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if time % 2 == 0 {
                let head = format!("{head}\r\nContent-Length: {}\r\n\r\n", long.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&long).await.unwrap();
            } else {
                let head = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                for chunk in long.chunks(100_000) {
                    let length = format!("{:x}\r\n", chunk.len());
                    stream.write_all(length.as_bytes()).await.unwrap();
                    stream.write_all(chunk).await.unwrap();
                    stream.write_all(b"\r\n").await.unwrap();
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
            let answer = one_answer(&mut stream).await;
            let expected = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&expected), "{head}: {answer}");
            // All of it was read, so the connection goes on.
            let ping = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(ping).await.unwrap();
            let answer = one_answer(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{head}: {answer}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn connections_that_say_nothing_make_room_for_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let settings = Settings {
        max_connections: 4,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let address = app.serve().await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(request).await.unwrap();
        let answer = one_answer(&mut other).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // The oldest of those that said nothing were closed.
    let mut rest = String::new();
    let closed = silent[0].read_to_string(&mut rest).await;
    assert!(closed.is_err() || rest.is_empty(), "{rest}");
}

/// Where the length is known, nobody has to send anything first.
#[rstest]
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_comes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const AT_ONCE: Duration = Duration::from_secs(5);
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let token = &app.token;
    for path in ["/graphql", "/api/v1/clients"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json"
        );
        for (more, closes) in [
            ("Content-Length: 2000000", false),
            // More than would be thrown away.
            ("Content-Length: 20000000000", true),
            ("Content-Length: 2000000\r\nExpect: 100-continue", true),
            // Nobody waits for that.
            ("Content-Length: 2000000\r\nExpect: something", false),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("{head}\r\n{more}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = timeout(AT_ONCE, one_answer(&mut stream)).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 413 "), "{more}: {answer}");
            let says = answer.to_lowercase().contains("connection: close");
            assert_eq!(says, closes, "{more}: {answer}");
        }
        // Who sends all of it nevertheless sees the answer, too.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = 8 * 1024 * 1024;
        let announced =
            format!("{head}\r\nContent-Length: {length}\r\nExpect: 100-Continue\r\n\r\n");
        stream.write_all(announced.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; length]).await.unwrap();
        let answer = timeout(AT_ONCE, one_answer(&mut stream)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

        let body = r#"{"query":"{ __typename }","client":{}}"#;
        let length = body.len();
        let announced =
            format!("{head}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(announced.as_bytes()).await.unwrap();
        let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body.as_bytes()).await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert!(!answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[rstest]
#[tokio::test]
async fn a_connection_rests_as_long_as_the_operator_says(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let settings = Settings {
        keep_alive_seconds: 1,
        ..Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    let address = app.serve().await;
    let ping = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (begun, rest) = ping.split_at(10);
    let open = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ping).await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        stream
    };
    let mut half = open().await;
    half.write_all(begun).await.unwrap();
    // Two, one after the other: more than a second for the half one, too.
    for _ in 0..2 {
        let mut resting = open().await;
        let since = Instant::now();
        let ended = timeout(Duration::from_secs(10), resting.read_u8()).await;
        assert!(ended.unwrap().is_err(), "something was sent");
        assert!(since.elapsed() > Duration::from_millis(900));
    }
    // Neither an empty line nor a body that nobody wanted is the beginning of a request.
    let body = "x".repeat(100_000);
    let refused =
        format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{body}");
    for more in ["\r\n", refused.as_str()] {
        let mut resting = open().await;
        resting.write_all(more.as_bytes()).await.unwrap();
        if more == refused {
            let answer = one_answer(&mut resting).await;
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        }
        let ended = timeout(Duration::from_secs(10), resting.read_u8()).await;
        assert!(ended.unwrap().is_err(), "something was sent");
    }
    // What has begun has the time that a head has.
    half.write_all(rest).await.unwrap();
    let answer = one_answer(&mut half).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// All of them at the same time: each takes 15 seconds.
#[rstest]
#[tokio::test]
async fn clients_that_do_not_go_on_are_given_up(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    const EARLY: Duration = Duration::from_secs(12);
    const LATE: Duration = Duration::from_secs(20);
    const LISTS: usize = 2_000;
    let app = TestApp::start(engine).await;
    let address = app.serve().await;
    let connect = || TcpStream::connect(address);

    // One asks for much and reads hardly anything.
    let blocked = TcpSocket::new_v4().unwrap();
    blocked.set_recv_buffer_size(4096).unwrap();
    let mut blocked = blocked.connect(address).await.unwrap();
    let list = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    blocked
        .write_all(list.repeat(LISTS).as_bytes())
        .await
        .unwrap();
    assert_eq!(blocked.read_u8().await.unwrap(), b'H');

    let since = Instant::now();
    let silent = async {
        let mut stream = connect().await.unwrap();
        stream.read_u8().await.unwrap_err();
        since.elapsed()
    };
    let half_a_head = async {
        let mut stream = connect().await.unwrap();
        let ping = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(ping.as_bytes()).await.unwrap();
        one_answer(&mut stream).await;
        stream.write_all(&ping.as_bytes()[..10]).await.unwrap();
        stream.read_u8().await.unwrap_err();
        since.elapsed()
    };
    let one_and_a_half = async {
        let mut stream = connect().await.unwrap();
        let both = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTT";
        stream.write_all(both).await.unwrap();
        one_answer(&mut stream).await;
        stream.read_u8().await.unwrap_err();
        since.elapsed()
    };
    let half_a_body = async {
        let mut stream = connect().await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
            app.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        since.elapsed()
    };
    let (silent, half_a_head, one_and_a_half, half_a_body) =
        tokio::join!(silent, half_a_head, one_and_a_half, half_a_body);
    for elapsed in [silent, half_a_head, one_and_a_half, half_a_body] {
        assert!((EARLY..LATE).contains(&elapsed), "{elapsed:?}");
    }
    // The one that does not read is gone, too: otherwise it would be waited for.
    app.gateway.lifecycle.stopping.cancel();
    app.gateway.lifecycle.tasks.close();
    let all = app.gateway.lifecycle.tasks.wait();
    timeout(Duration::from_secs(10), all).await.unwrap();
    drop(blocked);
}

/// The answer to a request without a body, whose head has no end yet, on a connection that
/// is closed then.
async fn whole(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let close = if head.contains("Connection") {
        ""
    } else {
        "\r\nConnection: close"
    };
    let request = format!("{head}{close}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The next answer on a connection that may go on.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(answer).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses a head may close before it has read it all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
