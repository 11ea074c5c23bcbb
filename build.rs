//! Puts `GraphiQL` into the binary, so that `/graphiql` works with no internet, and the
//! commit for `--version`.
//!
//! `npm pack` brings the packages of `src/graphiql/files.rs`; every file that is
//! used must have the SHA-256 written there. Without npm the build goes on, and
//! the page loads the same files from a public CDN. Builds of packages set
//! `CLIENTELE_REQUIRE_GRAPHIQL=1`, which makes that an error.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sha2::{Digest, Sha256};

#[path = "src/graphiql/files.rs"]
mod files;
use files::{FILES, PinnedFile};

const REQUIRE: &str = "CLIENTELE_REQUIRE_GRAPHIQL";
const NOTICES: &str = "src/graphiql/notices.txt";

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("cargo::error={}", one_line(&reason));
            ExitCode::FAILURE
        }
    }
}

/// Tells `--version` of the commit. Debug builds have none, so that no commit makes one
/// compile anew; nor has a source tree without git.
fn name_commit() {
    const LOG: &str = ".git/logs/HEAD";
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mut commit = String::new();
    if is_release && Path::new(LOG).exists() {
        println!("cargo::rerun-if-changed={LOG}");
        let git = ["log", "-1", "--format= (%h, %cs)"];
        let printed = Command::new("git").args(git).output();
        if let Ok(printed) = printed
            && printed.status.success()
        {
            String::from_utf8_lossy(&printed.stdout)
                .trim_end()
                .clone_into(&mut commit);
        }
    }
    println!("cargo::rustc-env=CLIENTELE_COMMIT={commit}");
}

fn build() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/graphiql");
    println!("cargo::rerun-if-env-changed={REQUIRE}");
    name_commit();

    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set; run this through cargo")?;
    let out = PathBuf::from(out).join("graphiql");
    create_folder(&out)?;

    let required = env::var(REQUIRE).is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    let embedded = match bring_packages(&out) {
        Ok(()) => true,
        Err(reason) if required => {
            return Err(format!(
                "GraphiQL cannot be embedded, and {REQUIRE} is set: {reason}"
            ));
        }
        Err(reason) => {
            println!(
                "cargo::warning=GraphiQL is not embedded; its page will load it from a public CDN. \
                 Set {REQUIRE}=1 to try again. Reason: {}",
                one_line(&reason)
            );
            false
        }
    };
    write_assets(&out, embedded)
}

/// Makes sure that every pinned file lies compressed and verified in `out`. What
/// an earlier build fetched is used again.
fn bring_packages(out: &Path) -> Result<()> {
    if FILES.iter().all(|file| is_cached(out, file)) {
        return Ok(());
    }
    // Everything that npm writes, its cache and logs included, stays in here.
    let work = out.join("download");
    remove_folder(&work)?;
    create_folder(&work)?;
    let fetched = npm_pack(&work).and_then(|()| {
        packages()
            .into_iter()
            .try_for_each(|package| unpack(&work, package, out))
    });
    remove_folder(&work)?;
    fetched
}

fn is_cached(out: &Path, file: &PinnedFile) -> bool {
    let Ok(compressed) = File::open(compressed(out, &file.address())) else {
        return false;
    };
    let mut content = Vec::new();
    let read = GzDecoder::new(compressed).read_to_end(&mut content);
    read.is_ok() && integrity(&content) == file.integrity
}

/// The packages of the table, each once.
fn packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = FILES.iter().map(|file| file.package).collect();
    packages.dedup();
    packages
}

