//! `examples/websocket_chat.rs` as its users run it: under a WebSocket client, and in the tabs of a headless Chromium.
//! The tabs are told what to type by the DevTools protocol, which is a WebSocket as well.

use futures_util::{AsyncReadExt as _, SinkExt as _, StreamExt as _};
use loxley::process::{Process, Stdio};
use loxley::{TcpStream, create_subprocess_exec, signal};
use loxley_ecosystem::local::{Outcome, example, line, run, server};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// The server, and its `127.0.0.1:PORT`.
async fn chat() -> Outcome<(Process, String)> {
    let (server, mut says) = example("websocket_chat", &["127.0.0.1:0"]).await?;
    let said = line(&mut says).await?;
    let addr = said.strip_prefix("serving on http://");
    let addr = addr
        .and_then(|rest| rest.strip_suffix('/'))
        .ok_or("no address")?;
    Ok((server, addr.to_owned()))
}

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn connect(url: &str) -> Outcome<Self> {
        let addr = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next());
        let stream = TcpStream::connect(addr.ok_or("no URL of a WebSocket")?).await?;
        Ok(Self(client_async(url, stream).await?.0))
    }

    async fn say(&mut self, text: &str) -> Outcome {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// The next that is text; an error at the end.
    async fn hear(&mut self) -> Outcome<String> {
        loop {
            match self.0.next().await.ok_or("the socket has ended")?? {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(_) => return Err("goodbye".into()),
                _ => {}
            }
        }
    }
}

#[test]
fn two_clients_hear_each_other() -> Outcome {
    run(async {
        let (server, addr) = chat().await?;
        let url = format!("ws://{addr}/chat");
        let mut ann = Socket::connect(&url).await?;
        ann.say("Ann").await?;
        assert_eq!(ann.hear().await?, "* Ann has come");
        let mut bob = Socket::connect(&url).await?;
        bob.say(" Bob\n").await?;
        assert_eq!(ann.hear().await?, "* Bob has come");
        assert_eq!(bob.hear().await?, "* Bob has come");
        bob.say("").await?;
        bob.say("<b>hello</b>").await?;
        for socket in [&mut ann, &mut bob] {
            assert_eq!(socket.hear().await?, "Bob: <b>hello</b>");
        }
        // Too long a message ends the connection of who sends it, and of nobody else.
        bob.say(&"x".repeat(5 << 10)).await?;
        assert_eq!(ann.hear().await?, "* Bob has gone");
        ann.say("alone?").await?;
        assert_eq!(ann.hear().await?, "Ann: alone?");

        server.send_signal(signal::SIGTERM)?;
        assert!(ann.hear().await.is_err());
        server.wait().await?;
        Ok(())
    })
}

#[test]
fn a_request_that_is_no_websocket_is_told_so() -> Outcome {
    run(async {
        let (_server, addr) = chat().await?;
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"GET /chat HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8(answer)?;
        assert!(answer.starts_with("HTTP/1.0 426 "), "{answer}");
        Ok(())
    })
}

/// A tab of the browser.
struct Tab {
    socket: Socket,
    calls: u64,
}

impl Tab {
    /// Opens `url` in a new one; `devtools` is the browser's own socket.
    async fn open(devtools: &str, url: &str) -> Outcome<Self> {
        let mut browser = Self {
            socket: Socket::connect(devtools).await?,
            calls: 0,
        };
        let made = browser
            .call("Target.createTarget", json!({ "url": url }))
            .await?;
        let target = made["targetId"].as_str().ok_or("no tab was made")?;
        let base = devtools.split("/browser/").next().ok_or("no such URL")?;
        let socket = Socket::connect(&format!("{base}/page/{target}")).await?;
        let mut tab = Self { socket, calls: 0 };
        // Once the page is there, and its socket open.
        tab.wait_for("typeof socket === 'object' && socket.readyState === 1")
            .await?;
        Ok(tab)
    }

    async fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": params });
        self.socket.say(&call.to_string()).await?;
        loop {
            let mut answer: Value = serde_json::from_str(&self.socket.hear().await?)?;
            if answer["id"] == self.calls {
                return Ok(answer["result"].take());
            }
        }
    }

    /// What a script gives; a promise is awaited.
    async fn evaluate(&mut self, script: &str) -> Outcome<Value> {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        Ok(answer["result"]["value"].take())
    }

    /// Until a condition holds, which is looked at with each picture.
    async fn wait_for(&mut self, condition: &str) -> Outcome {
        let script = format!(
            "new Promise((done) => {{
                const look = () => {{ if ({condition}) done(true); else setTimeout(look, 10); }};
                look();
            }})"
        );
        // The first call may meet the empty page that goes away: then its promise is lost with it.
        while self.evaluate(&script).await? != true {}
        Ok(())
    }

    /// As somebody who types and presses the button.
    async fn type_in(&mut self, text: &str) -> Outcome {
        let text = Value::from(text);
        let script = format!("text.value = {text}; form.querySelector('button').click()");
        self.evaluate(&script).await?;
        Ok(())
    }

    async fn shows(&mut self, line: &str) -> Outcome {
        let line = Value::from(format!("{line}\n"));
        self.wait_for(&format!("lines.textContent.includes({line})"))
            .await
    }
}

#[test]
fn two_tabs_of_a_browser_hear_each_other() -> Outcome {
    run(async {
        let Some(chromium) = server("LOXLEY_CHROMIUM") else {
            return Ok(());
        };
        let (server, addr) = chat().await?;
        let profile = std::env::temp_dir().join(format!("loxley-chromium-{}", std::process::id()));
        let mut browser = create_subprocess_exec(
            chromium,
            [
                "--headless",
                "--no-sandbox", // Root has none.
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                &format!("--user-data-dir={}", profile.display()),
                "about:blank",
            ],
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .await?;
        let mut errors = browser.stderr.take().ok_or("it is piped")?;
        let devtools = loop {
            let said = errors.readline().await?;
            if said.is_empty() {
                return Err("the browser has ended".into());
            }
            if let Some(url) = String::from_utf8_lossy(&said).strip_prefix("DevTools listening on ")
            {
                break url.trim().to_owned();
            }
        };

        let page = format!("http://{addr}/");
        let mut ann = Tab::open(&devtools, &page).await?;
        ann.type_in("Ann").await?;
        ann.shows("* Ann has come").await?;
        let mut bob = Tab::open(&devtools, &page).await?;
        bob.type_in("Bob").await?;
        ann.shows("* Bob has come").await?;
        ann.type_in("hello, Bob <script>").await?;
        bob.shows("Ann: hello, Bob <script>").await?;
        assert_eq!(
            bob.evaluate("lines.children.length").await?,
            0,
            "what is said is no markup"
        );
        server.send_signal(signal::SIGTERM)?;
        bob.shows("* the connection has ended; load the page again to join")
            .await?;

        browser.kill()?;
        browser.wait().await?;
        let _ = std::fs::remove_dir_all(profile);
        Ok(())
    })
}
