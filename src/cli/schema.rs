//! `clientele schema`: prints the GraphQL schema.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::graphql::schema;

/// Prints the SDL, byte for byte what `schema.graphql` holds.
pub fn run() -> Result<()> {
    stdout().write_all(schema::sdl().as_bytes())?;
    Ok(())
}
