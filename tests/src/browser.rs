//! A browser under test: Debian's chromedriver and Chromium, spoken to in plain W3C `WebDriver` over HTTP.
//!
//! Elements are found, clicked and typed into as a person would; what a person sees (moving pictures) is read by
//! scripts in the page.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

/// `WebDriver`'s fixed name for a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const START: Duration = Duration::from_secs(30);
/// So many times more the browser is started when that failed.
const STARTS: u32 = 4;
/// Within this a page shows what it will show.
const SOON: Duration = Duration::from_secs(20);
/// `WebDriver`'s word for an element that the page has replaced since it was found.
const STALE: &str = "stale element reference";
const POLL: Duration = Duration::from_millis(100);

/// One browser with a profile of its own. Ends with [`Browser::quit`], or by force when dropped.
pub struct Browser {
    driver: Child,
    http: ureq::Agent,
    /// `http://127.0.0.1:…/session/…`
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium without a window. It accepts the demo's own certificate authority and lets pictures play by themselves,
    /// and is otherwise as Debian ships it.
    pub fn start() -> Result<Self> {
        let mut attempts = 1..=STARTS;
        loop {
            let started = Self::try_start();
            // chromedriver wants the same free port of IPv4 and IPv6, and ends when it has found one of the first that
            // is taken of the second.
            if started.is_ok() || attempts.next().is_none() {
                return started;
            }
        }
    }

    fn try_start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("chromedriver cannot be started: is the Debian package chromium-driver installed?")?;
        match Self::connect(&mut driver, profile.path()) {
            Ok((http, session)) => Ok(Self { driver, http, session, _profile: profile }),
            Err(error) => {
                let _ = driver.kill();
                let _ = driver.wait();
                Err(error)
            }
        }
    }

    fn connect(driver: &mut Child, profile: &Path) -> Result<(ureq::Agent, String)> {
        let port = announced_port(driver)?;
        let http: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        let base = format!("http://127.0.0.1:{port}");
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1366,900",
                format!("--user-data-dir={}", profile.display()),
            ],
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": options,
            "timeouts": { "script": 50_000, "pageLoad": 50_000 },
        } } });
        let made = send(&http, "POST", &format!("{base}/session"), Some(&wanted)).context("Chromium did not start")?;
        let id = made["sessionId"].as_str().ok_or_else(|| anyhow!("chromedriver gave no session: {made}"))?;
        Ok((http, format!("{base}/session/{id}")))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        send(&self.http, method, &format!("{}{path}", self.session), body)
    }

    /// Opens an address and waits until the page is loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        self.call("POST", "/url", Some(&json!({ "url": url }))).map(drop)
    }

    /// The size of the page, CSS pixels.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let body = json!({
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": { "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false },
        });
        self.call("POST", "/goog/cdp/execute", Some(&body)).map(drop)
    }

    /// Runs the body of an `async` function in the page; its arguments are `args[0]`, `args[1]` …
    pub fn run(&self, script: &str, args: &[Value]) -> Result<Value> {
        let wrapped = format!(
            "const done = arguments[arguments.length - 1]; const args = [...arguments].slice(0, -1);
             (async () => {{ {script} }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));"
        );
        let said = self.call("POST", "/execute/async", Some(&json!({ "script": wrapped, "args": args })))?;
        match said.get("error") {
            Some(error) => bail!("script in the page failed: {error}\n{script}"),
            None => Ok(said["value"].clone()),
        }
    }

    /// Waits until a script's result is neither false, null, zero nor empty, and gives it. A script that fails (the page
    /// is not there yet) is tried again as well.
    pub fn wait(&self, what: &str, within: Duration, script: &str, args: &[Value]) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            let said = self.run(script, args);
            let empty = match &said {
                Err(_) | Ok(Value::Null) => true,
                Ok(Value::Bool(yes)) => !yes,
                Ok(Value::Number(number)) => number.as_f64() == Some(0.0),
                Ok(Value::String(text)) => text.is_empty(),
                Ok(Value::Array(list)) => list.is_empty(),
                Ok(Value::Object(_)) => false,
            };
            if !empty {
                return said;
            }
            if Instant::now() >= deadline {
                let page = self.run("return document.body.innerText.slice(0, 1500)", &[]).unwrap_or_default();
                let page = page.as_str().unwrap_or_default();
                bail!("not within {within:?}: {what}: {said:?}\nthe page says:\n{page}");
            }
            std::thread::sleep(POLL); // the condition is in another process: there is nothing to wait on
        }
    }

    fn find(&self, css: &str) -> Result<String> {
        self.wait(css, SOON, "return Boolean(document.querySelector(args[0]))", &[json!(css)])?;
        let body = json!({ "using": "css selector", "value": css });
        let found = self.call("POST", "/element", Some(&body))?;
        Ok(found[ELEMENT].as_str().ok_or_else(|| anyhow!("no element {css}: {found}"))?.to_owned())
    }

    /// Does something to the first element of a CSS selector. The page may draw itself anew between finding the element
    /// and using it; then a person would simply use the new one.
    fn act(&self, css: &str, what: &str, body: &Value) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let element = self.find(css)?;
            match self.call("POST", &format!("/element/{element}/{what}"), Some(body)) {
                Err(error) if error.to_string().contains(STALE) && Instant::now() < deadline => {}
                done => return done.with_context(|| format!("{what} on {css}")).map(drop),
            }
        }
    }

    /// Clicks the first element of a CSS selector where a person would: it must be visible and not covered.
    pub fn click(&self, css: &str) -> Result<()> {
        self.act(css, "click", &json!({}))
    }

    /// Types into a field.
    pub fn type_into(&self, css: &str, text: &str) -> Result<()> {
        self.act(css, "clear", &json!({}))?;
        self.act(css, "value", &json!({ "text": text }))
    }

    /// What an element shows as text, as soon as it is there.
    pub fn text(&self, css: &str) -> Result<String> {
        let text = self.wait(css, SOON, "return document.querySelector(args[0])?.innerText", &[json!(css)])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an element shows this text.
    pub fn reads(&self, css: &str, text: &str) -> Result<()> {
        let script = "return document.querySelector(args[0])?.innerText.trim() === args[1]";
        self.wait(&format!("{css} reads {text:?}"), SOON, script, &[json!(css), json!(text)]).map(drop)
    }

    /// Writes a picture of the page as PNG.
    pub fn screenshot(&self, to: &Path) -> Result<()> {
        let picture = self.call("GET", "/screenshot", None)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap_or_default())?;
        std::fs::write(to, bytes).with_context(|| format!("{} cannot be written", to.display()))
    }

    /// What the page has written to the browser's console since the last call: errors and refused resources too.
    pub fn log(&self) -> Result<Vec<String>> {
        let entries = self.call("POST", "/se/log", Some(&json!({ "type": "browser" })))?;
        let line = |entry: &Value| {
            format!("{} {}", entry["level"].as_str().unwrap_or_default(), entry["message"].as_str().unwrap_or_default())
        };
        Ok(entries.as_array().map(|list| list.iter().map(line).collect()).unwrap_or_default())
    }

    /// Ends the browser and waits for it.
    pub fn quit(mut self) -> Result<()> {
        self.call("DELETE", "", None)?;
        let _ = self.driver.kill();
        self.driver.wait()?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(None) = self.driver.try_wait() {
            let _ = self.call("DELETE", "", None); // chromedriver ends Chromium; killed alone it would leave it behind
            let _ = self.driver.kill();
            let _ = self.driver.wait();
        }
    }
}

