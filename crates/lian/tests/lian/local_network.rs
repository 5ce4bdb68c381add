//! `lian up`: it starts, survives its nodes' deaths, and never leaves a node behind.

use crate::program::{free_offset, lian, refused, text};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `lian up` with one node.
struct Up {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    dir: PathBuf,
}

impl Up {
    fn start(dir: &Path, offset: u16) -> Self {
        let offset = offset.to_string();
        let mut process = lian(&["up", "--dir", text(dir), "--nodes", "1", "--port-offset", &offset])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines, dir: dir.to_owned() }
    }

    /// Reads until a line.
    fn wait_for(&mut self, expected: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line == expected {
                return seen;
            }
            seen.push(line);
        }
        panic!("no line `{expected}` but {seen:?}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
    }

    /// The node's process, as its lock names it.
    fn node(&self) -> Pid {
        let lock = fs::read_to_string(self.dir.join("node0/data/.lock")).unwrap();
        Pid::from_raw(lock.trim().parse().unwrap())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Only where a test failed before it ended the process itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_alive(pid: Pid) -> bool {
    // A process that has ended but was not waited for still has a number.
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// Whether something happens before patience ends.
fn happens(condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn starts_restarts_its_node_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let offset = free_offset();
    let mut up = Up::start(&dir, offset);
    let seen = up.wait_for("ready");
    assert!(seen.iter().any(|line| line.contains(&format!("http://127.0.0.1:{}", 8_545 + offset))), "{seen:?}");
    assert!(seen.iter().any(|line| line.contains("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")), "{seen:?}");
    let line = refused(&mut lian(&["up", "--dir", text(&dir)]));
    assert!(line.contains("is in use by another lian process"), "{line}");

    let first = up.node();
    kill(first, Signal::SIGKILL).unwrap();
    let replaced = || {
        fs::read_to_string(dir.join("node0/data/.lock"))
            .is_ok_and(|pid| !pid.is_empty() && pid.trim() != first.to_string())
    };
    assert!(happens(replaced), "no new start");
    let second = up.node();
    assert!(is_alive(second));

    up.signal(Signal::SIGINT);
    up.wait_for("stopped");
    assert_eq!(up.process.wait().unwrap().code(), Some(0));
    assert!(!is_alive(second));
}

#[test]
fn goes_on_from_its_folder_at_other_ports() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    let (before, after) = (free_offset(), free_offset());
    for offset in [before, after] {
        let mut up = Up::start(&dir, offset);
        let seen = up.wait_for("ready");
        assert!(seen.iter().any(|line| line.contains(&format!("127.0.0.1:{}", 8_545 + offset))), "{seen:?}");
        assert_eq!(seen.iter().any(|line| line.starts_with("creating")), offset == before, "{seen:?}");
        up.signal(Signal::SIGTERM);
        up.wait_for("stopped");
    }
}

#[test]
fn no_node_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut up = Up::start(&folder.path().join("net"), free_offset());
    up.wait_for("ready");
    let node = up.node();
    up.signal(Signal::SIGKILL);
    up.process.wait().unwrap();
    let ended = happens(|| !is_alive(node));
    if !ended {
        kill(node, Signal::SIGKILL).unwrap();
    }
    assert!(ended, "the node goes on without its parent");
}
