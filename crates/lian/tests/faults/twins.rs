//! One key, two processes.

use crate::{
    load::Load,
    network::{NODES, Network, SPARE, configure, others},
    pulse::Pulse,
};
use serde_json::{Value, json};
use std::{path::Path, time::Instant};

/// A copy of a member's folder, from before its first start, is started beside it: same keys, same certificate, no
/// memory of what was voted. The two fight for the others' sessions and contradict each other; the rest go on with one
/// chain, which the twin, too, follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_without_memory_splits_nothing() {
    let mut network = Network::create(|_| {}).await;
    let folders: Vec<_> = (0..NODES).map(|node| network.dir().join(format!("twin-of-node{node}"))).collect();
    for (node, folder) in folders.iter().enumerate() {
        copy(&network.folder(node), folder);
    }
    (0..NODES).for_each(|node| network.start(node));
    network.wait_for_sessions(0..NODES).await;
    // The leader, where a contradiction hurts most.
    let leader = network.leader(0).await;
    let rest = others(leader);
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(20).await;

    let folder = folders[leader].clone();
    let place = NODES + 1;
    let ports = [network.ports + SPARE + 6, network.ports + 8 + place as u16, network.ports + 16 + place as u16];
    configure(&folder, ports, |other| network.relays.address(leader, other));
    let twin = network.add(folder.clone(), place);
    let begun = Instant::now();
    network.start(twin);
    let payments = if crate::is_long() { 3_000 } else { 300 };
    load.wait_for_more(payments).await;
    network.check_gap(&pulse, begun, &format!("node{leader} had a twin"));
    let sessions = network.relays.connections();
    println!("{sessions} connections were made between members");

    network.kill(twin);
    // What the twin stored is the same chain, however far it came.
    let verified = verify(&folder);
    let line = |name: &str| verified.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let (height, hash): (u64, String) = (line("head").parse().unwrap(), line("hash"));
    let asked = vec![json!(format!("{height:#x}")), json!(false)];
    let block: Value = network.client(rest[0]).request("eth_getBlockByNumber", asked).await.unwrap();
    assert_eq!(block["hash"], hash, "the twin's block {height} is another one");
    let contradicting = network.votes.lock().unwrap().contradicting();
    println!("the twin came to height {height}; keys that contradicted themselves: {contradicting:?}");
    network.settle_and_check(load, &[leader]).await;
}

fn verify(folder: &Path) -> String {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_lian")).args(["verify", "--dir"]).arg(folder).output();
    let run = run.unwrap();
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "the twin: {out}{}", String::from_utf8_lossy(&run.stderr));
    out
}

fn copy(from: &Path, to: &Path) {
    let run = std::process::Command::new("cp").arg("-a").args([from, to]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
