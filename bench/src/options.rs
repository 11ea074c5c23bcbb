//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the gateway: against a hand-written server and pgbench over the same
/// PostgreSQL, and by itself as data grows, over time, and on SQLite.
///
/// Call it as `bench/run`, which builds everything and starts a throw-away PostgreSQL.
/// Data lies below TMPDIR: choose a folder on a real disk, for on a file system in
/// memory durable commits cost nothing.
#[derive(Parser, Clone, Debug)]
#[command(name = "bench/run", override_usage = "bench/run [OPTIONS]")]
pub struct Options {
    /// Clients in the database
    #[arg(long, value_name = "N", default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(500..))]
    pub clients: u32,
    /// Seconds for each workload, server and round
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Rounds; the table shows medians over them
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Connections of the load generator; latency is measured with one, too
    #[arg(long, value_name = "N", default_value_t = 32,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Only these workloads, such as Q1,M2; all unless told otherwise
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub workloads: Vec<String>,
    /// The gateway's database for --growth and --memory; the hand-written server
    /// knows only PostgreSQL
    #[arg(long, value_enum, default_value_t = Engine::Postgresql)]
    pub engine: Engine,
    /// A gateway that is built already, instead of one built now
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
    /// Write all single measurements to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Little data, one round of a second each: only shows that everything works
    #[arg(long)]
    pub smoke: bool,
    /// Compare a database of --growth-from clients with one of --growth-to
    #[arg(long, group = "mode")]
    pub growth: bool,
    /// Clients in the small database of --growth
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(500..))]
    pub growth_from: u32,
    /// Clients in the large database of --growth
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u32).range(500..))]
    pub growth_to: u32,
    /// Watch the gateway's memory under a mixed load for this long
    #[arg(long, value_name = "MINUTES", group = "mode",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub memory: Option<u32>,
    /// Measure creates with one and with 16 connections on SQLite, and reads beside
    /// them
    #[arg(long, group = "mode")]
    pub sqlite: bool,

    /// Set by bench/run: the PostgreSQL server
    #[arg(long, value_name = "URL", hide = true)]
    pub postgres_url: String,
    /// Set by bench/run: the process of that server
    #[arg(long, value_name = "PID", hide = true)]
    pub postgres_pid: i32,
    /// Set by bench/run: the folder of psql and pgbench
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub postgres_programs: PathBuf,
}

/// A database engine.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL
    Postgresql,
    /// SQLite
    Sqlite,
}

impl Options {
    /// The command line as given, made small by `--smoke`.
    #[must_use]
    pub fn read() -> Self {
        let mut options = Self::parse();
        if options.smoke {
            options.clients = options.clients.min(1_000);
            options.growth_from = options.growth_from.min(500);
            options.growth_to = options.growth_to.min(2_000);
            options.seconds = 1;
            options.rounds = 1;
        }
        options
    }

    /// Whether the workload of this name was asked for.
    #[must_use]
    pub fn wants(&self, workload: &str) -> bool {
        self.workloads.is_empty()
            || self
                .workloads
                .iter()
                .any(|name| name.eq_ignore_ascii_case(workload))
    }
}
