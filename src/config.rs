//! The command line and its environment variables. No other module reads either.

mod limits;
mod network;
mod origin;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use axum::http::HeaderValue;
use clap::{
    ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue},
};
use clap_complete::Shell;
use entity::api_token::Scope;

pub use limits::Limits;
pub use network::Network;

/// The version, and the commit that a release build was made of.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("CLIENTELE_COMMIT"));

/// A GraphQL gateway over clients and their locations, with the REST routes that
/// older integrations know. Without a command it serves.
#[derive(Parser, Debug)]
#[command(version = VERSION, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve when no command is given.
    #[command(flatten)]
    pub serve: ServeOptions,
}

impl Cli {
    /// Reads the command line and the environment, or says what is wrong with them and ends
    /// the program.
    #[must_use]
    pub fn read() -> Self {
        let command = without_empty_variables(Self::command());
        let matches = command.clone().try_get_matches();
        let matches = matches.unwrap_or_else(|error| exit(&command, &error));
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The threads that serve.
    #[must_use]
    pub fn workers(&self) -> usize {
        match &self.command {
            None => self.serve.workers.into(),
            Some(Command::Serve(options)) => options.workers.into(),
            Some(_) => 1,
        }
    }
}

/// Says what is wrong, and ends the program. Clap blames the option, even where it read the
/// variable.
fn exit(command: &clap::Command, error: &clap::Error) -> ! {
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && let Some(long) = option.split(' ').next()
        && !std::env::args().any(|given| given.split('=').next() == Some(long))
        && let Some(variable) = variable_of(command, long)
    {
        let blamed = format!("the variable {variable}");
        let message = error.render().to_string();
        eprint!("{}", message.replacen(&format!("'{option}'"), &blamed, 1));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// The variable of an option such as `--listen`.
fn variable_of(command: &clap::Command, option: &str) -> Option<String> {
    let is_meant = |arg: &&clap::Arg| arg.get_long() == option.strip_prefix("--");
    let own = command.get_arguments().find(is_meant);
    let own = own.and_then(clap::Arg::get_env);
    own.map(|name| name.to_string_lossy().into_owned())
        .or_else(|| {
            command
                .get_subcommands()
                .find_map(|inner| variable_of(inner, option))
        })
}

/// Ignores environment variables that are empty: service managers and container files set them
/// so where no value is meant.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.to_string_lossy().trim().is_empty())
    };
    command
        .mut_args(|arg| {
            if is_empty(&arg) {
                arg.env(None::<&'static str>)
            } else {
                arg
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// The names of all variables that the program reads.
#[must_use]
pub fn variables() -> Vec<String> {
    fn gather(command: &clap::Command, names: &mut Vec<String>) {
        let variables = command.get_arguments().filter_map(clap::Arg::get_env);
        names.extend(variables.map(|name| name.to_string_lossy().into_owned()));
        command
            .get_subcommands()
            .for_each(|command| gather(command, names));
    }
    let mut names = Vec::new();
    gather(&Cli::command(), &mut names);
    names
}

/// As many threads as there are processors.
fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Bring the schema up to date and serve (the default)
    Serve(ServeOptions),
    /// Bring the schema up to date and say what was done
    Migrate(MigrateOptions),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Fill the database with plausible demo data, the same each time
    ///
    /// Whoever polls does not see it: its timestamps are old, and it is not in the log of
    /// changes.
    Seed(SeedOptions),
    /// Copy an SQLite database, while gateways write to it, and verify the copy
    Backup(BackupOptions),
    /// Erase a client for good: its texts, those of its locations, and those in their history
    Erase(EraseOptions),
    /// Verify every invariant of the data model, and change nothing
    Check(DatabaseOptions),
    /// Print the GraphQL schema in SDL
    Schema,
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Which database to use.
#[derive(Args, Clone, Debug)]
pub struct DatabaseOptions {
    /// The database: sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST/NAME
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://clientele.db?mode=rwc",
        value_name = "URL"
    )]
    pub database_url: String,
    /// The most connections to PostgreSQL
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 16, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,
}

/// How to serve.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub database: DatabaseOptions,
    /// The address and port to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: String,
    /// The threads that serve; as many as there are processors unless told otherwise.
    /// With PostgreSQL on the same machine half as many do as much with less
    #[arg(long, env = "WORKERS", default_value_t = default_workers(), hide_default_value = true,
        value_name = "N", value_parser = threads)]
    pub workers: NonZeroUsize,
    /// What to log: a level, or a filter such as info,clientele=debug
    #[arg(
        long,
        env = "RUST_LOG",
        default_value = "info,sea_orm_migration=warn,sqlx=warn",
        value_name = "FILTER"
    )]
    pub log: String,
    /// The form of a line of the log
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// How long changes stay in the log of changes, such as 400d; for ever unless told otherwise
    #[arg(long, env = "KEEP_CHANGES", value_name = "TIME", value_parser = at_least_a_day)]
    pub keep_changes: Option<Duration>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub settings: Settings,
}

/// The form of a line of the log.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// A JSON object, for programs
    Json,
}

/// The most threads that serve.
const MAX_WORKERS: usize = 1_024;

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse().ok();
    let threads = threads.filter(|threads: &NonZeroUsize| threads.get() <= MAX_WORKERS);
    threads.ok_or_else(|| format!("must be a whole number from 1 to {MAX_WORKERS}"))
}

