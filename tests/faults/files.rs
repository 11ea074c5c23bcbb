//! Databases that cannot be used, and a gateway that runs out of files.

use std::{fs, process::Command, time::Duration};

use rstest::rstest;
use sea_orm::sqlx::Connection;
use tokio::net::TcpStream;

use crate::support::{
    Engine, Gateway, Place, clientele, cpu_time_within, is_root, sqlite_url, turn, until,
};

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_at_the_start() {
    let place = Place::create(Engine::Sqlite).await;
    let url = place.url();
    clientele(place.folder(), &["migrate", "--database-url", &url])
        .output()
        .await;
    let whole = fs::read(place.file()).unwrap();
    // The header is right, and what follows is not.
    let corrupt = place.folder().join("corrupt.db");
    let mut bytes = whole.clone();
    for byte in &mut bytes[100..] {
        *byte = !*byte;
    }
    fs::write(&corrupt, &bytes).unwrap();
    let folder = place.folder().join("folder.db");
    fs::create_dir(&folder).unwrap();
    let read_only = format!("sqlite://{}?mode=ro", place.file().display());
    for (url, expected) in [
        (sqlite_url(&corrupt), "malformed"),
        (sqlite_url(&folder), "unable to open"),
        (read_only, "readonly"),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url];
        let text = clientele(place.folder(), &arguments).failure().await;
        assert!(text.contains(expected), "{text}");
        println!("C9 {}", text.trim_end());
    }
    assert_eq!(fs::read(&corrupt).unwrap(), bytes, "it was written to");
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_said_at_the_start() {
    let _turn = turn().await;
    let place = Place::create(Engine::Postgres).await;
    let postgres = place.postgres.as_ref().unwrap();
    postgres.demand_passwords_of("guarded").await;
    let server = format!("127.0.0.1:{}", postgres.port);
    for (url, expected) in [
        (
            format!("postgres://guarded:secret@{server}/postgres"),
            "password authentication failed",
        ),
        (
            format!("postgres://postgres:secret@{server}/missing"),
            "database \"missing\" does not exist",
        ),
        (
            format!("postgres://nobody:secret@{server}/postgres"),
            "role \"nobody\" does not exist",
        ),
    ] {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url];
        let text = clientele(place.folder(), &arguments).failure().await;
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
        println!("C9 {}", text.trim_end());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_that_goes_into_a_deleted_file() {
    let _turn = turn().await;
    let place = Place::create(Engine::Sqlite).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.create("before").await.assert_status(201);
    let aside = place.folder().join("aside.db");
    fs::rename(place.file(), &aside).unwrap();
    for number in 0..5 {
        let answer = client.create(&format!("lost-{number}")).await;
        answer.assert_unavailable();
    }
    client.get("/healthz").await.assert_status(200);
    client.get("/readyz").await.assert_unavailable();
    assert!(!place.file().exists(), "another one was made");
    assert!(gateway.log().contains("put it back"), "{}", gateway.log());

    fs::rename(&aside, place.file()).unwrap();
    let back = until("it is found again", Duration::from_secs(2), async || {
        client.is_ready().await
    })
    .await;
    client.create("after").await.assert_status(201);
    client.get("/api/v1/clients/1").await.assert_status(200);
    place.session().await.close().await.unwrap();
    println!("C9: a file that was moved away is noticed, and found again after {back:?}");
}

/// Accepting fails when there is no file descriptor left; so does opening a connection
/// to the database, which says nothing about the database.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_file_descriptors_waits_for_some(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    client.create("one").await.assert_status(201);
    let limited = Command::new("prlimit")
        .args([&format!("--pid={}", gateway.id()), "--nofile=64"])
        .status();
    assert!(limited.unwrap().success());
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(TcpStream::connect(&gateway.address).await.unwrap());
    }
    until("there is none left", Duration::from_secs(5), async || {
        gateway.log().contains("cannot accept a connection")
    })
    .await;
    let used = cpu_time_within(Duration::from_secs(2), gateway.id()).await;
    assert!(used < Duration::from_millis(600), "it spins: {used:?}");
    drop(sockets);
    let back = until("it answers again", Duration::from_secs(2), async || {
        client.is_ready().await
    })
    .await;
    client.create("two").await.assert_status(201);
    println!("C10 {engine:?}: {used:?} of processor time in 2 s, answers after {back:?}");
}

/// A file that the gateway may read and not write.
#[tokio::test]
async fn a_file_of_somebody_else_is_not_served() {
    let place = Place::create(Engine::Sqlite).await;
    let url = place.url();
    clientele(place.folder(), &["migrate", "--database-url", &url])
        .output()
        .await;
    if is_root() {
        println!("C9: root may write to every file, so a file of somebody else is not tried");
        return;
    }
    let mut permissions = fs::metadata(place.file()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(place.file(), permissions).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", &url];
    let text = clientele(place.folder(), &arguments).failure().await;
    assert!(text.contains("readonly"), "{text}");
}
