//! `clientele schema`: prints the GraphQL schema.

use anyhow::Result;

use crate::graphql;

/// Prints the SDL, byte for byte what `schema.graphql` holds.
pub fn run() -> Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(graphql::sdl().as_bytes())?;
    Ok(())
}