/// The shortest time for which changes are kept: a follower may rest over night.
const A_DAY: Duration = Duration::from_hours(24);

fn at_least_a_day(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < A_DAY {
        return Err("must be at least 1d".to_owned());
    }
    Ok(time)
}

/// Origins of web pages, as one option or variable lists them.
pub type Origins = Vec<HeaderValue>;
/// Networks of proxies, as one option or variable lists them.
pub type Networks = Vec<Network>;

fn origins(text: &str) -> Result<Origins, String> {
    list(text, origin::parse)
}

fn networks(text: &str) -> Result<Networks, String> {
    list(text, Network::parse)
}

/// Reads a list that has commas between its elements. An empty element, as after a comma at the
/// end, is ignored.
fn list<T>(text: &str, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let elements = text.split(',').map(str::trim);
    let elements = elements.filter(|element| !element.is_empty());
    let read = elements.map(|element| {
        parse(element).map_err(|message| {
            if element == text {
                message
            } else {
                format!("{element}: {message}")
            }
        })
    });
    read.collect()
}

/// What the HTTP faces allow.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Web pages of other origins that may call the gateway, such as
    /// `https://app.example.com`, and apps, such as `capacitor://localhost`; separate several
    /// by commas
    #[arg(long, env = "ALLOW_ORIGIN", value_name = "ORIGIN",
        value_parser = origins)]
    pub allow_origin: Vec<Origins>,
    /// Proxies that are believed when they say by `Forwarded` or `X-Forwarded-*` under which
    /// URL they were called: addresses, or networks such as 10.0.0.0/8; separate several by
    /// commas
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "NETWORK",
        value_parser = networks)]
    pub trusted_proxies: Vec<Networks>,
    /// How long a connection may rest between two requests, in seconds: longer than a load
    /// balancer keeps one that it means to use again
    #[arg(long, env = "KEEP_ALIVE_SECONDS", default_value_t = Self::default().keep_alive_seconds,
        value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub keep_alive_seconds: u64,
    /// The most connections that are open; when one more comes, one on which nobody is served
    /// is closed. It needs as many file descriptors, and some for the database
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = Self::default().max_connections,
        value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// The largest request body, in bytes
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = Self::default().max_body_bytes,
        value_name = "N")]
    pub max_body_bytes: usize,
    /// How long a token that was found valid is taken for valid, in milliseconds: a
    /// revoked token stops working after this time at the latest
    #[arg(long, env = "TOKEN_CACHE_MS", default_value_t = Self::default().token_cache_ms,
        value_name = "N", value_parser = clap::value_parser!(u64).range(0..=5_000))]
    pub token_cache_ms: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub limits: Limits,
    /// Whether callers may ask for the GraphQL schema; if not, errors suggest no names of it
    /// either
    #[arg(long, env = "INTROSPECTION", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub introspection: bool,
}

impl Settings {
    /// How long a connection may rest between two requests.
    #[must_use]
    pub fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_origin: Vec::new(),
            trusted_proxies: Vec::new(),
            keep_alive_seconds: 75,
            max_connections: 10_000,
            max_body_bytes: 1024 * 1024,
            token_cache_ms: 1_000,
            limits: Limits::default(),
            introspection: true,
        }
    }
}

/// The commands for tokens.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Make a token and print it, once
    Create {
        /// The user that the token is for; history records this name
        #[arg(long, value_name = "NAME")]
        user: String,
        /// What the token may do
        #[arg(long, value_enum, default_value_t = ScopeName::Write)]
        scope: ScopeName,
        /// What the token is for
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// How long the token works, such as 90d or 12h; for ever unless told otherwise
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened into the help text")]
        database: DatabaseOptions,
    },
    /// List the tokens, without their secrets
    List(DatabaseOptions),
    /// Revoke a token for good; gateways notice after TOKEN_CACHE_MS at the latest
    Revoke {
        /// The prefix that `token list` shows, or the whole token
        #[arg(value_name = "PREFIX")]
        token: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened into the help text")]
        database: DatabaseOptions,
    },
}

/// What a token may do.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum ScopeName {
    /// Queries only
    Read,
    /// Queries and mutations
    Write,
    /// Those, and what concerns the gateway itself
    Admin,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Write => Self::Write,
            ScopeName::Admin => Self::Admin,
        }
    }
}

/// What to bring up to date, and how far.
#[derive(Args, Debug)]
pub struct MigrateOptions {
    /// Also copy the rows of before into what is new, which gateways do while they serve
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub database: DatabaseOptions,
}

/// How much demo data to make.
#[derive(Args, Debug)]
pub struct SeedOptions {
    /// How many clients to add
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub clients: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub database: DatabaseOptions,
}

/// Whom to erase.
#[derive(Args, Debug)]
pub struct EraseOptions {
    /// The id of the client
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub client: i64,
    /// The name that history records
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub user: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub database: DatabaseOptions,
}

/// What to copy, and where to.
#[derive(Args, Debug)]
pub struct BackupOptions {
    /// The file that the copy becomes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Keep the copy even if checks find violations in it
    #[arg(long)]
    pub keep_violations: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the help text")]
    pub database: DatabaseOptions,
}
