//! `clientele serve`: brings the schema up to date and serves.

use std::{
    io::{IsTerminal, Write, stdout},
    net::SocketAddr,
    pin::pin,
    time::Duration,
};

use anyhow::{Context, Result};
use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{chores, migrate, open};
use crate::{
    app::{router, router_meanwhile},
    auth::tokens,
    config::{LogFormat, ServeOptions},
    gateway::Gateway,
    http::listener::{self, Lifecycle},
    records::changes,
    storage::{connections::fault::Redacted, database::Database},
    telemetry::figures,
};

/// The user of the token that an empty database gets.
const FIRST_USER: &str = "admin";
/// How far `updated_at` may be ahead of the clock before a warning: clocks differ by less.
const FAR_AHEAD: TimeDelta = TimeDelta::minutes(1);
/// File descriptors for the database, the listener and the log.
const SPARE_DESCRIPTORS: u64 = 128;
/// How long the schema may take before the gateway says that it is live.
const SOON: Duration = Duration::from_secs(1);

/// Serves until a signal says to stop.
pub async fn run(mut options: ServeOptions) -> Result<()> {
    let filter = EnvFilter::try_new(&options.log)
        .with_context(|| format!("the log filter {:?} cannot be read", options.log))?;
    // Alone, a word that is no level is the name of a module, and nothing else is logged.
    anyhow::ensure!(
        options.log.contains([',', '=', ':', '[', '_'])
            || options.log.parse::<LevelFilter>().is_ok(),
        "the log level {:?} is not known: it must be error, warn, info, debug, trace or off, or a \
         filter such as info,clientele=debug",
        options.log
    );
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }

    let keep_changes = options.keep_changes.map(TimeDelta::from_std).transpose();
    let keep_changes = keep_changes.context("changes would be kept for too long")?;

    // A service manager's limit is often 1,024, of which each connection takes one.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    let most = u32::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS)).unwrap_or(u32::MAX);
    anyhow::ensure!(
        most > 0,
        "the limit of {descriptors} file descriptors is too low: {} are needed",
        SPARE_DESCRIPTORS + 1
    );
    if most < options.settings.max_connections {
        tracing::warn!(
            descriptors,
            most,
            "the file descriptors limit the connections"
        );
        options.settings.max_connections = most;
    }
    // Before a database is made.
    let socket = TcpListener::bind(&options.listen).await.with_context(|| {
        let listen = &options.listen;
        format!("cannot listen on {listen}; choose another address by --listen ADDRESS:PORT")
    })?;
    let address = socket.local_addr()?;
    let (socket, waiting) = twice(socket)?;
    // Before the first metric is set.
    figures::recorder();
    let mut database = open(&options.database).await?;
    tokio::spawn(figures::keep_up());
    database.observe_statements(figures::observe_statement);
    let gateway = Gateway::new(database.clone(), options.settings);
    stop_on_signals(gateway.lifecycle.stopping.clone())?;
    let first_token = tokio::select! {
        prepared = prepare_meanwhile(&database, &gateway, waiting) => prepared?,
        () = gateway.lifecycle.stopping.cancelled() => return Ok(()),
    };
    warn_of_the_future(&database).await;

    chores::begin(&gateway, keep_changes).await?;
    let authenticator = gateway.authenticator.clone();
    let lifecycle = gateway.lifecycle.clone();
    let settings = gateway.settings.clone();
    announce(&format!("Listening on http://{address}"));
    if let Some(token) = first_token {
        announce(&format!(
            "Open this link to begin, signed in as {FIRST_USER}. It is shown only once:\n{}",
            link(address, &token)
        ));
    } else {
        announce(&format!(
            "GraphiQL is at {}; 'clientele token create --user NAME' makes a token for it.",
            graphiql(address)
        ));
    }
    let in_time = listener::serve(socket, router(gateway), lifecycle, &settings).await;
    chores::note_use(&authenticator).await;
    anyhow::ensure!(
        in_time,
        "some requests did not finish in time and were cut off"
    );
    Ok(())
}

