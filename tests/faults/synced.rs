//! What is acknowledged is on the disk: a killed program cannot show that, for the
//! system still writes what it had left.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{Engine, Gateway, Place, signal, turn};

const WRITES: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_acknowledged_write_is_synced_on_sqlite() {
    let _turn = turn().await;
    let place = Place::create(Engine::Sqlite).await;
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();
    let calls = place.folder().join("calls");
    let Some(mut watcher) = watch(gateway.id(), &calls).await else {
        println!("A3: not tried: there is no strace, or it may not watch other processes");
        return;
    };
    for number in 0..WRITES {
        let answer = client.create(&format!("synced-{number}")).await;
        answer.assert_status(201);
    }
    signal("INT", watcher.id().unwrap());
    watcher.wait().await.unwrap();
    let calls = std::fs::read_to_string(calls).unwrap();
    // One that another call interrupts has a second line, which names no file.
    let syncs = calls.lines().filter(|line| line.contains("-wal>")).count();
    assert!(syncs >= WRITES, "{syncs} for {WRITES} writes");
    println!("A3: {WRITES} writes, one after the other, and {syncs} times the log was synced");
}

/// Writes down each call that waits for the disk; none if that cannot be done here.
async fn watch(process: u32, calls: &Path) -> Option<Child> {
    let mut watcher = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(calls)
        .args(["-p", &process.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(watcher.stderr.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains(" attached") {
            // Somebody must read on, or it would wait.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(watcher);
        }
    }
    None
}
