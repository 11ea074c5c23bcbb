//! The load generator, wrk, and what the servers cost while it ran.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::process::Counted;

/// A load on one server.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// `127.0.0.1:PORT`
    pub host: &'a str,
    /// The Lua script with the requests.
    pub script: &'a str,
    /// Connections, each with one request under way.
    pub connections: u32,
    /// For how long.
    pub seconds: u32,
}

/// What wrk saw.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Seen {
    /// Requests that were answered.
    pub requests: u64,
    /// For how long.
    pub seconds: f64,
    /// The median of the latency, in microseconds.
    pub p50_us: f64,
    /// The latency that 99 of 100 requests stay below, in microseconds.
    pub p99_us: f64,
}

/// What wrk saw, and what it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measured {
    /// What wrk saw.
    #[serde(flatten)]
    pub seen: Seen,
    /// Processor time of the server for a request, in microseconds.
    pub server_us: f64,
    /// Processor time of the database for a request, in microseconds.
    pub database_us: f64,
}

impl Seen {
    /// Requests in a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let requests = self.requests as f64;
        requests / self.seconds
    }
}

impl Measured {
    /// Processor time of server and database for a request, in microseconds.
    #[must_use]
    pub fn total_us(&self) -> f64 {
        self.server_us + self.database_us
    }
}

/// Loads a server and measures it and, if it has a process of its own, its database.
///
/// # Errors
/// If a request fails, or is not answered with success.
pub fn measure(
    load: Load<'_>,
    folder: &Path,
    server: Counted,
    database: Option<Counted>,
) -> Result<Measured> {
    let time = |counted: Option<Counted>| counted.map(Counted::processor_time).transpose();
    let server_before = server.processor_time()?;
    let database_before = time(database)?;
    let seen = Running::start(load, folder)?.finish()?;
    let server_used = server.processor_time()?.saturating_sub(server_before);
    let database_used = match (time(database)?, database_before) {
        // As a figure it would look like a database that costs nothing.
        (Some(after), Some(before)) => after
            .checked_sub(before)
            .filter(|used| !used.is_zero())
            .context("the database has used no processor time, says the system")?,
        _ => Duration::ZERO,
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    let requests = seen.requests as f64;
    Ok(Measured {
        seen,
        server_us: server_used.as_secs_f64() * 1e6 / requests,
        database_us: database_used.as_secs_f64() * 1e6 / requests,
    })
}

/// A load under way. It is stopped when it is dropped.
pub struct Running {
    wrk: Option<Child>,
}

impl Running {
    /// Starts wrk.
    ///
    /// # Errors
    /// If that fails.
    pub fn start(load: Load<'_>, folder: &Path) -> Result<Self> {
        // Two loads may run at once.
        let script = tempfile::Builder::new()
            .suffix(".lua")
            .tempfile_in(folder)?;
        let (_, script) = script.keep()?;
        fs::write(&script, load.script)?;
        let wrk = Command::new("wrk")
            .args(["--threads", "1", "--latency", "--timeout", "30s"])
            .args(["--connections", &load.connections.to_string()])
            .args(["--duration", &format!("{}s", load.seconds)])
            .arg("--script")
            .arg(&script)
            .arg(format!("http://{}/", load.host))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start wrk")?;
        Ok(Self { wrk: Some(wrk) })
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If a request failed, or was not answered with success.
    pub fn finish(mut self) -> Result<Seen> {
        let wrk = self.wrk.take().context("wrk ended already")?;
        let output = wrk.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        let result = printed
            .lines()
            .find_map(|line| line.strip_prefix("result "))
            .with_context(|| format!("wrk failed: {said}{printed}"))?;
        let figures = result
            .split(' ')
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()?;
        let [
            requests,
            microseconds,
            connect,
            read,
            write,
            status,
            timeout,
            p50,
            p99,
        ] = figures[..]
        else {
            bail!("wrk told something else: {result}");
        };
        ensure!(
            connect + read + write + status + timeout == 0,
            "requests failed: {status} by their status, {timeout} took too long, \
             {connect}, {read} and {write} when connecting, reading and writing"
        );
        ensure!(requests > 0, "no request was answered in time");
        #[expect(clippy::cast_precision_loss, reason = "microseconds, below 2^52")]
        let float = |figure: u64| figure as f64;
        Ok(Seen {
            requests,
            seconds: float(microseconds) / 1e6,
            p50_us: float(p50),
            p99_us: float(p99),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(wrk) = &mut self.wrk {
            // It may have ended by itself.
            let _ = wrk.kill();
            let _ = wrk.wait();
        }
    }
}
