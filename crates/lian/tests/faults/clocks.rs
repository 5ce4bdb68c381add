//! Clocks that are set wrong, by a library of some lines between the process and the system's clock. It is compiled by
//! the C compiler that building Lian needs anyway.

use crate::{
    load::Load,
    network::{NODES, Network},
    pulse::Pulse,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

const HOUR: i64 = 3_600;

/// One member is an hour ahead, the leader first of all: nobody accepts its proposals, and the rest go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_ahead_stops_nobody() {
    move_clock(HOUR).await;
}

/// One member is an hour behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_behind_stops_nobody() {
    move_clock(-HOUR).await;
}

async fn move_clock(seconds: i64) {
    let mut network = Network::start_all(|_| {}).await;
    let library = compile(network.dir());
    let load = Load::start(&network).await;
    load.wait_for_more(20).await;
    // The leader comes back with another clock, and all take their turn of leading after it.
    let moved = network.leader(0).await;
    network.stop(moved);
    network.start_as(moved, with_clock(&network, moved, &library, seconds));
    network.wait_for_sessions(0..NODES).await;
    let seen = network.clock(moved).await;
    assert!(
        (seen - seconds).abs() < HOUR / 2,
        "node{moved}'s clock was to be moved by {seconds} s, it is {seen} s off"
    );

    let pulse = Pulse::of(&network, &[0, 1, 2, 3]);
    let begun = Instant::now();
    // A leader that ends makes the next one lead, so all have had their turn after as many views as there are members.
    let first = network.view(moved).await;
    while network.view(moved).await < first + NODES as u64 {
        load.wait_for_more(10).await;
        let leader = network.leader((moved + 1) % NODES).await;
        if leader != moved {
            network.kill(leader);
            network.wait_for_other_leader(leader, &[moved]).await;
            network.start(leader);
        } else {
            // It leads, as far as the others let it; a clean end makes it give that up, and it comes back as it was.
            load.wait_for_more(20).await;
            network.stop(moved);
            network.wait_for_other_leader(moved, &[(moved + 1) % NODES]).await;
            network.start_as(moved, with_clock(&network, moved, &library, seconds));
        }
        network.wait_for_sessions(0..NODES).await;
    }
    load.wait_for_more(50).await;
    network.check_gap(&pulse, begun, &format!("node{moved}'s clock was {seconds} s off"));
    network.check(load).await;
}

fn with_clock(network: &Network, node: usize, library: &Path, seconds: i64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lian"));
    command.args(["node", "--config"]).arg(network.folder(node).join("config.toml"));
    command.env("LD_PRELOAD", library).env("LIAN_CLOCK_SECONDS", seconds.to_string());
    command
}

fn compile(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
    let library = folder.join("clock.so");
    let run = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").output();
    let run = run.expect("a C compiler is needed (`sudo apt install build-essential`)");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    library
}

impl Network {
    /// The view that a node is in; 0 where it does not answer.
    async fn view(&self, node: usize) -> u64 {
        self.status(node).await.and_then(|status| status["view"].as_u64()).unwrap_or(0)
    }

    /// By how many seconds a node's clock is off, by what its log says.
    async fn clock(&self, node: usize) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let line = self.last_words(node).lines().last().unwrap().to_owned();
        let stamp = line.split_whitespace().next().unwrap().to_owned();
        let run = Command::new("date").args(["-d", &stamp, "+%s"]).output().unwrap();
        let logged: i64 = String::from_utf8_lossy(&run.stdout).trim().parse().unwrap_or_else(|_| panic!("{line}"));
        logged - now
    }
}
