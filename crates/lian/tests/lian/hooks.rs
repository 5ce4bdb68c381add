//! Event hooks of a real node, told to a real HTTP service that goes away, while the node is killed.

use crate::program::{free_offset, lian, refused, succeed, text};
use alloy_primitives::Address;
use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use lian_hooks::Secrets;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first development account, and its key.
const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const GREETED: &str = "Greeted(address indexed by, string greeting)";

/// A service that takes whatever is signed.
struct Service {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What arrived: `webhook-id` and the body.
type Heard = (String, Value);

impl Service {
    async fn start(port: u16, hears: &mpsc::UnboundedSender<Heard>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let hears = hears.clone();
        let take = async move |headers: HeaderMap, body: Bytes| {
            hears.send(verified(&headers, &body)).unwrap();
        };
        let (stop, stopped) = oneshot::channel();
        let serve = axum::serve(listener, Router::new().route("/lian", post(take)));
        let task = tokio::spawn(async move {
            let end = async { stopped.await.unwrap_or_default() };
            serve.with_graceful_shutdown(end).await.unwrap();
        });
        Self { stop, task }
    }

    /// Closes the port and every connection.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}

fn verified(headers: &HeaderMap, body: &[u8]) -> Heard {
    let header = |name: &str| headers[name].to_str().unwrap();
    let id = header("webhook-id");
    let signature = Secrets::parse(SECRET).unwrap().sign(id, header("webhook-timestamp").parse().unwrap(), body);
    assert_eq!(header("webhook-signature"), signature);
    assert_eq!(header("content-type"), "application/json");
    (id.to_owned(), serde_json::from_slice(body).unwrap())
}

/// A node alone.
struct Node {
    dir: PathBuf,
    offset: u16,
    process: Option<Child>,
}

impl Node {
    fn new(folder: &Path) -> Self {
        let (dir, offset) = (folder.join("net"), free_offset());
        let port_offset = offset.to_string();
        succeed(&["init", "--dir", text(&dir), "--host", "127.0.0.1:1", "--port-offset", &port_offset]);
        Self { dir: dir.join("node0"), offset, process: None }
    }

    fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// Adds hooks to the configuration.
    fn configure(&self, hooks: &str) {
        let config = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), config + hooks).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        lian(&[&["node", "--config", text(&self.config())], more].concat())
    }