/// Prints a text for the operator. A server whose output nobody reads still serves.
fn announce(text: &str) {
    if let Err(error) = writeln!(stdout(), "{text}") {
        tracing::warn!(%error, "cannot print");
    }
}

/// The socket, and another one for the same connections.
fn twice(socket: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let socket = socket.into_std()?;
    let other = socket.try_clone()?;
    Ok((
        TcpListener::from_std(socket)?,
        TcpListener::from_std(other)?,
    ))
}

/// Brings the schema up to date. If that takes long, the gateway is live and not ready
/// meanwhile.
async fn prepare_meanwhile(
    database: &Database,
    gateway: &Gateway,
    socket: TcpListener,
) -> Result<Option<String>> {
    let mut prepared = pin!(prepare(database));
    if let Ok(prepared) = tokio::time::timeout(SOON, &mut prepared).await {
        return prepared;
    }
    tracing::info!("the schema is being brought up to date, by this gateway or by another one");
    let meanwhile = Lifecycle::default();
    let (lifecycle, gateway) = (meanwhile.clone(), gateway.clone());
    let interim = tokio::spawn(async move {
        let router = router_meanwhile(gateway.clone());
        listener::serve(socket, router, lifecycle, &gateway.settings).await
    });
    let prepared = prepared.await;
    // Its connections end when they are answered. It takes no more of them from here on.
    meanwhile.stopping.cancel();
    interim.abort();
    let _ = interim.await;
    prepared
}

/// Brings the schema up to date and gives an empty database its first token, in one
/// transaction: if several gateways start together, only one does this. A database that
/// takes no writes is left as it is, provided that its schema is current.
async fn prepare(database: &Database) -> Result<Option<String>> {
    let is_read_only = database.is_read_only().await;
    if is_read_only.context("the database cannot be read")? && database.is_ready().await {
        tracing::warn!("the database takes no writes: it is served as it is");
        return Ok(None);
    }
    let steps = database.steps().await;
    let steps = steps.context("the schema cannot be read")?;
    if let Some(newest) = steps.newer.last() {
        tracing::warn!(newest, "the schema is newer than this program");
    }
    // Then there is nothing to wait for. An SQLite file is written to, as it may be read-only.
    let is_shared = database.reader.get_database_backend() == DbBackend::Postgres;
    if is_shared && steps.may_be_used() && tokens::are_there(&database.reader).await? {
        return Ok(None);
    }
    let (transaction, applied) = migrate::up(database, |message| tracing::warn!(message)).await?;
    for step in applied {
        tracing::info!(step, "migrated");
    }
    let token = tokens::create_first(&transaction, &database.clock, FIRST_USER).await?;
    transaction.commit().await?;
    Ok(token)
}

/// Warns if the greatest `updated_at` is far ahead of the clock: all later ones follow it.
async fn warn_of_the_future(database: &Database) {
    match changes::latest(&database.reader).await {
        Ok(Some(latest)) if latest - database.clock.now() > FAR_AHEAD => tracing::warn!(
            %latest,
            "the greatest updated_at is ahead of the clock, and all that is written follows it"
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(error = %Redacted(&error), "cannot read the greatest updated_at");
        }
    }
}

/// A link that opens GraphiQL signed in: the part after the # stays in the browser.
fn link(address: SocketAddr, token: &str) -> String {
    format!("{}#token={token}", graphiql(address))
}

fn graphiql(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    format!("http://{host}/graphiql")
}

/// The first SIGTERM or Ctrl-C lets requests finish; the second one does not.
fn stop_on_signals(stopping: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: finishing the requests under way");
        stopping.cancel();
        next().await;
        tracing::warn!("stopped at once");
        std::process::exit(1);
    });
    Ok(())
}
