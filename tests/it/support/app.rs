//! The gateway under test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
};

use axum::Router;
use clientele::{
    app::router,
    auth::tokens::{self, NewToken},
    clock::Clock,
    config::Settings,
    gateway::Gateway,
    http::listener,
    storage::database::Database,
};
use entity::api_token::Scope;
use tokio::net::TcpListener;

use super::database::{Engine, PrivateDatabase};

/// The user that the tokens are made for.
pub const USER: &str = "tester";
/// Fewer than the program's default: many tests run at once.
const MAX_CONNECTIONS: u32 = 10;

/// A gateway over a private database, called in-process unless it [serves].
///
/// [serves]: Self::serve
pub struct TestApp {
    pub router: Router,
    pub gateway: Gateway,
    pub database: Database,
    pub database_url: String,
    /// A token that may write.
    pub token: String,
    /// A token that may only read.
    pub read_token: String,
    statements: Arc<Mutex<Vec<Observed>>>,
    /// The last field: it goes after all that is connected to it.
    _private: PrivateDatabase,
}

/// A statement that was run.
struct Observed {
    sql: String,
    /// The name of the thread that waited for it.
    thread: String,
}

/// What is special about a [`TestApp`].
pub struct Builder {
    engine: Engine,
    clock: Clock,
    settings: Settings,
}

impl TestApp {
    pub async fn start(engine: Engine) -> Self {
        Self::builder(engine).start().await
    }

    pub fn builder(engine: Engine) -> Builder {
        Builder {
            engine,
            clock: Clock::system(),
            settings: Settings {
                // Most tests want to see at once what they do to a token.
                token_cache_ms: 0,
                ..Settings::default()
            },
        }
    }

    /// Serves on a free port until the app is dropped.
    pub async fn serve(&self) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let lifecycle = self.gateway.lifecycle.clone();
        let settings = self.gateway.settings.clone();
        let router = self.router.clone();
        tokio::spawn(async move { listener::serve(socket, router, lifecycle, &settings).await });
        address
    }

    /// A token that may write, for another user.
    pub async fn token_of(&self, user: &str) -> String {
        create_token(&self.database, user, Scope::Write).await
    }

    /// A token for what concerns the gateway itself.
    pub async fn admin_token(&self) -> String {
        create_token(&self.database, USER, Scope::Admin).await
    }

    /// The SQL of the statements since the start or the last call.
    pub fn take_statements(&self) -> Vec<String> {
        let observed = std::mem::take(&mut *self.statements.lock().unwrap());
        observed.into_iter().map(|observed| observed.sql).collect()
    }

    /// The names of the threads that have run the statements since the last call of this or of
    /// [`Self::take_statements`].
    pub fn take_threads(&self) -> Vec<String> {
        let observed = std::mem::take(&mut *self.statements.lock().unwrap());
        observed
            .into_iter()
            .map(|observed| observed.thread)
            .collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.gateway.lifecycle.stopping.cancel();
    }
}

impl Builder {
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    pub async fn start(self) -> TestApp {
        let private = PrivateDatabase::create(self.engine).await;
        let mut database = Database::connect(&private.url, MAX_CONNECTIONS, self.clock)
            .await
            .unwrap();
        let token = create_token(&database, USER, Scope::Write).await;
        let read_token = create_token(&database, USER, Scope::Read).await;

        let statements = Arc::<Mutex<Vec<Observed>>>::default();
        let recorded = Arc::clone(&statements);
        database.observe_statements(move |info| {
            let thread = thread::current().name().unwrap_or_default().to_owned();
            let sql = info.statement.sql.clone();
            recorded.lock().unwrap().push(Observed { sql, thread });
        });
        let gateway = Gateway::new(database.clone(), self.settings);
        TestApp {
            router: router(gateway.clone()),
            gateway,
            database,
            database_url: private.url.clone(),
            token,
            read_token,
            statements,
            _private: private,
        }
    }
}

async fn create_token(database: &Database, user: &str, scope: Scope) -> String {
    let transaction = database.begin().await.unwrap();
    let token = NewToken {
        user,
        scope,
        label: None,
        lasts: None,
    };
    let token = tokens::create(&transaction, &database.clock, token);
    let token = token.await.unwrap();
    transaction.commit().await.unwrap();
    token
}
