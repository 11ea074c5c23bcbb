//! How documents come in and answers go out.

pub mod http;
pub mod websocket;
