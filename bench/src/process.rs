//! What processes cost, read from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::{Process, Stat, all_processes};

/// A server whose processor time is measured.
#[derive(Clone, Copy)]
pub enum Counted {
    /// One process with all its threads.
    Process(i32),
    /// A PostgreSQL server: the process that was started, and its children.
    Postgres(i32),
}

impl Counted {
    /// The processor time used so far, in the program and in the kernel.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn processor_time(self) -> Result<Duration> {
        let ticks = match self {
            Self::Process(pid) => own_ticks(&stat(pid)?),
            Self::Postgres(pid) => {
                let server = stat(pid)?;
                // What children that ended had used is handed to their parent.
                let ended = (server.cutime + server.cstime).max(0).cast_unsigned();
                // A process may end while it is looked at.
                let children = all_processes()?
                    .filter_map(|process| process.ok()?.stat().ok())
                    .filter(|child| child.ppid == pid);
                own_ticks(&server) + ended + children.map(|child| own_ticks(&child)).sum::<u64>()
            }
        };
        let microseconds = ticks * 1_000_000 / procfs::ticks_per_second();
        Ok(Duration::from_micros(microseconds))
    }
}

/// The memory of a process that is in use, in KiB: its resident set.
///
/// # Errors
/// If the process is gone.
pub fn resident_kib(pid: i32) -> Result<u64> {
    let status = Process::new(pid).and_then(|process| process.status());
    status
        .with_context(|| format!("process {pid} is gone"))?
        .vmrss
        .with_context(|| format!("process {pid} has no memory"))
}

fn stat(pid: i32) -> Result<Stat> {
    let stat = Process::new(pid).and_then(|process| process.stat());
    stat.with_context(|| format!("process {pid} is gone"))
}

fn own_ticks(stat: &Stat) -> u64 {
    stat.utime + stat.stime
}
