//! A disk that is full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rstest::rstest;
use serde_json::json;

use crate::support::{
    Client, Engine, Gateway, Place, is_root, own, postgres_url, sqlite_url, turn, until,
};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_heals(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let _turn = turn().await;
    let place = Place::create(engine).await;
    let mebibytes = match engine {
        Engine::Sqlite => 4,
        // An empty database alone has eight.
        Engine::Postgres => 24,
    };
    let Some(disk) = Disk::mount(place.folder(), mebibytes) else {
        println!("C8 {engine:?}: not tried, for this user may not mount a disk");
        return;
    };
    // To be deleted, for there to be space again.
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 2 * 1024 * 1024]).unwrap();
    let url = match &place.postgres {
        None => sqlite_url(&disk.0.join("clientele.db")),
        Some(postgres) => {
            own(&disk.0);
            let path = disk.0.display();
            postgres
                .run(&format!("CREATE TABLESPACE small LOCATION '{path}'"))
                .await;
            postgres.run("CREATE DATABASE small TABLESPACE small").await;
            postgres_url(postgres.port, "small")
        }
    };
    let place = place.at(url);
    let gateway = Gateway::start(&place).await;
    let client = gateway.client();

    let mut created = 0;
    let refused = loop {
        let answer = create(&client, created).await;
        if answer.status != 201 {
            break answer;
        }
        created += 1;
        assert!(created < 1_000, "the disk is never full");
    };
    refused.assert_status(507);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("disk"), "{detail}");
    for number in 1..20 {
        let answer = create(&client, created + number).await;
        answer.assert_status(507);
        let list = client.get("/api/v1/clients?mode=count").await;
        assert_eq!(list.json()["record_count"], created);
    }
    let answer = client
        .graphql("mutation { updateClient(id: 1, input: { notes: \"x\" }) { client { id } } }")
        .await;
    if let Some(error) = answer.json().get("errors") {
        assert_eq!(error[0]["extensions"]["code"], "UNAVAILABLE");
    }
    client.get("/api/v1/clients/1").await.assert_status(200);

    fs::remove_file(&ballast).unwrap();
    let limit = Duration::from_secs(1);
    let healed = until("writes succeed again", limit, async || {
        create(&client, created).await.status == 201
    })
    .await;
    let list = client.get("/api/v1/clients?mode=count").await;
    assert_eq!(list.json()["record_count"], created + 1);
    let locations = client.get("/api/v1/client/locations?mode=count").await;
    assert_eq!(locations.json()["record_count"], created + 1);
    place.assert_sound().await;
    println!(
        "C8 {engine:?}: {created} fitted, then 507; writes succeed {healed:?} after the space"
    );
}

/// A client of 60 kB that does not compress.
async fn create(client: &Client, number: u64) -> crate::support::Answer {
    let mut random = number.wrapping_add(1);
    let notes: String = (0..60_000)
        .map(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + 1 + u8::try_from((random >> 33) % 94).unwrap())
        })
        .collect();
    let location = json!({ "name": "Main", "state": "CO", "country": "US" });
    let body = json!({ "client": {
        "name": "Large", "notes": notes, "primary_location": location,
    } });
    client.post("/api/v1/clients", &body).await
}

/// A small disk, unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// None if this user may not.
    fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        let path = folder.join("disk");
        fs::create_dir(&path).unwrap();
        if !is_root() {
            return None;
        }
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&path)
            .output()
            .unwrap();
        mounted.status.success().then_some(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once, or when nobody uses it any more.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}
