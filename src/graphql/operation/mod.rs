//! One document, from its text to its run.

pub mod collect;
pub mod diagnostics;
pub mod documents;
pub mod executor;
mod lexing;
pub mod limits;
pub mod rules;
pub mod suggestions;
pub mod variables;
