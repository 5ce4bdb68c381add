//! What strangers and clients can do to a node's process, with its memory watched. What a single message may do is
//! tried in the crates `network` and `rpc`; here it is many at once, against a node that works.

use crate::{
    is_long,
    load::{CHAIN_ID, Load, PAYMENT_GAS, key, payment},
    network::{LOOK, NODES, Network, PATIENCE},
    pulse::Pulse,
};
use alloy_primitives::{Address, TxKind, U256};
use lian_client::{RpcClient, SendRequest, Sender};
use lian_types::limits;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What a node may grow by in one of these tests: its pool twice over (bodies and what is known about them), the
/// largest answers of a few calls at once, and what an allocator keeps.
const GROWTH_KIB_MAX: u64 = 512 * 1024;

/// A process's resident memory.
pub(crate) fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A node under attack among others that are not.
struct Attacked {
    network: Network,
    load: Load,
    pulse: Pulse,
    node: usize,
    begun: Instant,
    before: u64,
}

impl Attacked {
    async fn begin() -> Self {
        let network = Network::start_all(|_| {}).await;
        // The leader, where it hurts most.
        let node = network.leader(0).await;
        let load = Load::start(&network).await;
        let pulse = Pulse::of(&network, &crate::network::others(node));
        load.wait_for_more(20).await;
        let before = memory_kib(network.pid(node));
        Self { network, load, pulse, node, begun: Instant::now(), before }
    }

    async fn end(self, what: &str) {
        let Self { mut network, load, pulse, node, begun, before } = self;
        load.wait_for_more(20).await;
        network.check_alive();
        network.check_gap(&pulse, begun, what);
        let after = memory_kib(network.pid(node));
        println!("{what}: node{node} had {before} KiB, now {after} KiB");
        assert!(after < before + GROWTH_KIB_MAX, "{what}: node{node} grew from {before} KiB to {after} KiB");
        network.check(load).await;
    }

    /// Transactions that wait at the node; none if it does not answer.
    async fn pending(&self) -> Option<u64> {
        self.network.status(self.node).await?["pending"].as_u64()
    }
}

async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.unwrap()
}

/// Connections to the port for nodes that say nothing, nonsense, or begin a TLS record that never ends; and a member
/// that restarts meanwhile gets in.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_port_for_nodes() {
    let mut attacked = Attacked::begin().await;
    let address = SocketAddr::from(([127, 0, 0, 1], attacked.network.p2p_port(attacked.node)));
    // A TLS handshake record (RFC 8446 §5.1) of the largest size, of which nothing follows.
    let says: [&[u8]; 3] = [b"", &[0xff; 512], &[0x16, 3, 1, 0x40, 0]];
    let mut held = Vec::new();
    for wave in 0..if is_long() { 100 } else { 4 } {
        for number in 0..90 {
            let mut stream = connect(address).await;
            // The node may have closed it.
            let _ = stream.write_all(says[number % says.len()]).await;
            held.push(stream);
        }
        // Some stay, some go without a word.
        held.truncate(100 + wave % 2 * 50);
    }
    let member = (attacked.node + 1) % NODES;
    attacked.network.kill(member);
    attacked.network.start(member);
    drop(held);
    attacked.network.wait_for_sessions(0..NODES).await;
    attacked.end("strangers at the port for nodes").await;
}

