//! The `GraphiQL` page in a real browser. On one engine alone: nothing on the page
//! depends on the engine.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

const PATIENCE: Duration = Duration::from_secs(20);
const SIGNED_IN: Locator = Locator::Css("[data-session=in]");
const SIGNED_OUT: Locator = Locator::Css("[data-session=out]");

#[tokio::test]
async fn the_first_start_link_opens_a_page_that_works() {
    let (app, address) = app_with_clients().await;
    let browser = Browser::start().await;

    browser
        .open(&format!("http://{address}/graphiql#token={}", app.token))
        .await;
    browser.wait_for(SIGNED_IN).await;
    let shown = browser.client.current_url().await.unwrap();
    assert_eq!(shown.as_str(), format!("http://{address}/graphiql"));

    browser
        .click(Locator::Css(".graphiql-execute-button"))
        .await;
    for name in ["Birch Dental", "Aspen Clinic"] {
        let row = format!("//*[@aria-label='Result Window']//span[contains(., '{name}')]");
        browser.wait_for(Locator::XPath(&row)).await;
    }

    browser
        .click(Locator::Css("[aria-label='Show Documentation Explorer']"))
        .await;
    browser
        .click(Locator::XPath(
            "//a[contains(@class, 'doc-explorer-type-name')][. = 'Query']",
        ))
        .await;
    browser
        .wait_for(Locator::XPath(
            "//*[contains(@class, 'doc-explorer-field-name')][. = 'clients']\
             /following::*[contains(@class, 'markdown-description')]",
        ))
        .await;
}

#[tokio::test]
async fn only_the_right_token_signs_in_and_only_this_tab_keeps_it() {
    let (app, address) = app_with_clients().await;
    let browser = Browser::start().await;

    browser.open(&format!("http://{address}/graphiql")).await;
    browser.wait_for(SIGNED_OUT).await;
    browser.sign_in("wrong").await;
    browser
        .wait_for(Locator::Css("[role=alert]:not(:empty)"))
        .await;
    browser.wait_for(SIGNED_OUT).await;

    browser.sign_in(&app.token).await;
    browser.wait_for(SIGNED_IN).await;
    browser
        .click(Locator::Css(".graphiql-execute-button"))
        .await;
    browser
        .wait_for(Locator::XPath(
            "//*[@aria-label='Result Window']//span[contains(., 'totalCount')]",
        ))
        .await;
    let kept = browser.ask("return JSON.stringify(localStorage)").await;
    let kept = kept.as_str().unwrap();
    assert!(
        kept.contains("NewestClients"),
        "GraphiQL kept nothing: {kept}"
    );
    assert!(!kept.contains(&app.token), "{kept}");
    let tab = browser.ask("return JSON.stringify(sessionStorage)").await;
    assert!(tab.as_str().unwrap().contains(&app.token), "{tab}");

    browser.click(Locator::Css("#sign-out button")).await;
    browser.wait_for(SIGNED_OUT).await;
    assert_eq!(browser.ask("return sessionStorage.length").await, 0);
}

#[tokio::test]
async fn nothing_is_loaded_from_another_host() {
    let (app, address) = app_with_clients().await;
    let browser = Browser::start().await;

    browser
        .open(&format!("http://{address}/graphiql#token={}", app.token))
        .await;
    browser.wait_for(SIGNED_IN).await;
    browser
        .wait_for(Locator::Css(".graphiql-execute-button"))
        .await;
    let loaded = browser
        .ask("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        .await;
    let loaded: Vec<_> = loaded.as_array().unwrap().iter().collect();
    assert!(loaded.len() > 5, "{loaded:?}");
    let here = format!("http://{address}/");
    for url in loaded {
        assert!(
            url.as_str().unwrap().starts_with(&here),
            "{url} was loaded; was this built without npm?"
        );
    }
}

async fn app_with_clients() -> (TestApp, SocketAddr) {
    let app = TestApp::start(Engine::Sqlite).await;
    for name in ["Aspen Clinic", "Birch Dental"] {
        let location = json!({ "name": "Main office", "state": "CO", "country": "US" });
        let answer = app
            .graphql(
                "mutation($input: CreateClientInput!) { createClient(input: $input) { client { id } } }",
                json!({ "input": { "name": name, "primaryLocation": location } }),
            )
            .await;
        assert!(answer.get("errors").is_none(), "{answer}");
    }
    let address = app.serve().await;
    (app, address)
}

/// A headless Chromium of its own, with an empty profile.
struct Browser {
    client: Client,
    // Dropped last, and also when the client cannot be made.
    _driver: Driver,
}

impl Browser {
    async fn start() -> Self {
        let driver = Driver::start();
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", driver.profile.display()),
        ];
        let capabilities = json!({ "goog:chromeOptions": { "args": flags } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("Chromium must start; Debian's package is chromium");
        Self {
            client,
            _driver: driver,
        }
    }

    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    async fn wait_for(&self, what: Locator<'_>) -> fantoccini::elements::Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(what).await;
        found.unwrap_or_else(|error| panic!("{what:?} does not appear: {error}"))
    }

    async fn click(&self, what: Locator<'_>) {
        self.wait_for(what).await.click().await.unwrap();
    }

    async fn sign_in(&self, token: &str) {
        let field = self.wait_for(Locator::Css("#token")).await;
        field.clear().await.unwrap();
        field.send_keys(token).await.unwrap();
        self.click(Locator::Css("#sign-in button")).await;
    }

    async fn ask(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }
}

/// A chromedriver on a free port.
struct Driver {
    process: Child,
    port: u16,
    profile: PathBuf,
}

impl Driver {
    fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            // Chromium keeps some files beside its profile.
            .env("HOME", std::env::temp_dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver must be installed; Debian's package is chromium-driver");
        let port = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver must name its port");
        let profile = std::env::temp_dir().join(format!("graphiql-{}-{port}", std::process::id()));
        Self {
            process,
            port,
            profile,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A killed chromedriver would leave its browser behind, so it is asked
        // to close it first.
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = connection.set_read_timeout(Some(PATIENCE));
            let _ = connection.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = connection.read_to_end(&mut Vec::new());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
