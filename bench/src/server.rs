//! The two servers: started on free ports, asked by hand, stopped when dropped.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process;

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A request as it is sent to either server.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// The body of a POST; without one it is a GET.
    pub body: Option<String>,
}

/// Where a server listens, and the token that it asks for.
#[derive(Clone)]
pub struct Address {
    /// `127.0.0.1:PORT`
    pub host: String,
    /// The token; the hand-written server takes any.
    pub token: String,
}

impl Address {
    /// Sends a request and returns the body of the answer.
    ///
    /// # Errors
    /// If the status is not 200 or the body holds GraphQL errors.
    pub fn ask(&self, request: &Request) -> Result<String> {
        let url = format!("http://{}{}", self.host, request.path);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build()
            .new_agent();
        let authorization = format!("Bearer {}", self.token);
        let answer = match &request.body {
            Some(body) => agent
                .post(&url)
                .header("Authorization", &authorization)
                .header("Content-Type", "application/json")
                .send(body.as_str()),
            None => agent
                .get(&url)
                .header("Authorization", &authorization)
                .call(),
        };
        let mut answer = answer.with_context(|| format!("{url} did not answer"))?;
        let body = answer.body_mut().read_to_string()?;
        let sent = request.body.as_deref().unwrap_or_default();
        ensure!(
            answer.status() == 200,
            "{url} answered {} to {sent}: {body}",
            answer.status()
        );
        let json: Value = serde_json::from_str(&body)
            .with_context(|| format!("{url} answered no JSON to {sent}: {body}"))?;
        ensure!(
            json.get("errors").is_none(),
            "{url} answered with errors to {sent}: {body}"
        );
        Ok(body)
    }

    /// Runs a GraphQL query and returns its data.
    ///
    /// # Errors
    /// If it fails.
    pub fn query(&self, query: &str, variables: &Value) -> Result<Value> {
        let body = serde_json::json!({ "query": query, "variables": variables });
        let request = Request {
            path: "/graphql".to_owned(),
            body: Some(body.to_string()),
        };
        let mut answer: Value = serde_json::from_str(&self.ask(&request)?)?;
        Ok(answer["data"].take())
    }
}

/// A server of ours that runs.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub address: Address,
}

impl Server {
    /// Starts the hand-written server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn bare(folder: &Path, database_url: &str) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("bare");
        let address = Address {
            host: free_address()?,
            token: "none".to_owned(),
        };
        let mut command = Command::new(program);
        command
            .args(["--database-url", database_url])
            .args(["--listen", &address.host]);
        let request = Request {
            path: "/api/v1/clients?per_page=1".to_owned(),
            body: None,
        };
        Self::start(command, folder.join("bare.log"), address, &request)
    }

    fn start(
        mut command: Command,
        log: PathBuf,
        address: Address,
        until: &Request,
    ) -> Result<Self> {
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self {
            child,
            log,
            address,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = server.address.ask(until) {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(error.context(server.said()));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The memory in use, in KiB.
    ///
    /// # Errors
    /// If the server is gone.
    pub fn resident_kib(&self) -> Result<u64> {
        process::resident_kib(self.pid()).with_context(|| self.said())
    }

    /// What the server wrote to its log, for an error.
    fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("the server said: {}", lines.join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The gateway's program with the database that it works on.
pub struct Gateway<'a> {
    /// The program.
    pub program: &'a Path,
    /// The database.
    pub database_url: &'a str,
    /// A folder for its log.
    pub folder: &'a Path,
}

impl Gateway<'_> {
    /// Fills the database with demo data.
    ///
    /// # Errors
    /// If that fails.
    pub fn seed(&self, clients: u32) -> Result<()> {
        self.run(&["migrate"])?;
        self.run(&["seed", "--clients", &clients.to_string()])?;
        Ok(())
    }

    /// Starts the gateway, with a token of its own.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(&self) -> Result<Server> {
        let address = Address {
            token: self.run(&["token", "create", "--user", "bench"])?,
            host: free_address()?,
        };
        let mut command = self.command();
        command.args(["serve", "--database-url", self.database_url]);
        command.args(["--listen", &address.host]);
        let request = Request {
            path: "/api/v1/clients?per_page=1".to_owned(),
            body: None,
        };
        let log = format!("gateway-{}.log", address.host.replace(':', "-"));
        Server::start(command, self.folder.join(log), address, &request)
    }

    /// Runs a command of the gateway and returns what it printed.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command()
            .args(arguments)
            .args(["--database-url", self.database_url])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("clientele {}: {said}", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The program with the defaults that it ships with: settings meant for other
    /// gateways, in the environment or in a file `.env`, must not change figures.
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.env_clear().current_dir(self.folder);
        command
    }
}

/// An address whose port was free a moment ago.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.to_string())
}
