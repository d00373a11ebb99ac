//! A headless Chromium, driven by WebDriver. Things are found by role and accessible name, or by the text that shows.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// Finds the last shown element of a role by its name (`click`, `fill`) or by the text in it (`see`).
const FIND: &str = include_str!("find.js");

pub struct Browser {
    client: reqwest::Client,
    session: String,
    driver: Child,
    profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no chromedriver: run scripts/test, which installs the packages chromium and chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ")
                    .nth(1)?
                    .trim_end_matches('.')
                    .parse()
                    .ok()
            })
            .expect("chromedriver names its port");
        // Whatever it still has to say must not block it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_mins(1))
            .build()
            .unwrap();
        let mut browser = Self {
            client,
            session: String::new(),
            driver,
            profile,
        };
        let profile = browser.profile.path().display().to_string();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &format!("--user-data-dir={profile}"),
        ];
        let wishes = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": { "args": arguments },
        } } });
        let root = format!("http://127.0.0.1:{port}/session");
        let made = browser.post(&root, &wishes).await.unwrap_or_else(|problem| {
            panic!("no Chromium: run scripts/test, which installs the package chromium ({problem})")
        });
        browser.session = format!("{root}/{}", made["sessionId"].as_str().unwrap());
        browser.resize(1280, 900).await;
        browser
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value, String> {
        let answer = self
            .client
            .post(url)
            .json(body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let is_fine = answer.status().is_success();
        let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if is_fine {
            Ok(answer["value"].take())
        } else {
            Err(answer["value"]["message"].to_string())
        }
    }

    async fn run(&self, script: &str, arguments: Value) -> Result<Value, String> {
        let body = json!({ "script": script, "args": arguments });
        self.post(&format!("{}/execute/sync", self.session), &body).await
    }

    /// A window of this size, telephones included.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        } });
        self.post(&format!("{}/goog/cdp/execute", self.session), &metrics)
            .await
            .unwrap();
    }

    pub async fn open_page(&self, url: &str) {
        self.post(&format!("{}/url", self.session), &json!({ "url": url }))
            .await
            .unwrap();
        self.see("log", "Messages").await;
    }

    /// Waits until `find.js` does this; the page may be drawn anew at any time, so it is one step.
    async fn does(&self, what: &str, role: &str, name: &str, value: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let done = self.run(FIND, json!([what, role, name, value])).await;
            if done == Ok(Value::Bool(true)) {
                return;
            }
            if Instant::now() > until {
                let page = self.run("return document.body.innerText", json!([])).await;
                let page = page
                    .ok()
                    .and_then(|page| page.as_str().map(str::to_owned))
                    .unwrap_or_default();
                self.picture("failure").await;
                panic!("waited in vain: {what} {role} {name:?} ({done:?}). The page:\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for text within something of this role.
    pub async fn see(&self, role: &str, text: &str) {
        self.does("see", role, text, "").await;
    }

    pub async fn sees_nothing_of(&self, text: &str) {
        self.does("miss", "article", text, "").await;
    }

    pub async fn click(&self, role: &str, name: &str) {
        self.does("click", role, name, "").await;
    }

    /// Types into, or chooses in, the input with this label.
    pub async fn fill(&self, label: &str, value: &str) {
        self.does("fill", "input", label, value).await;
    }

    /// Writes a message or a command and sends it.
    pub async fn type_into(&self, label: &str, text: &str) {
        self.fill(label, text).await;
        self.click("button", "Send").await;
    }

    /// On a narrow page the people and channels are behind a button.
    async fn sidebar(&self) {
        self.does("unfold", "button", "Channels and people", "").await;
    }

    /// Becomes somebody else.
    pub async fn be(&self, person: &str) {
        self.sidebar().await;
        self.does("click", "button", "You are:", "").await;
        self.does("click", "option", person, "").await;
        self.sidebar().await;
        self.see("button", &format!("You are: {person}")).await;
    }

    /// Goes to a channel, or to the direct message.
    pub async fn open(&self, place: &str) {
        self.sidebar().await;
        self.click("link", place).await;
        self.see("heading", place).await;
    }

    /// Nothing sticks out to the right.
    pub async fn fits(&self) {
        let script = "const e = document.scrollingElement; return e.scrollWidth <= e.clientWidth && \
                      [...document.querySelectorAll('article')].every((node) => node.scrollWidth <= node.clientWidth + 1)";
        assert_eq!(
            self.run(script, json!([])).await,
            Ok(Value::Bool(true)),
            "the page is wider than the screen"
        );
    }

    /// The page once more, as after a press of F5.
    pub async fn reload(&self) {
        self.run("location.reload()", json!([])).await.unwrap();
    }

    pub async fn does_not_show(&self, selector: &str) {
        let script = "return !document.querySelector(arguments[0]).checkVisibility()";
        let hidden = self.run(script, json!([selector])).await;
        assert_eq!(hidden, Ok(Value::Bool(true)), "{selector} is there");
    }

    /// Whether the newest message of a log can be seen, which has more than fits.
    pub async fn is_at_the_end(&self, selector: &str) {
        let script = "const log = document.querySelector(arguments[0]); \
                      return [log.scrollHeight > log.clientHeight, log.scrollHeight - log.scrollTop - log.clientHeight < 4]";
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let seen = self.run(script, json!([selector])).await;
            if seen == Ok(json!([true, true])) {
                return;
            }
            assert!(Instant::now() < until, "{selector} is not at its end: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A picture of the page, if `COUNTERSIGN_PICTURES` names a folder for them.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("COUNTERSIGN_PICTURES") else {
            return;
        };
        self.run("document.activeElement?.blur()", json!([])).await.unwrap();
        let url = format!("{}/screenshot", self.session);
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, decoded(answer["value"].as_str().unwrap())).unwrap();
    }

    pub async fn close(self) {
        let _ = self.client.delete(&self.session).send().await;
    }
}

/// Base64, which is how `WebDriver` sends pictures.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    bytes
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to end, chromedriver takes its Chromium with it; killed, it would leave it behind.
        if let Some(pid) = i32::try_from(self.driver.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let until = Instant::now() + Duration::from_secs(5);
            while self.driver.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
