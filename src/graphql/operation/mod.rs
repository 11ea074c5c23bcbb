//! One document, from its text to its run.

pub mod collect;
pub mod documents;
pub mod executor;
pub mod limits;
pub mod rules;
pub mod suggestions;
mod tokens;
pub mod variables;