    /// Starts it, and waits until it serves.
    fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = self.command(&[]);
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let serves = || lian(&["status", "--rpc-url", &self.url(8_545)]).output().unwrap().status.success();
        let end = Instant::now() + PATIENCE;
        while !serves() {
            assert!(Instant::now() < end, "the node does not serve:\n{}", self.log());
        }
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{}", port + self.offset)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
        process.wait().unwrap().code()
    }

    fn greet(&self, contract: &str, words: &[&str]) {
        for word in words {
            let url = self.url(8_545);
            succeed(&["send", contract, "set(string)", word, "--private-key", KEY, "--rpc-url", &url]);
        }
    }

    /// A hook's metric.
    fn metric(&self, name: &str) -> String {
        let url = self.url(9_545).replace("http://", "");
        let text = get(&url, "/metrics");
        let line = text.lines().find(|line| line.starts_with(name) && line.contains("hook=\"greetings\""));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Only where a test failed before it stopped it itself.
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn get(host: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// What a service has heard so far.
struct Inbox {
    heard: mpsc::UnboundedReceiver<Heard>,
    /// Each message once, in the order of first arrivals.
    first: Vec<Heard>,
}

impl Inbox {
    /// Waits for so many different messages in all; the greetings that they tell of.
    async fn wait_for(&mut self, count: usize, node: &Node) -> Vec<String> {
        while self.first.len() < count {
            let Ok(next) = tokio::time::timeout(PATIENCE, self.heard.recv()).await else {
                panic!("only {} of {count} arrived:\n{}", self.first.len(), node.log())
            };
            let (id, body) = next.unwrap();
            match self.first.iter().find(|(known, _)| *known == id) {
                Some((_, known)) => assert_eq!(*known, body, "another attempt tells the same"),
                None => self.first.push((id, body)),
            }
        }
        let word = |(_, body): &Heard| body["data"]["event"]["arguments"]["greeting"].as_str().unwrap().to_owned();
        self.first.iter().map(word).collect()
    }
}

fn hook(contract: &str, url: &str) -> String {
    format!(
        "\n[[hooks]]\nname = \"greetings\"\ncontract = \"{contract}\"\nevents = [\"{GREETED}\"]\nurl = \"{url}\"\n\
         secret = \"greetings.secret\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_whoever_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(folder.path());
    let contract = ACCOUNT.parse::<Address>().unwrap().create(0).to_string();
    let port = 20_200 + node.offset;
    fs::write(node.dir.join("greetings.secret"), SECRET).unwrap();
    node.configure(&hook(&contract, &format!("http://127.0.0.1:{port}/lian")));
    succeed(&["node", "--check", "--config", text(&node.config())]);
    let (hears, heard) = mpsc::unbounded_channel();
    let mut inbox = Inbox { heard, first: vec![] };
    let service = Service::start(port, &hears).await;
    node.start();
    let artifact = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/artifacts/HelloWorld.json");
    let said = succeed(&["deploy", artifact, "--private-key", KEY, "--rpc-url", &node.url(8_545)]);
    assert!(said.contains(&contract.to_lowercase()), "{said}");
    node.greet(&contract, &["one", "two", "three"]);
    assert_eq!(inbox.wait_for(3, &node).await, ["one", "two", "three"]);
    let (id, body) = inbox.first[0].clone();
    assert_eq!(id, "greetings-0-2-0");
    assert_eq!((&body["type"], &body["data"]["chainId"]), (&json!("contract.event"), &json!("0x4ee8")));
    let event = json!({
        "name": "Greeted", "signature": "Greeted(address,string)",
        "arguments": { "by": ACCOUNT, "greeting": "one" },
    });
    assert_eq!(body["data"]["event"], event);

    // The service is away while the node goes on, is killed and starts again.
    service.stop().await;
    node.greet(&contract, &["four", "five"]);
    let end = Instant::now() + PATIENCE;
    while node.metric("lian_hook_failing") != "1" {
        assert!(Instant::now() < end, "{}", node.log());
    }
    assert_ne!(node.metric("lian_hook_behind_blocks"), "0");
    assert_eq!(node.metric("lian_hook_delivered_total"), "3");
    node.end(Signal::SIGKILL);
    node.start();
    node.greet(&contract, &["six"]);
    let service = Service::start(port, &hears).await;
    let six = ["one", "two", "three", "four", "five", "six"];
    assert_eq!(inbox.wait_for(6, &node).await, six);

    // Killed with events on their way, in whatever moment that is.
    node.greet(&contract, &["seven", "eight"]);
    node.end(Signal::SIGKILL);
    node.start();
    node.greet(&contract, &["nine"]);
    assert_eq!(inbox.wait_for(9, &node).await, [&six[..], &["seven", "eight", "nine"]].concat());
    let end = Instant::now() + PATIENCE;
    while node.metric("lian_hook_behind_blocks") != "0" {
        assert!(Instant::now() < end, "{}", node.log());
    }
    assert_eq!(node.metric("lian_hook_failing"), "0");
    assert_eq!(node.end(Signal::SIGTERM), Some(0), "{}", node.log());
    assert!(node.log().contains("hook fails"), "{}", node.log());
    service.stop().await;
}

#[test]
fn what_is_wrong_with_a_hook_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::new(folder.path());
    fs::write(node.dir.join("greetings.secret"), SECRET).unwrap();
    let good = hook("0x0000000000000000000000000000000000002009", "http://127.0.0.1:1/lian");
    let config = fs::read_to_string(node.config()).unwrap();
    for (from, to, words) in [
        (GREETED, "Greeted(", "hook `greetings`: events: `Greeted(` is no event"),
        ("http://", "ftp://", "url is `ftp://127.0.0.1:1/lian`, must begin with http:// or https://"),
        ("name = \"greetings\"", "name = \"greetings\"\ngroup = 5", "hook `greetings`: this node has no group 5"),
        ("secret = \"", "secret = \"no-", "no-greetings.secret: No such file"),
        ("url =", "uri =", "unknown field `uri`"),
    ] {
        assert!(good.contains(from));
        fs::write(node.config(), config.clone() + &good.replace(from, to)).unwrap();
        let line = refused(&mut node.command(&[]));
        assert!(line.contains(words), "{line}");
    }
    fs::write(node.config(), config.clone() + &good + &good).unwrap();
    let run = node.command(&["--check"]).output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains("hook `greetings`: another hook has this name"), "{said}");
}
