//! A PostgreSQL server of the test's own, to be stopped, frozen and killed.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    process::{children, is_root, signal},
    until,
};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);

pub struct Postgres {
    folder: TempDir,
    pub port: u16,
    server: Option<Child>,
    is_frozen: bool,
}

impl Postgres {
    /// Starts a server with an empty database.
    pub async fn start() -> Self {
        static CLUSTER: OnceCell<TempDir> = OnceCell::const_new();
        let cluster = CLUSTER.get_or_init(make_cluster).await;
        let folder = owned_folder();
        let copied = as_server("cp")
            .arg("-r")
            .arg(cluster.path().join("data"))
            .arg(folder.path().join("data"))
            .status();
        assert!(copied.unwrap().success());
        let mut postgres = Self {
            folder,
            port: free_port(),
            server: None,
            is_frozen: false,
        };
        postgres.launch();
        postgres.until_it_answers().await;
        postgres
    }

    /// Starts the server again, and does not wait for it.
    pub fn launch(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join("log"));
        // A write that was acknowledged is to survive anything: nothing is switched off.
        let server = as_server(program("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=60"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.server = Some(server.unwrap());
    }

    pub async fn until_it_answers(&self) {
        let url = self.url();
        until("PostgreSQL answers", START, async || {
            PgConnection::connect(&url).await.is_ok()
        })
        .await;
    }

    /// Ends the server as a crash does: nothing is finished, nothing is saved.
    pub fn stop_immediately(&mut self) {
        let mut server = self.server.take().expect("it runs");
        signal("QUIT", server.id());
        server.wait().unwrap();
    }

    /// Stops every process of the server where it is.
    pub fn freeze(&mut self) {
        let server = self.server.as_ref().expect("it runs").id();
        // The one that starts others goes first.
        signal("STOP", server);
        for child in children(server) {
            signal("STOP", child);
        }
        self.is_frozen = true;
    }

    pub fn thaw(&mut self) {
        if let (true, Some(server)) = (self.is_frozen, &self.server) {
            for child in children(server.id()) {
                signal("CONT", child);
            }
            signal("CONT", server.id());
            self.is_frozen = false;
        }
    }

    pub fn url(&self) -> String {
        postgres_url(self.port, "postgres")
    }

    /// A session of somebody else's.
    pub async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Makes a user who must send a password.
    pub async fn demand_passwords_of(&self, user: &str) {
        let rules = self.folder.path().join("data/pg_hba.conf");
        let others = fs::read_to_string(&rules).unwrap();
        let rule = format!("host all {user} 127.0.0.1/32 scram-sha-256\n");
        fs::write(&rules, rule + &others).unwrap();
        let made = format!("CREATE ROLE {user} LOGIN PASSWORD 'right'");
        self.run(&made).await;
        self.run("SELECT pg_reload_conf()").await;
        let url = self.url().replace("postgres@", &format!("{user}@"));
        until("the rule holds", START, async || {
            PgConnection::connect(&url).await.is_err()
        })
        .await;
    }

    pub async fn run(&self, sql: &str) {
        let mut session = self.session().await;
        session.execute(AssertSqlSafe(sql)).await.unwrap();
        session.close().await.unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        if let Some(mut server) = self.server.take() {
            signal("QUIT", server.id());
            // Nothing more can be done about one that does not end.
            let _ = server.wait();
        }
    }
}

/// A database of a server without passwords.
pub fn postgres_url(port: u16, name: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

/// Whoever takes it meanwhile fails the test.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn make_cluster() -> TempDir {
    let folder = owned_folder();
    let made = as_server(program("initdb"))
        .arg("-D")
        .arg(folder.path().join("data"))
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-sync"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    folder
}

fn program(name: &str) -> PathBuf {
    let folder = env::var("TEST_POSTGRES_PROGRAMS")
        .expect("TEST_POSTGRES_PROGRAMS is not set: start the tests with tests/run, which sets it");
    Path::new(&folder).join(name)
}

/// A folder that the server may write to.
pub fn owned_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    if is_root() {
        own(folder.path());
    }
    folder
}

/// Gives a folder to the user of the server.
pub fn own(folder: &Path) {
    let id = |flag: &str| {
        let output = Command::new("id").args([flag, "postgres"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.trim().parse().expect("there is a user 'postgres'")
    };
    chown(folder, Some(id("-u")), Some(id("-g"))).unwrap();
    fs::metadata(folder).unwrap();
}

/// PostgreSQL refuses to run as root.
fn as_server(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program);
    } else {
        command = Command::new(program);
    }
    command.current_dir("/");
    command
}
