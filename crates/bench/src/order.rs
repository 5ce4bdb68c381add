//! What consensus alone orders: opaque payloads, without signatures of their own, execution or ledger.
//!
//! Four members in this process, each with its machine, its vote log on disk and its sessions of mutual TLS over loopback,
//! order payloads of their clients. Everything that consensus promises is kept: signed votes, each durable before it
//! leaves, payloads durable at a quorum before they are committed, and certificates. In place of a block's execution stands
//! one hash.

mod book;
mod load;
mod member;
mod payload;

use crate::{
    machine,
    report::Latency,
    sync::{own_keys, own_network},
};
use alloy_primitives::B256;
use anyhow::{Context, Result, bail, ensure};
use lian_client::Table;
use lian_network::{
    Network, NetworkConfig, NetworkEvents, NetworkHandle, NetworkLimits, PeerConfig,
    pki::{Authority, KeyAlgorithm, TlsIdentity, Trust, Validity},
};
use load::Load;
use member::{Member, Progress};
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Between two looks at how far the members are.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for sessions at the beginning, and for what is outstanding at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be ordered.
#[derive(Clone, Debug)]
pub struct OrderConfig {
    /// Bytes of a payload, 16 to 16,384: a batch of the largest fits a message.
    pub payload_bytes: usize,
    /// For how long payloads are sent.
    pub seconds: u64,
    /// Payloads that are outstanding at most, of all clients together.
    pub outstanding: usize,
    /// What was typed.
    pub command: String,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct OrderReport {
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
    /// Members.
    pub members: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Payloads sent, each of which became final exactly once at every member.
    pub payloads: u64,
    /// Payloads that became final in a second, while they were sent.
    pub per_second: f64,
    /// Blocks.
    pub blocks: u64,
    /// From a client's sending to its member's knowing that the payload is final.
    pub latency_ms: Latency,
    /// Processor time of everything, clients included, for a payload, in microseconds.
    pub cpu_us_per_payload: f64,
    /// Bytes written to disk for a payload by one member.
    pub disk_bytes_per_payload_per_member: f64,
}

impl OrderReport {
    /// The figures as aligned lines.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.line("machine", &self.machine).line("command", &self.command).line("members", self.members);
        table.line("payloads", format!("{} of {} bytes, all final", self.payloads, self.payload_bytes));
        table.line("ordered", format!("{:.0} a second", self.per_second)).line("blocks", self.blocks);
        table.line("latency", self.latency_ms);
        table.line("CPU", format!("{:.1} µs per payload, all members and clients", self.cpu_us_per_payload));
        table.line("disk", format!("{:.0} bytes per payload and member", self.disk_bytes_per_payload_per_member));
        table
    }
}

/// Runs the members and their clients. `progress` is told what is being done.
///
/// # Errors
/// Where a member fails, payloads are not final in time, or members do not agree on every block.
pub async fn measure(config: &OrderConfig, progress: &dyn Fn(&str)) -> Result<OrderReport> {
    ensure!(
        (payload::BYTES_MIN..=payload::BYTES_MAX).contains(&config.payload_bytes),
        "a payload has {} bytes, must have {} to {}",
        config.payload_bytes,
        payload::BYTES_MIN,
        payload::BYTES_MAX
    );
    let folder = tempfile::tempdir()?;
    progress("connecting four members");
    let mut members = start(folder.path()).await?;
    let count = members.len();
    wait("sessions between all members", || members.iter().all(|member| member.progress().peers + 1 == count)).await?;

    progress(&format!("ordering payloads for {} s", config.seconds));
    let before = machine::usage(&[std::process::id()]);
    let begun = Instant::now();
    let share = (config.outstanding / count).max(1);
    let loads: Vec<_> = members.iter().map(|member| Load::start(member, config.payload_bytes, share)).collect();
    tokio::time::sleep(Duration::from_secs(config.seconds)).await;
    let ordered = members.first().map(|member| member.progress().payloads).unwrap_or_default();
    let took = begun.elapsed();
    let sent: u64 = loads.into_iter().map(Load::stop).sum();
    let result = wait("all payloads", || {
        members.iter().any(|member| member.failure().is_some())
            || members.iter().all(|member| member.progress().payloads == sent)
    })
    .await;
    let used = machine::usage(&[std::process::id()]).since(&before);
    let mut latencies = Vec::new();
    let mut ends = Vec::new();
    for member in members.drain(..) {
        if let Some(failure) = member.failure() {
            bail!("a member stopped: {failure}");
        }
        let end = member.stop().await;
        latencies.extend(end.latencies_us);
        ends.push(end.progress);
    }
    result?;
    let blocks = check(&ends)?;
    latencies.sort_unstable();
    let per_payload = |total: u64| total as f64 / sent.max(1) as f64;
    Ok(OrderReport {
        machine: machine::describe(),
        command: config.command.clone(),
        members: count,
        payload_bytes: config.payload_bytes,
        payloads: sent,
        per_second: ordered as f64 / took.as_secs_f64(),
        blocks,
        latency_ms: Latency::of_sorted(&latencies),
        cpu_us_per_payload: per_payload(used.cpu_us),
        disk_bytes_per_payload_per_member: per_payload(used.disk_bytes) / count as f64,
    })
}

