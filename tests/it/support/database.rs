//! A private database for every test, copied from one that was migrated before.

use std::{
    any::Any,
    env, fs,
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use clientele::{clock::Clock, storage::database::Database};
use sea_orm::{
    ConnectionTrait,
    sqlx::{AssertSqlSafe, Connection, Executor, PgConnection},
};
use tempfile::TempDir;
use tokio::{runtime, sync::OnceCell};
use url::Url;

/// What a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database with the current schema and no rows.
pub struct PrivateDatabase {
    pub url: String,
    /// Where it is: takes the database away when it is dropped.
    _place: Box<dyn Any + Send + Sync>,
}

impl PrivateDatabase {
    pub async fn create(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => create_file().await,
            Engine::Postgres => create_on_server().await,
        }
    }
}

async fn create_file() -> PrivateDatabase {
    static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(migrated_file).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("clientele.db");
    fs::write(&file, template).unwrap();
    PrivateDatabase {
        url: sqlite_url(&file),
        _place: Box::new(folder),
    }
}

/// The bytes of a migrated SQLite database.
async fn migrated_file() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("template.db");
    let database = migrated(&format!("{}?mode=rwc", sqlite_url(&file))).await;
    database
        .reader
        .execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)")
        .await
        .unwrap();
    let log = fs::metadata(folder.path().join("template.db-wal")).unwrap();
    assert_eq!(log.len(), 0, "all must be in the file that is copied");
    fs::read(file).unwrap()
}

fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

async fn create_on_server() -> PrivateDatabase {
    // Nothing drops it: it goes with the server, which tests/run made for this.
    static TEMPLATE: OnceCell<OnServer> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(migrated_on_server).await;
    let copy = OnServer::create(&format!("TEMPLATE {}", template.name)).await;
    PrivateDatabase {
        url: copy.url(),
        _place: Box::new(copy),
    }
}

async fn migrated_on_server() -> OnServer {
    let template = OnServer::create("").await;
    let database = migrated(&template.url()).await;
    // PostgreSQL copies no database that somebody is connected to.
    database.close();
    template
}

async fn migrated(url: &str) -> Database {
    let database = Database::connect(url, 1, Clock::system()).await.unwrap();
    let transaction = database.begin_migration().await.unwrap();
    Database::migrate(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    database
}

/// A database on the PostgreSQL server, until it is dropped.
struct OnServer {
    name: String,
}

impl OnServer {
    async fn create(options: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", process::id());
        administer(format!("CREATE DATABASE {name} {options}")).await;
        Self { name }
    }

    fn url(&self) -> String {
        let mut url = Url::parse(&server()).unwrap();
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // A thread of its own, because the runtime of the test, which may be
        // ending, cannot be waited for here.
        let dropping = thread::spawn(|| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(administer(statement));
        });
        // What went wrong is printed already; the test need not fail for it.
        let _ = dropping.join();
    }
}

async fn administer(statement: String) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let result = connection.execute(AssertSqlSafe(statement)).await;
    result.unwrap();
    connection.close().await.unwrap();
}

fn server() -> String {
    env::var("TEST_POSTGRES_URL")
        .expect("TEST_POSTGRES_URL is not set: start the tests with tests/run, which sets it")
}
