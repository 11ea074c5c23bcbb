//! The protocols by which documents come in and answers go out.

pub mod http;
mod media;
pub mod websocket;
