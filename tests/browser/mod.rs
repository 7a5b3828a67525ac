//! Headless Chromium on the demo's player: plays, seeks, shows errors, and comes back.

use std::{
    net::TcpListener,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use serde_json::{Value, json};

use crate::{
    players::demo,
    support::{Server, tool},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// ChromeDriver with a browser of its own, for as long as it is held.
pub struct Browser {
    driver: Child,
    client: Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let _must_be_there = tool("chromium");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let driver = tool("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs");
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--mute-audio",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let options = json!({ "args": arguments });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let begun = Instant::now();
        let client = loop {
            let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            let builder = builder.capabilities(Clone::clone(&capabilities));
            match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        Self { driver, client, _profile: profile }
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect("goes");
    }

    async fn open(&self, server: &Server, hash: &str) {
        self.client.goto("about:blank").await.expect("goes");
        self.client.goto(&server.url(&format!("/{hash}"))).await.expect("goes");
    }

    async fn element(&self, name: &str) -> Element {
        let selector = format!("[data-testid={name}]");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(&selector)).await;
        found.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.expect("runs")
    }

    pub async fn close(self) {
        self.client.clone().close().await.expect("closes");
    }

    /// Waits until a script's value is true.
    pub async fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.run(script).await != true {
            assert!(begun.elapsed() < PATIENCE, "{script}: {}", self.run(STATE).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the driver ends the browser.
        let _gone_already = self.driver.kill();
        let _gone_already = self.driver.wait();
    }
}

/// What to say when nothing happens.
const STATE: &str = "const m = document.querySelector('audio,video'); \
    return (m ? `${m.currentSrc} ${m.currentTime}/${m.duration} ready ${m.readyState} error ${m.error?.message}` : 'no media') \
    + document.body.innerText.slice(0, 2000)";

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_seeks_and_shows_errors() {
    let (server, browser) = (demo(), Browser::start().await);
    plays_and_seeks(&browser, &server).await;
    shows_a_codec_that_it_lacks(&browser, &server).await;
    shows_failures(&browser, &server).await;
    follows_the_switch(&browser, &server).await;
    signs_in_by_the_address(&browser, &server).await;
    browser.close().await;
}

async fn plays_and_seeks(browser: &Browser, server: &Server) {
    for (id, tag, seconds) in [
        ("call-billing-wav-pcm", "audio", 12.0),
        ("call-dispatch-wav-mulaw", "audio", 20.0),
        ("call-reminder-mp3", "audio", 20.0),
        ("call-triage-opus", "audio", 25.0),
        // Its index is at its end: nothing plays before a range has fetched it.
        ("screen-transfer-mp4", "video", 30.0),
        ("screen-form-webm", "video", 20.0),
    ] {
        browser.open(server, "").await;
        let row = format!("[data-testid=row][data-id='{id}']");
        let row = browser.client.wait().at_most(PATIENCE).for_element(Locator::Css(&row)).await.expect("listed");
        row.click().await.expect("clicked");
        browser.until(&format!("return (document.querySelector('{tag}')?.readyState ?? 0) >= 1")).await;
        let duration = browser.run(&format!("return document.querySelector('{tag}').duration")).await;
        assert!((duration.as_f64().expect("a duration") - seconds).abs() < 0.3, "{id}: {duration}");
        browser.run(&format!("const m = document.querySelector('{tag}'); m.play(); return true")).await;
        browser.until(&format!("return document.querySelector('{tag}').currentTime > 0.2")).await;
        // To near the end, then back to the middle; and it goes on from there.
        for at in [seconds - 2.0, seconds / 2.0] {
            browser.run(&format!("document.querySelector('{tag}').currentTime = {at}; return true")).await;
            browser
                .until(&format!(
                    "const m = document.querySelector('{tag}'); return !m.seeking && m.currentTime > {at} + 0.2"
                ))
                .await;
        }
        if tag == "video" {
            assert_eq!(browser.run("return document.querySelector('video').videoWidth").await, 640, "{id}");
        }
        assert_eq!(browser.run(&format!("return document.querySelector('{tag}').error")).await, Value::Null, "{id}");
    }
    browser.open(server, "#/recordings/call-triage-opus?t=17").await;
    browser.until("return (document.querySelector('audio')?.currentTime ?? 0) >= 16.9").await;
}

async fn shows_a_codec_that_it_lacks(browser: &Browser, server: &Server) {
    browser.open(server, "#/recordings/call-archive-wav-gsm").await;
    let note = browser.element("codec-note").await.text().await.expect("text");
    assert!(note.contains("GSM 6.10"), "{note}");
    let download = browser.element("download").await.attr("href").await.expect("asked").expect("a link");
    assert!(download.contains("/recordings/call-archive-wav-gsm/media?download="), "{download}");
}

async fn shows_failures(browser: &Browser, server: &Server) {
    for (id, code) in [
        ("failure-key-missing", "key-missing"),
        ("failure-corrupt", "recording-corrupt"),
        ("failure-media-missing", "media-missing"),
    ] {
        browser.open(server, &format!("#/recordings/{id}")).await;
        assert_eq!(browser.element("problem-code").await.text().await.expect("text"), code, "{id}");
    }
    browser.open(server, "#/recordings/failure-unfinished").await;
    browser.until("return (document.querySelector('audio')?.readyState ?? 0) >= 1").await;
    browser.until("return document.body.innerText.includes('unfinished')").await;
}

async fn follows_the_switch(browser: &Browser, server: &Server) {
    browser.open(server, "#/recordings/call-reminder-mp3").await;
    browser.until("return (document.querySelector('audio')?.readyState ?? 0) >= 1").await;
    browser.element("switch").await;
    browser.run("document.querySelector('[data-testid=switch]').click(); return true").await;
    assert_eq!(browser.element("problem-code").await.text().await.expect("text"), "encryption-disabled");
    browser.run("document.querySelector('[data-testid=switch]').click(); return true").await;
    browser.until("return (document.querySelector('audio')?.readyState ?? 0) >= 1").await;
    assert_eq!(server.get("/recordings/call-reminder-mp3/media").status, 200);
}

/// The address that the demo prints signs the browser in: the token is taken out of the address, stays for the tab, and
/// media elements play by a signed link.
async fn signs_in_by_the_address(browser: &Browser, server: &Server) {
    let line = server.said.last().expect("a line");
    let hash = line.split_whitespace().find_map(|word| word.split_once('#')).expect("an address with a fragment").1;
    assert!(hash.starts_with("token="), "{hash}");
    browser.open(server, &format!("#{hash}")).await;
    browser.until("return document.querySelectorAll('[data-testid=row]').length > 5").await;
    assert_eq!(
        browser.run("return location.hash").await,
        "",
        "the token stays neither in the address nor in the history"
    );
    browser.run("location.hash = '#/recordings/call-triage-opus'; return true").await;
    browser.until("return (document.querySelector('audio')?.readyState ?? 0) >= 1").await;
    browser.until("return document.querySelector('audio').currentSrc.includes('/media?link=v1.')").await;
    let download = browser.element("download").await.attr("href").await.expect("asked").expect("a link");
    assert!(download.contains("link=v1.") && download.contains("download="), "{download}");
    assert!(!download.contains(hash), "the token goes into no address");
    browser.client.refresh().await.expect("reloads");
    browser.until("return document.querySelector('audio')?.currentSrc.includes('/media?link=v1.') ?? false").await;
    // A token that is not taken any more says so, and the next visit is not signed in.
    browser.open(server, "#token=x.y.z").await;
    assert_eq!(browser.element("problem-code").await.text().await.expect("text"), "unauthenticated");
    browser.open(server, "").await;
    browser.until("return document.querySelectorAll('[data-testid=row]').length > 5").await;
}
