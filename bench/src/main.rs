//! The benchmark of the gateway: `bench/run --help` tells what it measures.
//!
//! `workload.rs` is the list of what is asked, `template.rs` turns it into requests and
//! into scripts for wrk, `load.rs` runs wrk and reads in `process.rs` what the servers
//! cost meanwhile. `compare.rs`, `growth.rs`, `memory.rs` and `sqlite.rs` are the four
//! kinds of runs.

mod agree;
mod compare;
mod facts;
mod growth;
mod load;
mod memory;
mod options;
mod postgres;
mod process;
mod record;
mod report;
mod server;
mod sqlite;
mod store;
mod template;
mod workload;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::options::Options;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::read();
    let folder = tempfile::tempdir()?;
    let records = if options.growth {
        growth::run(&options, folder.path())?
    } else if let Some(minutes) = options.memory {
        memory::run(&options, minutes, folder.path())?
    } else if options.sqlite {
        sqlite::run(&options, folder.path())?
    } else {
        compare::run(&options, folder.path())?
    };
    if let Some(file) = &options.json {
        records.write(file, &options)?;
    }
    ensure!(records.failures.is_empty(), records.failures.join("; "));
    Ok(())
}

/// Tells what is being done. Results go to standard output, this does not.
fn say(text: &str) {
    eprintln!("bench: {text}");
}
