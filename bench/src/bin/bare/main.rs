//! The hand-written server: what a gateway over this database could cost at best.
//!
//! axum, tokio-postgres and SQL written for each request, with the answers of the
//! gateway byte for byte. It leaves out what is no part of such an answer: tokens,
//! validation, limits, GraphQL. Each workload has a path of its own, and of a GraphQL
//! request only the variables are read.

mod database;
mod handlers;
mod records;

use anyhow::{Context, Result};
use clap::Parser;

use crate::database::Pool;

// The gateway's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hand-written server that the gateway is compared with.
#[derive(Parser)]
struct Options {
    /// The PostgreSQL database
    #[arg(long, value_name = "URL")]
    database_url: String,
    /// The address and port to listen on
    #[arg(long, value_name = "ADDRESS")]
    listen: String,
    /// Connections to PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 8)]
    connections: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let pool = Pool::connect(&options.database_url, options.connections).await?;
    let listener = tokio::net::TcpListener::bind(&options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    axum::serve(listener, handlers::router(pool)).await?;
    Ok(())
}