/// chromedriver chose a free port and says so in its first lines.
fn announced_port(driver: &mut Child) -> Result<u16> {
    let output = driver.stdout.take().ok_or_else(|| anyhow!("chromedriver's output is not piped"))?;
    let (port_out, port_in) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        // reads to the end, so that the driver never blocks on a full pipe
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(port) = line.split("started successfully on port ").nth(1) {
                let _ = port_out.send(port.trim_end_matches('.').trim().parse());
            }
        }
    });
    Ok(port_in.recv_timeout(START).context("chromedriver did not say its port")??)
}

fn send(http: &ureq::Agent, method: &str, url: &str, body: Option<&Value>) -> Result<Value> {
    let request = ureq::http::Request::builder().method(method).uri(url).header("Content-Type", "application/json");
    let text = body.map(ToString::to_string).unwrap_or_default();
    let mut response = http.run(request.body(text)?)?;
    let answer: Value = serde_json::from_str(&response.body_mut().with_config().limit(64 << 20).read_to_string()?)?;
    let value = answer["value"].clone();
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        bail!("{method} {url}: {error}: {}", value["message"].as_str().unwrap_or_default());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    const PAGE: &str = "<!doctype html><title>Trang</title><input id=name><button id=greet>Chào</button><p id=says></p>
        <script>document.getElementById('greet').onclick = () => setTimeout(() => {
          document.getElementById('says').textContent = 'Chào ' + document.getElementById('name').value;
        }, 300);</script>";

    /// Serves one page for ever; the thread ends with the test program.
    fn serve() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    PAGE.len()
                );
                let _ = stream.write_all(format!("{head}{PAGE}").as_bytes());
            }
        });
        format!("http://{address}/")
    }

    #[test]
    fn a_person_types_clicks_waits_and_reads() {
        let browser = Browser::start().unwrap();
        browser.open(&serve()).unwrap();
        browser.type_into("#name", "Điểm cầu").unwrap();
        browser.click("#greet").unwrap();
        browser
            .wait("the greeting", Duration::from_secs(10), "return document.getElementById('says').textContent", &[])
            .unwrap();
        assert_eq!(browser.text("#says").unwrap(), "Chào Điểm cầu");
        assert_eq!(browser.run("return args[0] + args[1]", &[json!(2), json!(3)]).unwrap(), 5);
        let failed = browser.run("throw new Error('sai')", &[]).unwrap_err();
        assert!(failed.to_string().contains("sai"), "{failed}");
        let folder = tempfile::tempdir().unwrap();
        browser.screenshot(&folder.path().join("page.png")).unwrap();
        assert!(std::fs::read(folder.path().join("page.png")).unwrap().starts_with(b"\x89PNG"));
        browser.quit().unwrap();
    }
}
