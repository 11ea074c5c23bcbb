//! `clientele backup`: copies an SQLite database while gateways write to it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write, stdout},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};
use sea_orm::sqlx::{self, Connection, sqlite::SqliteConnectOptions};
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use super::check;
use crate::{
    check::{Report, SchemaState},
    config::BackupOptions,
    storage::{
        connect::is_sqlite_file,
        snapshot::{self, beside},
    },
};

/// The suffixes of files that SQLite keeps beside a database, and uses wherever it finds them.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Copies the database, verifies the copy, and only then gives it its name.
pub async fn run(options: &BackupOptions) -> Result<()> {
    let source = source(&options.database.database_url)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // The copy is dropped on a signal, and with it the file that is being written.
    tokio::select! {
        result = copy(&source, options) => result,
        _ = terminate.recv() => bail!("stopped by a signal; there is no copy"),
        _ = interrupt.recv() => bail!("stopped by a signal; there is no copy"),
    }
}

/// The database that is to be copied.
fn source(url: &str) -> Result<PathBuf> {
    match url.split(':').next() {
        Some("sqlite") => {}
        Some("postgres" | "postgresql") => bail!(
            "this copies SQLite databases; PostgreSQL has its own means, such as \
             pg_dump --format=custom (see docs/operations.md, \"Backups\")"
        ),
        _ => bail!("the database URL must begin with sqlite:"),
    }
    let options = SqliteConnectOptions::from_str(url)
        .with_context(|| format!("the database URL {url} cannot be read"))?;
    ensure!(
        is_sqlite_file(url, &options),
        "an SQLite database must be a file"
    );
    let file = options.get_filename();
    fs::canonicalize(file)
        .with_context(|| format!("there is no SQLite database at {}", file.display()))
}

async fn copy(source: &Path, options: &BackupOptions) -> Result<()> {
    let target = CopyFile::new(&options.file)?;
    target.ensure_usable(source, options.overwrite)?;
    // A folder, because SQLite keeps a journal beside the file that it writes.
    let folder = tempfile::Builder::new()
        .prefix(&format!(".{}.", target.name))
        .suffix(".partial")
        .tempdir_in(&target.folder)
        .with_context(|| format!("cannot write in the folder {}", target.folder.display()))?;
    // Only its owner can read it: it holds the hashes of tokens.
    let partial = NamedTempFile::new_in(&folder)?;
    write(source, &partial)
        .await
        .with_context(|| format!("cannot copy to {}", target.folder.display()))?;
    // SQLite leaves this to its caller.
    partial.as_file().sync_all()?;
    let size = partial.as_file().metadata()?.len();
    let report = verify(partial.path(), options.keep_violations).await?;
    target.name_copy(partial, options.overwrite)?;
    say(&options.file, size, &report)
}

/// Writes a copy of the database into an empty file.
///
/// VACUUM INTO, not SQLite's backup interface: that one begins anew each time that another
/// program writes, so under steady writes it would never end, unless it copied everything
/// in one step. VACUUM INTO reads one state of the database, which in write-ahead mode
/// delays no writer, and leaves out what was deleted.
async fn write(source: &Path, partial: &NamedTempFile) -> Result<()> {
    let file = partial.path().to_str();
    let file = file.context("SQLite takes only file names in UTF-8")?;
    let mut connection = snapshot::connect_file(source).await?;
    sqlx::query("VACUUM INTO ?")
        .bind(file)
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// Makes all checks on the copy, and prints what is wrong.
async fn verify(copy: &Path, keep_violations: bool) -> Result<Report> {
    let transaction = snapshot::open_file(copy).await?;
    let report = check::examine(&transaction, |outcome| {
        // A schema of another version is reported at the end.
        if outcome.violations.is_empty() || outcome.name == "schema" {
            return Ok(());
        }
        check::print(outcome)
    })
    .await?;
    ensure!(
        report.schema != SchemaState::Absent,
        "this is not a database of clientele, or it is still empty"
    );
    let is_of_age = report.schema == SchemaState::Current;
    let violations = report.violations - usize::from(!is_of_age);
    ensure!(
        violations == 0 || keep_violations,
        "the copy is not as it should be: {violations} kinds of violations, so it was not kept. \
         `clientele check` tells whether the database is wrong, too; --keep-violations keeps a copy"
    );
    Ok(report)
}

fn say(file: &Path, size: u64, report: &Report) -> Result<()> {
    let rows = report.rows.iter().map(|(list, count)| match *list {
        "client" => format!(", {count} clients"),
        "client_location" => format!(", {count} locations"),
        _ => String::new(),
    });
    let rows: String = rows.collect();
    let verdict = match report.schema {
        SchemaState::Older => "the file is sound, its schema older than this program".to_owned(),
        SchemaState::Unfilled => {
            "the file is sound, and is yet to be filled by a gateway or 'clientele migrate --wait'"
                .to_owned()
        }
        SchemaState::Newer => "the file is sound, its schema newer than this program".to_owned(),
        _ if report.violations > 0 => format!("{} kinds of violations", report.violations),
        _ => format!("verified by {} checks", report.checks),
    };
    writeln!(
        stdout(),
        "wrote {}: {size} bytes{rows}, {verdict}",
        file.display()
    )?;
    Ok(())
}

/// The file that the copy becomes.
struct CopyFile {
    folder: PathBuf,
    name: String,
    file: PathBuf,
}

impl CopyFile {
    fn new(file: &Path) -> Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} is no name for a file", file.display()))?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(folder)
            .with_context(|| format!("there is no folder {}", folder.display()))?;
        Ok(Self {
            file: folder.join(name),
            name: name.to_owned(),
            folder,
        })
    }

    /// Refuses targets that would harm a database, or that exist.
    fn ensure_usable(&self, source: &Path, overwrite: bool) -> Result<()> {
        let shown = self.file.display();
        let is_of_source = fs::canonicalize(&self.file).is_ok_and(|file| file == source)
            || self.file == source
            || COMPANIONS
                .iter()
                .any(|suffix| self.file == beside(source, suffix));
        ensure!(
            !is_of_source,
            "{shown} is the database itself, or belongs to it"
        );
        match fs::symlink_metadata(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
            Ok(metadata) => {
                ensure!(metadata.is_file(), "{shown} exists and is not a file");
                ensure!(overwrite, "{shown} exists; --overwrite replaces it");
            }
        }
        for suffix in COMPANIONS {
            let companion = beside(&self.file, suffix);
            ensure!(
                fs::symlink_metadata(&companion).is_err(),
                "{} exists: it is of a database that is, or was, in use under this name, and \
                 would spoil the copy",
                companion.display()
            );
        }
        Ok(())
    }

    /// Gives the copy its name. After a crash of the machine it is there in full, or not at all.
    fn name_copy(&self, copy: NamedTempFile, overwrite: bool) -> Result<()> {
        let named = if overwrite {
            copy.persist(&self.file)
        } else {
            copy.persist_noclobber(&self.file)
        };
        named
            .map_err(|error| error.error)
            .with_context(|| format!("cannot name the copy {}", self.file.display()))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }
}