fn npm_pack(work: &Path) -> Result<()> {
    let output = Command::new("npm")
        .arg("pack")
        .args(packages())
        .args(["--ignore-scripts", "--no-update-notifier"])
        // A machine with no network shall not wait for minutes.
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000"])
        .arg("--fetch-timeout=30000")
        .arg("--cache")
        .arg(work.join("cache"))
        .current_dir(work)
        .output()
        .map_err(|error| format!("npm cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reasons: Vec<_> = said
        .lines()
        // npm 10 began to say "error" where it had said "ERR!".
        .filter_map(|line| {
            line.strip_prefix("npm error ")
                .or_else(|| line.strip_prefix("npm ERR! "))
        })
        .take(3)
        .collect();
    Err(format!("npm pack failed: {}", reasons.join("; ")))
}

/// Takes the pinned files out of the package's archive, verifies and compresses
/// them.
fn unpack(work: &Path, package: &str, out: &Path) -> Result<()> {
    let archive = work.join(format!("{}.tgz", package.replace('@', "-")));
    let unreadable = |error| format!("{} cannot be read: {error}", archive.display());

    let mut wanted: Vec<_> = FILES
        .iter()
        .filter(|file| file.package == package)
        .collect();
    let mut entries = tar::Archive::new(GzDecoder::new(File::open(&archive).map_err(unreadable)?));
    for entry in entries.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?;
        // Every npm archive has one folder at its top.
        let Some(place) = wanted
            .iter()
            .position(|file| path == Path::new("package").join(file.path))
        else {
            continue;
        };
        let file = wanted.swap_remove(place);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        let found = integrity(&content);
        if found != file.integrity {
            return Err(format!(
                "{} is not the pinned file: {found}, not {}",
                file.address(),
                file.integrity
            ));
        }
        write_compressed(out, &file.address(), &content)?;
    }
    match wanted.first() {
        None => Ok(()),
        Some(file) => Err(format!("{} is not in the package", file.address())),
    }
}

/// Writes the list of files that the server answers with.
fn write_assets(out: &Path, embedded: bool) -> Result<()> {
    let mut code = format!(
        "const EMBEDDED: bool = {embedded};\n\
         const START_JS: Asset = {};\n\
         const STYLE_CSS: Asset = {};\n\
         const PACKAGED: &[Asset] = &[\n",
        own_asset(out, "start.js")?,
        own_asset(out, "style.css")?,
    );
    if embedded {
        let mut licences = String::new();
        for file in &FILES {
            if file.path == "LICENSE" {
                let text = read_compressed(out, &file.address())?;
                let _ = writeln!(licences, "{}\n\n{text}\n", file.package);
            } else {
                let _ = writeln!(code, "    {},", asset(&file.address(), &file.address()));
            }
        }
        licences.push_str(&read_source(Path::new(NOTICES))?);
        write_compressed(out, "licences.txt", licences.as_bytes())?;
        let _ = writeln!(code, "    {},", asset("licences.txt", "licences.txt"));
    }
    code.push_str("];\n");
    let path = out.join("assets.rs");
    fs::write(&path, code).map_err(cannot("written", &path))
}

/// A file of our own. Its address changes with its content, so that a browser
/// may keep it for ever.
fn own_asset(out: &Path, name: &str) -> Result<String> {
    let content = read_source(&Path::new("src/graphiql").join(name))?;
    write_compressed(out, name, content.as_bytes())?;
    let digest = Sha256::digest(content.as_bytes());
    let version = BASE64_URL_SAFE_NO_PAD.encode(&digest[..9]);
    Ok(asset(&format!("{version}/{name}"), name))
}

fn asset(address: &str, name: &str) -> String {
    let file = format!("/graphiql/{}", compressed_name(name));
    format!(
        "Asset {{ address: {address:?}, gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), {file:?})) }}"
    )
}

fn integrity(content: &[u8]) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(content)))
}

fn compressed_name(name: &str) -> String {
    format!("{}.gz", name.replace('/', "-"))
}

fn compressed(out: &Path, name: &str) -> PathBuf {
    out.join(compressed_name(name))
}

fn write_compressed(out: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = compressed(out, name);
    let compress = || -> io::Result<()> {
        let mut encoder = GzEncoder::new(File::create(&path)?, Compression::best());
        encoder.write_all(content)?;
        encoder.finish()?.flush()
    };
    compress().map_err(cannot("written", &path))
}

fn read_compressed(out: &Path, name: &str) -> Result<String> {
    let path = compressed(out, name);
    let mut text = String::new();
    File::open(&path)
        .and_then(|file| GzDecoder::new(file).read_to_string(&mut text))
        .map_err(cannot("read", &path))?;
    Ok(text)
}

fn read_source(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(cannot("read", path))
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(cannot("created", path))
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(cannot("removed", path)(error))
        }
        _ => Ok(()),
    }
}

fn cannot(done: &str, path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{} cannot be {done}: {error}", path.display())
}

/// Cargo reads the build script's messages line by line.
fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}
