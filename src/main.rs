//! The binary: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use clientele::{cli, config::Cli};

// Measured: a page of 50 clients costs a quarter less than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = cli::read_env_file() {
        return cli::fail(&error);
    }
    match cli::run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
