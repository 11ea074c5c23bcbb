//! The PostgreSQL server that `bench/run` started: its databases, and pgbench.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::{options::Options, process::Counted};

/// Connections of pgbench: as many as the hand-written server has.
const PGBENCH_CLIENTS: &str = "8";

/// How long requests under way may take once the load has ended.
const LAST_REQUESTS: Duration = Duration::from_millis(200);

/// The server.
pub struct Postgres {
    url: String,
    programs: PathBuf,
    /// Its processor time.
    pub counted: Counted,
}

/// A database on it.
pub struct Database<'a> {
    server: &'a Postgres,
    /// The database.
    pub url: String,
}

/// How long pgbench runs.
#[derive(Clone, Copy)]
pub enum Length {
    /// This long.
    Seconds(u32),
    /// Just long enough to see that it works.
    Moment,
}

/// What pgbench measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Floor {
    /// Transactions in a second.
    pub per_second: f64,
    /// Processor time of PostgreSQL for one, in microseconds.
    pub database_us: f64,
}

impl Postgres {
    /// The server that the options tell of.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            url: options.postgres_url.clone(),
            programs: options.postgres_programs.clone(),
            counted: Counted::Postgres(options.postgres_pid),
        }
    }

    /// Makes a database.
    ///
    /// # Errors
    /// If PostgreSQL refuses.
    pub fn create_database(&self, name: &str) -> Result<Database<'_>> {
        self.execute(&self.url, &format!("CREATE DATABASE {name}"))?;
        let (server, _) = self
            .url
            .rsplit_once('/')
            .context("the URL of PostgreSQL names no database")?;
        Ok(Database {
            server: self,
            url: format!("{server}/{name}"),
        })
    }

    fn execute(&self, url: &str, sql: &str) -> Result<()> {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
            .args(["--command", sql, url])
            .stdin(Stdio::null())
            .output()
            .context("cannot start psql")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql: {said}");
        Ok(())
    }
}

impl Database<'_> {
    /// Brings the database to the state from which all workloads are measured: with
    /// no clients but the first `clients`, no dead rows, and a checkpoint just made,
    /// so that what the last workload wrote is not paid for by the next one.
    ///
    /// # Errors
    /// If PostgreSQL refuses.
    pub fn settle(&self, clients: u32) -> Result<()> {
        // A server finishes requests that the load generator no longer waits for.
        sleep(LAST_REQUESTS);
        let delete = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; \
             DELETE FROM client_location WHERE client_id > {clients}; \
             DELETE FROM client WHERE id > {clients}; \
             COMMIT"
        );
        for sql in [&delete, "VACUUM ANALYZE", "CHECKPOINT"] {
            self.server.execute(&self.url, sql)?;
        }
        Ok(())
    }

    /// Runs scripts with pgbench, by turns, each as one prepared transaction.
    ///
    /// # Errors
    /// If a statement fails.
    pub fn pgbench(&self, folder: &Path, scripts: &[String], length: Length) -> Result<Floor> {
        let mut command = Command::new(self.server.programs.join("pgbench"));
        command
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
            .args(["--client", PGBENCH_CLIENTS, "--random-seed=1"])
            .arg(match length {
                Length::Seconds(seconds) => format!("--time={seconds}"),
                Length::Moment => "--transactions=10".to_owned(),
            });
        for (index, script) in scripts.iter().enumerate() {
            let file = folder.join(format!("{index}.pgbench"));
            fs::write(&file, script)?;
            command.arg("--file").arg(file);
        }
        command.arg(&self.url).stdin(Stdio::null());

        let before = self.server.counted.processor_time()?;
        let output = command.output().context("cannot start pgbench")?;
        let after = self.server.counted.processor_time()?;
        let used = after.saturating_sub(before);
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {said}");
        let printed = String::from_utf8(output.stdout)?;
        let figure = |label: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(label));
            // A number of transactions may be told as "80/80".
            let figure = line.and_then(|rest| rest.split([' ', '/']).next()?.parse::<f64>().ok());
            figure.with_context(|| format!("pgbench did not tell {label:?}: {printed}"))
        };
        let transactions = figure("number of transactions actually processed: ")?;
        Ok(Floor {
            per_second: figure("tps = ")?,
            database_us: used.as_secs_f64() * 1e6 / transactions.max(1.0),
        })
    }
}
