//! `clientele backup`: a copy made under a running writer is whole, and what cannot be
//! copied, or not there, is refused and leaves nothing behind.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use clientele::{
    app, clock::Clock, config::Settings, gateway::Gateway, storage::database::Database,
};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    cli::{PROGRAM, assert_fails, run, stderr, stdout},
    support::{Engine, TestApp},
};

/// A database of some clients, in a folder of its own with nothing else in it.
async fn seeded(folder: &Path, clients: &str) {
    let seeded = run(folder, &["seed", "--clients", clients]).await;
    assert!(seeded.status.success(), "{}", stderr(&seeded));
}

/// The names in a folder, without those of the database.
fn others(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| !name.starts_with("clientele.db"))
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_copy_made_while_clients_are_written_is_one_state_of_the_database() {
    let app = TestApp::start(Engine::Sqlite).await;
    let folder = TempDir::new().unwrap();
    let url = ["--database-url", &app.database_url];
    let seed = [&["seed", "--clients", "300"], &url[..]].concat();
    assert!(run(folder.path(), &seed).await.status.success());

    let arguments = [&["backup", "copy.db"], &url[..]].concat();
    let mut copying = Box::pin(run(folder.path(), &arguments));
    let mut acknowledged = 0;
    let copied = loop {
        tokio::select! {
            copied = &mut copying => break copied,
            _ = app.create_client(json!({ "name": format!("Storm {acknowledged}") })) => {
                acknowledged += 1;
            }
        }
    };
    assert!(copied.status.success(), "{}", stderr(&copied));
    let said = stdout(&copied);
    assert!(said.starts_with("wrote copy.db: "), "{said}");
    assert!(said.contains(", verified by 17 checks"), "{said}");
    assert!(acknowledged > 0);

    // A gateway over the copy has the first clients of the original, and no half one.
    let copy = folder.path().join("copy.db");
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(others(folder.path()), ["copy.db"]);
    let url = format!("sqlite://{}", copy.display());
    let database = Database::connect(&url, 1, Clock::system()).await.unwrap();
    let mut restored = TestApp::start(Engine::Sqlite).await;
    restored.gateway = Gateway::new(database, Settings::default());
    restored.router = app::router(restored.gateway.clone());
    restored.token.clone_from(&app.token);
    let all = "query ($after: String) { clients(first: 500, after: $after) { totalCount
        nodes { id name accountCode createdAt version locations { nodes { id name zip } } }
        pageInfo { endCursor hasNextPage } } }";
    let copied = restored.data(all, json!({})).await;
    let original = app.data(all, json!({})).await;
    let rows = copied["clients"]["nodes"].as_array().unwrap();
    let originals = original["clients"]["nodes"].as_array().unwrap();
    assert!(rows.len() >= 300 && rows[..] == originals[..rows.len()]);
    assert!(said.contains(&format!(" {} clients, ", copied["clients"]["totalCount"])));
    // It goes on: ids are not given again, and searches find what was there.
    let created = restored.create_client(json!({ "name": "Later" })).await;
    let id: usize = created["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id, rows.len() + 1);
    let found = restored.get("/api/v1/clients?search=AC-000007").await;
    assert_eq!(found.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_target_that_is_in_the_way_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    seeded(path, "3").await;
    fs::write(path.join("there.db"), "precious").unwrap();
    fs::write(path.join("used.db-wal"), "").unwrap();
    fs::create_dir(path.join("folder.db")).unwrap();
    symlink(path.join("clientele.db"), path.join("link.db")).unwrap();
    let before = others(path);
    for (file, said) in [
        ("there.db", "there.db exists; --overwrite replaces it"),
        ("used.db", "used.db-wal exists"),
        ("folder.db", "exists and is not a file"),
        ("link.db", "is the database itself"),
        ("clientele.db", "is the database itself"),
        ("./folder.db/../clientele.db", "is the database itself"),
        ("clientele.db-wal", "belongs to it"),
        ("clientele.db-journal", "belongs to it"),
        ("missing/copy.db", "there is no folder missing"),
        ("..", "is no name for a file"),
    ] {
        for arguments in [&["backup", file][..], &["backup", file, "--overwrite"]] {
            if said.contains("--overwrite") && arguments.len() > 2 {
                continue;
            }
            assert_fails(&run(path, arguments).await, said);
            assert_eq!(others(path), before, "{file}");
        }
    }
    assert_eq!(fs::read(path.join("there.db")).unwrap(), b"precious");

    let replaced = run(path, &["backup", "there.db", "--overwrite"]).await;
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    let checked = run(path, &["check", "--database-url", "sqlite://there.db"]).await;
    assert!(checked.status.success(), "{}", stdout(&checked));
    assert_eq!(others(path), before);
}

#[tokio::test]
async fn what_is_no_database_is_not_copied_and_not_made() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("text.db"), "no database".repeat(100)).unwrap();
    fs::write(folder.path().join("empty.db"), "").unwrap();
    for (url, said) in [
        (
            "sqlite://missing.db?mode=rwc",
            "there is no SQLite database at missing.db",
        ),
        ("sqlite://text.db", "file is not a database"),
        ("sqlite://empty.db", "not a database of clientele"),
        ("sqlite::memory:", "must be a file"),
        (
            "postgres://user:secret@localhost/x",
            "pg_dump --format=custom",
        ),
        ("mysql://x/y", "must begin with sqlite:"),
    ] {
        let refused = run(folder.path(), &["backup", "copy.db", "--database-url", url]).await;
        assert_fails(&refused, said);
        assert!(!stderr(&refused).contains("secret"));
        assert_eq!(others(folder.path()), ["empty.db", "text.db"], "{url}");
    }
}

