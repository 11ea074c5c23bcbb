//! A database of the gateway, on either engine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    options::{Engine, Options},
    postgres::{Database, Postgres},
    process::Counted,
    say,
    server::{Gateway, Server},
};

/// A database with demo data.
pub struct Store<'a> {
    url: String,
    clients: u32,
    postgres: Option<(&'a Postgres, Database<'a>)>,
}

impl<'a> Store<'a> {
    /// Makes a database on `engine` and fills it.
    ///
    /// # Errors
    /// If that fails.
    pub fn create(
        engine: Engine,
        postgres: &'a Postgres,
        program: &Path,
        folder: &Path,
        name: &str,
        clients: u32,
    ) -> Result<Self> {
        let (url, postgres) = match engine {
            Engine::Postgresql => {
                let database = postgres.create_database(name)?;
                (database.url.clone(), Some((postgres, database)))
            }
            Engine::Sqlite => {
                let file = folder.join(name).with_extension("db");
                (format!("sqlite://{}?mode=rwc", file.display()), None)
            }
        };
        let store = Self {
            url,
            clients,
            postgres,
        };
        say(&format!("filling a database with {clients} clients"));
        store.gateway(program, folder).seed(clients)?;
        store.settle()?;
        Ok(store)
    }

    /// Starts a gateway over the database.
    ///
    /// # Errors
    /// If it does not start.
    pub fn serve(&self, program: &Path, folder: &Path) -> Result<Server> {
        self.gateway(program, folder).serve()
    }

    fn gateway<'b>(&'b self, program: &'b Path, folder: &'b Path) -> Gateway<'b> {
        Gateway {
            program,
            database_url: &self.url,
            folder,
        }
    }

    /// Undoes what a workload wrote. An SQLite database keeps it.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn settle(&self) -> Result<()> {
        match &self.postgres {
            Some((_, database)) => database.settle(self.clients),
            None => Ok(()),
        }
    }

    /// The processes of the database; SQLite has none of its own.
    #[must_use]
    pub fn counted(&self) -> Option<Counted> {
        self.postgres.as_ref().map(|(server, _)| server.counted)
    }
}

/// The program of the gateway: the one that was given, or the one built beside this
/// program.
///
/// # Errors
/// If this program's own place is unknown, or there is no such file.
pub fn gateway_program(options: &Options) -> Result<PathBuf> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("clientele"),
    };
    // Commands run in another folder.
    program
        .canonicalize()
        .with_context(|| format!("there is no gateway at {}", program.display()))
}