/// Requests that are deep, many, slow, or never come, and calls that use all the memory they may.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_clients_at_the_rpc_port() {
    let attacked = Attacked::begin().await;
    let address = attacked.network.rpc_address(attacked.node);
    let mut held = Vec::new();
    for number in 0..400 {
        let mut stream = connect(address).await;
        // Nothing at all; half a head; a body that is announced and never comes.
        let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let said = match number % 3 {
            0 => String::new(),
            1 => head.to_owned(),
            _ => format!("{head}content-length: {}\r\n\r\n[", limits::RPC_REQUEST_BYTES_MAX),
        };
        let _ = stream.write_all(said.as_bytes()).await;
        held.push(stream);
    }
    for _ in 0..if is_long() { 50 } else { 3 } {
        let deep = "[".repeat(limits::RPC_REQUEST_BYTES_MAX as usize - 1_024);
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            deep.len()
        );
        let mut stream = connect(address).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(deep.as_bytes()).await;
        held.push(stream);

        let client = attacked.network.client(attacked.node);
        let batch = vec![vec![json!("latest"), json!(true)]; limits::RPC_BATCH_ENTRIES_MAX as usize];
        let answers = client.batch("eth_getBlockByNumber", batch).await;
        println!("a batch of blocks: {}", answers.map_or_else(|error| error.to_string(), |all| all.len().to_string()));
        let calls = (0..16).map(|_| large_call(attacked.network.client(attacked.node)));
        let answers = at_once(calls).await;
        println!("calls with 4 MiB of memory each: {answers} of 16 answered");
        assert!(answers > 0, "no call used the memory that it was to use");
    }
    drop(held);
    // The node serves others again, as soon as it has noticed.
    let end = Instant::now() + PATIENCE;
    while attacked.network.status(attacked.node).await.is_none() {
        assert!(Instant::now() < end, "the node does not answer any more");
        tokio::time::sleep(LOOK).await;
    }
    attacked.end("hostile clients").await;
}

/// Runs calls at once; how many were answered.
async fn at_once<F: Future<Output = bool> + Send + 'static>(calls: impl Iterator<Item = F>) -> usize {
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    let mut answered = 0;
    for task in tasks {
        answered += usize::from(task.await.unwrap());
    }
    answered
}

/// A call that writes the last word of 4 MiB of memory, and returns all of it.
async fn large_call(client: RpcClient) -> bool {
    // PUSH1 1, PUSH3 4 MiB - 32, MSTORE, PUSH3 4 MiB, PUSH1 0, RETURN: 34 of the 50 million gas that a call may use.
    let code = "0x6001623fffe052624000006000f3";
    let at = Address::repeat_byte(0x55);
    let overrides = json!({at.to_string(): {"code": code}});
    let request = vec![json!({"to": at, "gas": "0x2faf080"}), json!("latest"), overrides];
    client.request::<Value>("eth_call", request).await.is_ok()
}

/// Transactions of one account far beyond what the pool takes of it, with and without gaps; and of many accounts.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_transactions() {
    let attacked = Attacked::begin().await;
    let client = attacked.network.client(attacked.node);
    let token = attacked.load.token().address;
    let raw = |account: usize, nonce: u64| {
        let sender = Sender::new(&client, &key(account)).unwrap();
        let request = SendRequest {
            to: TxKind::Call(token),
            value: U256::ZERO,
            input: payment(Address::repeat_byte(0x66), 0).data().clone(),
            gas_limit: Some(PAYMENT_GAS),
            nonce: None,
        };
        vec![json!(sender.sign(CHAIN_ID, nonce, PAYMENT_GAS, &request).unwrap().1)]
    };
    for round in 0..if is_long() { 20 } else { 1 } {
        // One account in order, one with gaps only, then many.
        let first = 2_000 + round * 1_000;
        let mut flood: Vec<_> = (0..3_000).map(|nonce| raw(first, nonce)).collect();
        flood.extend((0..1_000).map(|nonce| raw(first + 1, 1 + nonce * 2)));
        (2..302).for_each(|account| flood.extend((0..10).map(|nonce| raw(first + account, nonce))));
        let (mut taken, mut refused) = (0, 0);
        for batch in flood.chunks(limits::RPC_BATCH_ENTRIES_MAX as usize) {
            for answer in client.batch("eth_sendRawTransaction", batch.to_vec()).await.unwrap() {
                *(if answer.is_ok() { &mut taken } else { &mut refused }) += 1;
            }
        }
        println!("{taken} transactions were taken, {refused} refused");
        assert!(taken >= 3_000 && refused > 0, "{taken} taken, {refused} refused");
        let end = Instant::now() + PATIENCE;
        while attacked.pending().await.is_none_or(|pending| pending > 100) {
            assert!(Instant::now() < end, "the flood does not drain");
            tokio::time::sleep(LOOK).await;
        }
    }
    attacked.end("floods of transactions").await;
}