/// A limit on the size of files stands for a disk that is full: the write fails midway.
#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    seeded(folder.path(), "50").await;
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" backup copy.db";
    let output = Command::new("bash")
        .args(["-c", script, PROGRAM])
        .current_dir(folder.path())
        .env_remove("DATABASE_URL")
        .output()
        .await
        .unwrap();
    assert_fails(&output, "cannot copy to ");
    assert_eq!(others(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_folder_that_takes_no_files_is_refused() {
    let folder = TempDir::new().unwrap();
    seeded(folder.path(), "3").await;
    // No file can be made there, whoever asks.
    let refused = run(folder.path(), &["backup", "/proc/copy.db"]).await;
    assert_fails(&refused, "cannot write in the folder /proc");
}

/// A copy that breaks a rule is not kept, unless it is asked for.
#[tokio::test]
async fn a_copy_with_violations_is_not_kept_unasked() {
    let app = TestApp::start(Engine::Sqlite).await;
    app.create_client(json!({})).await;
    let wrong = "UPDATE client SET name_key = 'x'";
    let writer = app.database.writer();
    writer.execute_unprepared(wrong).await.unwrap();
    let folder = TempDir::new().unwrap();
    let backup = ["backup", "copy.db", "--database-url", &app.database_url];
    let refused = run(folder.path(), &backup).await;
    assert_fails(&refused, "so it was not kept");
    assert!(stdout(&refused).contains("client: name_key is not the key of its text (1: id 1)"));
    assert_eq!(others(folder.path()), Vec::<String>::new());

    let kept = run(
        folder.path(),
        &[&backup[..], &["--keep-violations"]].concat(),
    )
    .await;
    assert!(kept.status.success(), "{}", stderr(&kept));
    assert_eq!(others(folder.path()), ["copy.db"]);
}

/// Before a new program migrates, it can make the copy to go back to.
#[tokio::test]
async fn a_database_of_another_age_is_copied_and_told() {
    let app = TestApp::start(Engine::Sqlite).await;
    let folder = TempDir::new().unwrap();
    for (step, said) in [
        (
            "INSERT INTO seaql_migrations VALUES ('m2099', 1)",
            "newer than this program",
        ),
        (
            "DELETE FROM seaql_migrations WHERE version = 'm2099' OR version LIKE '%0004%'",
            "older than this program",
        ),
    ] {
        let writer = app.database.writer();
        writer.execute_unprepared(step).await.unwrap();
        let backup = [
            "backup",
            "copy.db",
            "--overwrite",
            "--database-url",
            &app.database_url,
        ];
        let copied = run(folder.path(), &backup).await;
        assert!(copied.status.success(), "{}", stderr(&copied));
        assert!(stdout(&copied).contains(said), "{}", stdout(&copied));
    }
}

/// Stopped midway, it takes what it wrote with it.
#[tokio::test]
async fn a_signal_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    seeded(folder.path(), "3000").await;
    let mut copying = Command::new(PROGRAM)
        .args(["backup", "copy.db"])
        .current_dir(folder.path())
        .env_remove("DATABASE_URL")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while others(folder.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    let id = copying.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(killed.unwrap().success());
    assert!(!copying.wait().await.unwrap().success());
    assert_eq!(others(folder.path()), Vec::<String>::new());
}
