//! Where the data of a case is.

use std::path::{Path, PathBuf};

use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use super::{Postgres, clientele};

/// What a case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database of one case, and a folder for what else it writes.
pub struct Place {
    pub engine: Engine,
    folder: TempDir,
    pub postgres: Option<Postgres>,
    url: String,
}

impl Place {
    pub async fn create(engine: Engine) -> Self {
        let folder = TempDir::new().unwrap();
        let postgres = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Postgres::start().await),
        };
        let url = match &postgres {
            Some(postgres) => postgres.url(),
            None => sqlite_url(&folder.path().join("clientele.db")),
        };
        Self {
            engine,
            folder,
            postgres,
            url,
        }
    }

    /// The same, but the gateway's database is at another address.
    pub fn at(mut self, url: String) -> Self {
        self.url = url;
        self
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("it is on PostgreSQL")
    }

    /// The SQLite file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("clientele.db")
    }

    /// A session of somebody else's, on the SQLite file.
    pub async fn session(&self) -> SqliteConnection {
        let url = self.url.split('?').next().unwrap();
        SqliteConnection::connect(url).await.unwrap()
    }

    /// Has the program check all that must hold in every database.
    pub async fn assert_sound(&self) {
        let arguments = ["check", "--database-url", &self.url];
        clientele(self.folder(), &arguments).output().await;
    }

    /// Runs statements as somebody else.
    pub async fn run(&self, sql: &str) {
        if let Some(postgres) = &self.postgres {
            postgres.run(sql).await;
        } else {
            let mut session = self.session().await;
            session.execute(AssertSqlSafe(sql)).await.unwrap();
        }
    }
}

pub fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}
