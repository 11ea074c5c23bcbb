//! The program, as a process of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{Client, Place, process::signal};

const PROGRAM: &str = env!("CARGO_BIN_EXE_clientele");
/// How long it may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that serves; killed when it is dropped.
pub struct Gateway {
    child: Child,
    pub address: String,
    pub token: String,
    log: PathBuf,
}

impl Gateway {
    /// Starts one over a database, with a token for it.
    pub async fn start(place: &Place) -> Self {
        Self::start_with(place, &[]).await
    }

    pub async fn start_with(place: &Place, arguments: &[&str]) -> Self {
        let mut gateway = Self::launch(place, &place.url(), arguments).await;
        let token = clientele(
            place.folder(),
            &[
                "token",
                "create",
                "--user",
                "tester",
                "--database-url",
                &place.url(),
            ],
        );
        let token = token.output().await;
        token.trim_end().clone_into(&mut gateway.token);
        gateway
    }

    /// Starts one by the way that `url` shows, with no token yet.
    pub async fn launch(place: &Place, url: &str, arguments: &[&str]) -> Self {
        let log = place.folder().join("gateway.log");
        let stderr = File::options().append(true).create(true).open(&log);
        let mut command = clientele(place.folder(), &["--listen", "127.0.0.1:0"]).0;
        let mut child = command
            .args(["--database-url", url])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(stderr.unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("it starts in time").unwrap();
        let written = fs::read_to_string(&log).unwrap();
        let line = line.unwrap_or_else(|| panic!("it did not start: {written}"));
        let address = line.strip_prefix("Listening on http://").expect(&line);
        Self {
            address: address.to_owned(),
            child,
            token: String::new(),
            log,
        }
    }

    /// Starts it again after it has ended, with its old token.
    pub async fn restart(&mut self, place: &Place) {
        let token = std::mem::take(&mut self.token);
        *self = Self::launch(place, &place.url(), &[]).await;
        self.token = token;
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address, &self.token)
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends it at once, as a crash does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn terminate(&self) {
        signal("TERM", self.id());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends in time").unwrap()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

/// A command of the program.
pub struct Clientele(Command);

pub fn clientele(folder: &Path, arguments: &[&str]) -> Clientele {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Clientele(command)
}

impl Clientele {
    /// What it prints. It must succeed.
    pub async fn output(mut self) -> String {
        let output = self.0.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says goes wrong, in one line.
    pub async fn failure(mut self) -> String {
        let output = timeout(PATIENCE, self.0.output()).await;
        let output = output.expect("it ends in time").unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let is_error = |line: &&str| line.starts_with("clientele: ");
        assert_eq!(text.lines().filter(is_error).count(), 1, "{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    pub fn spawn(mut self) -> Child {
        self.0
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}
