//! What the tests share: a gateway over a private database, and ways to call it.
//!
//! ```ignore
//! #[rstest]
//! #[tokio::test]
//! async fn an_unknown_client_is_null(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
//!     let app = TestApp::start(engine).await;
//!     let data = app.data("{ client(id: 7) { name } }", json!({})).await;
//!     insta::assert_json_snapshot!("unknown_client", data);
//! }
//! ```
//!
//! Snapshots get a name, because both engines must match the same one; those
//! written inline go into `insta::allow_duplicates!` instead.

mod app;
mod checks;
mod clock;
mod database;
mod fixtures;
mod http;
mod replay;

pub use app::{TestApp, USER};
pub use clock::TestClock;
pub use database::Engine;
pub use http::Answer;
pub use replay::{assert_replays, is_replayed};