/// Every member must have ordered the same payloads in the same blocks. Returns how many blocks.
fn check(ends: &[Progress]) -> Result<u64> {
    let first = ends.first().context("no member")?;
    for end in ends {
        ensure!(end.order == first.order, "members disagree: {end:?} and {first:?}");
    }
    Ok(first.height.0)
}

async fn wait(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        ensure!(Instant::now() < end, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Starts the members and tells each of the others.
async fn start(folder: &std::path::Path) -> Result<Vec<Member>> {
    let network = own_network()?;
    let keys = own_keys();
    let authority = Authority::create("bench", KeyAlgorithm::EcdsaP256, Validity::authority())?;
    let institution = authority.issue_institution("bank", KeyAlgorithm::EcdsaP256, Validity::institution())?;
    let trust = Trust::from_pem(&[authority.certificate_pem()])?;
    let mut sockets: Vec<(NetworkHandle, NetworkEvents)> = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let name = name(number);
        let node = institution.issue_node(&name, &[], KeyAlgorithm::EcdsaP256, Validity::node())?;
        let config = NetworkConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertised: String::new(),
            peers: Vec::new(),
            identity: TlsIdentity::from_pem(&node.chain_pem, &node.key_pem)?,
            trust: trust.clone(),
            consensus_key: key.clone(),
            suite: network.info().suite,
            genesis_digest: network.info().genesis_hash,
            software: "lian-bench".to_owned(),
            limits: NetworkLimits { bytes_per_second_max: u64::MAX, ..NetworkLimits::default() },
        };
        sockets.push(Network::start(config).await?);
    }
    let peers = sockets.iter().enumerate().map(|(number, (handle, _))| PeerConfig {
        key: handle.key(),
        name: name(number),
        institution: None,
        address: handle.local_address().to_string(),
    });
    let peers: Vec<_> = peers.collect();
    let mut members = Vec::new();
    for (number, ((handle, events), key)) in sockets.into_iter().zip(keys).enumerate() {
        handle.set_peers(peers.iter().filter(|peer| peer.key != key.public()).cloned().collect())?;
        members.push(Member::start(&network, key, handle, events, &folder.join(name(number)))?);
    }
    Ok(members)
}

fn name(number: usize) -> String {
    format!("member{number}")
}

/// What stopped a member, if anything did. The first reason stays.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn set(&self, reason: impl ToString) {
        self.0.lock().get_or_insert_with(|| reason.to_string());
    }

    fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// The hash of everything ordered so far: the one before, and a block's proposal.
fn chained(before: B256, proposal: B256) -> B256 {
    alloy_primitives::keccak256([before.as_slice(), proposal.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn four_members_order_what_their_clients_send() {
        let config =
            OrderConfig { payload_bytes: 64, seconds: 1, outstanding: 200, command: "lian bench order".to_owned() };
        let report = measure(&config, &|_| ()).await.unwrap();
        assert!(report.payloads >= 200, "{report:?}");
        assert!(report.blocks > 0 && report.latency_ms.p50 > 0.0, "{report:?}");
        // A full line of these is more than a proposal may hold.
        let large = OrderConfig { payload_bytes: payload::BYTES_MAX, outstanding: 4_000, ..config.clone() };
        assert!(measure(&large, &|_| ()).await.unwrap().blocks > 4);
        let small = OrderConfig { payload_bytes: 8, ..config };
        let error = measure(&small, &|_| ()).await.unwrap_err().to_string();
        assert_eq!(error, "a payload has 8 bytes, must have 16 to 16384");
    }
}
