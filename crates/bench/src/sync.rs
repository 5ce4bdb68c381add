//! How long a new node takes to join a long chain: by a snapshot, and by replaying every block.
//!
//! The chain is made here, with certificates of three of four members, one call in each block. Joining is measured without
//! a network: the same checks, executions and writes as a node does, on blocks and chunks that are there already.

use crate::{
    chain::ChainMaker,
    machine,
    workload::{Load, Pricing, Terms, Workload},
};
use alloy_primitives::{Address, B256};
use anyhow::{Context, Result, ensure};
use lian_client::Table;
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_group::{KnownMembers, check_blocks, execution::SpeculativeChain, finality::replay};
use lian_ledger::{FileStorage, Ledger, LedgerConfig, SnapshotFolder, Storage, place_snapshot};
use lian_sync::{Anchor, BlockWithCertificate};
use lian_types::{
    BlockNumber, ConsensusParameters, Genesis, GroupGenesis, GroupId, Institution, Millis, NodeEntry,
    PROTOCOL_VERSION_MAX, Transaction, limits,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const SUITE: Suite = Suite::Standard;
/// Accounts that send in turn.
const ACCOUNTS: usize = 500;
/// Blocks that are checked and appended together, as a peer sends them.
const BATCH: u64 = limits::SYNC_BLOCKS_MAX as u64;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct SyncReport {
    /// The machine.
    pub machine: String,
    /// The command.
    pub command: String,
    /// Blocks of the chain.
    pub blocks: u64,
    /// Seconds to make a snapshot of its end.
    pub snapshot_made_s: f64,
    /// The snapshot's length, in bytes.
    pub snapshot_bytes: u64,
    /// Seconds to join by it: every check, and the ledger open at the end.
    pub snapshot_joined_s: f64,
    /// Seconds to join by replaying every block.
    pub replayed_s: f64,
    /// Blocks replayed a second.
    pub replay_rate: f64,
    /// Blocks a second of the live network that it is compared with.
    pub live_rate: f64,
    /// The state root at the end, of all three ledgers.
    pub state_root: B256,
}

impl SyncReport {
    /// The figures as aligned lines.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        let seconds = |value: f64| format!("{value:.2} s");
        table.line("machine", &self.machine).line("command", &self.command).line("blocks", self.blocks);
        table.line("snapshot made in", format!("{:.2} s, {} bytes", self.snapshot_made_s, self.snapshot_bytes));
        table.line("joined by snapshot", seconds(self.snapshot_joined_s));
        table.line("joined by replay", format!("{:.2} s, {:.0} blocks/s", self.replayed_s, self.replay_rate));
        let ratio = self.replay_rate / self.live_rate;
        table.line("to the live rate", format!("{ratio:.1} times {:.0} blocks/s", self.live_rate));
        table.line("state root", self.state_root);
        table
    }
}

/// The keys of [`own_network`]'s members.
pub(crate) fn own_keys() -> Vec<ConsensusSecretKey> {
    (1..=4).map(|seed| ConsensusSecretKey::from_bytes(SUITE, &[seed; 32])).collect()
}

/// A network of four members that exists for the measurement only.
pub(crate) fn own_network() -> Result<ChainMaker> {
    let keys = own_keys();
    let node = |(number, key): (usize, &ConsensusSecretKey)| NodeEntry {
        name: format!("node{number}"),
        institution: "bank".to_owned(),
        consensus_key: key.public(),
    };
    let group = GroupGenesis {
        group: GroupId(0),
        chain_id: 20_200,
        time: Millis(1_700_000_000_000),
        block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
        consensus: ConsensusParameters::default(),
        sealers: (0..4).map(|number| format!("node{number}")).collect(),
        operators: vec![],
        committee: None,
        protocol_version: PROTOCOL_VERSION_MAX,
        accounts: BTreeMap::new(),
    };
    let genesis = Genesis {
        version: 1,
        suite: SUITE.name().to_owned(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".to_owned() }],
        nodes: keys.iter().enumerate().map(node).collect(),
        groups: vec![group],
    };
    ChainMaker::new(SUITE, genesis, GroupId(0), keys)
}

/// Makes a chain of so many blocks in a folder and joins it in both ways. `progress` is told what is being done.
///
/// # Errors
/// What failed; also if the three ledgers do not end with one state root.
pub fn measure(blocks: u64, live_rate: f64, command: String, progress: &dyn Fn(&str)) -> Result<SyncReport> {
    let folder = tempfile::tempdir()?;
    let network = own_network()?;
    let place = |name: &str| folder.path().join(name);
    progress(&format!("making a chain of {blocks} blocks"));
    let source = make(&network, &place("source"), blocks)?;
    let root = source.head().block.header.state_root;

    progress("making a snapshot");
    let storage: Arc<dyn Storage> = Arc::new(FileStorage);
    let snapshots = SnapshotFolder::new(Arc::clone(&storage), place("snapshot"));
    let begun = Instant::now();
    let manifest = source.write_snapshot(&source.freeze()?, &snapshots)?;
    let made = begun.elapsed();

    progress("joining by the snapshot");
    let begun = Instant::now();
    let config = LedgerConfig::new(place("joined"));
    place_snapshot(network.chain()?, &config, &storage, &snapshots, manifest.height())?;
    let joined = network.open(config)?;
    let joined_in = begun.elapsed();
    ensure!(joined.head().block.header.state_root == root, "the snapshot ends with another state root");

    progress("joining by replaying every block");
    let (replayed, replayed_in) = replay_all(&network, &source, &place("replayed"))?;
    ensure!(replayed.head().hash == source.head().hash, "the replay ends with another block");
    Ok(SyncReport {
        machine: machine::describe(),
        command,
        blocks,
        snapshot_made_s: made.as_secs_f64(),
        snapshot_bytes: manifest.bytes(),
        snapshot_joined_s: joined_in.as_secs_f64(),
        replayed_s: replayed_in.as_secs_f64(),
        replay_rate: u32::try_from(blocks).map_or(f64::MAX, f64::from) / replayed_in.as_secs_f64(),
        live_rate,
        state_root: root,
    })
}

fn make(network: &ChainMaker, folder: &Path, blocks: u64) -> Result<Arc<Ledger>> {
    let ledger = network.open(LedgerConfig::new(folder))?;
    let _flusher = ledger.start_flusher()?;
    // Nobody has made a token there: the calls find no code, which is what they are to cost.
    let load = Load::new(Workload::Transfer, 7, ACCOUNTS, Address::repeat_byte(0x11))?;
    let terms = Terms { chain_id: network.info().chain_id, pricing: Pricing::FREE };
    let (mut waiting, mut turn) = (Vec::new(), 0);
    for _ in 0..blocks {
        if waiting.is_empty() {
            let next = turn + ACCOUNTS;
            for signed in load.sign(&terms, turn..next)?.into_iter().rev() {
                let transaction = Arc::new(Transaction::decode(signed.raw)?);
                waiting.push(Arc::new(SUITE.recover_sender(transaction)?));
            }
            turn = next;
        }
        let transaction = waiting.pop().context("no transaction")?;
        ledger.append(&[network.block(&ledger, &[transaction])?])?;
    }
    Ok(ledger)
}

/// Checks and executes every block of a ledger into a new one, as catching up does: the next batch is checked while one is
/// executed.
fn replay_all(network: &ChainMaker, source: &Ledger, folder: &Path) -> Result<(Arc<Ledger>, Duration)> {
    let begun = Instant::now();
    let ledger = network.open(LedgerConfig::new(folder))?;
    let flusher = ledger.start_flusher()?;
    let mut chain = SpeculativeChain::new(network.info().rules, network.info().block_gas_limit, Arc::clone(&ledger));
    let head = ledger.head();
    let mut anchor =
        Anchor { height: head.number, hash: head.hash, digest: head.digest, members: head.block.extension.members };
    let mut checked: Vec<BlockWithCertificate> = Vec::new();
    loop {
        let next = read(source, anchor.height)?;
        let known = KnownMembers { committees: Arc::clone(network.committees()), head: ledger.head().number };
        let check = || check_blocks(network.info(), limits::WINDOW_DEFAULT, &known, anchor, &next);
        let (outcome, applied) = rayon::join(check, || apply(&ledger, &mut chain, &checked));
        ensure!(outcome? == next.len(), "who decides a block is not known");
        applied?;
        let Some(last) = next.last() else { break };
        anchor = Anchor::of(last);
        checked = next;
    }
    drop(flusher);
    Ok((ledger, begun.elapsed()))
}

fn read(source: &Ledger, after: BlockNumber) -> Result<Vec<BlockWithCertificate>> {
    let last = source.head().number.0.min(after.0.saturating_add(BATCH));
    let block = |number| {
        let stored = source.block_by_number(BlockNumber(number))?.context("a block is missing")?;
        let certificate = stored.certificate.as_ref().clone();
        Ok(BlockWithCertificate { block: Arc::clone(&stored.block), certificate })
    };
    (after.0.saturating_add(1)..=last).map(block).collect()
}

fn apply(ledger: &Ledger, chain: &mut SpeculativeChain, blocks: &[BlockWithCertificate]) -> Result<()> {
    /// Blocks appended with one fsync, as a node does at most.
    const APPENDED: usize = 64;
    for batch in blocks.chunks(APPENDED) {
        let mut done = Vec::with_capacity(batch.len());
        for received in batch {
            let parent = chain.digest_of(received.block.header.parent_hash).context("the parent is not known")?;
            done.push(replay(chain, SUITE, parent, received.certificate.digest, received)?);
        }
        ledger.append(&done)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_end_with_one_root() {
        let report = measure(600, 100.0, "test".to_owned(), &|_| {}).unwrap();
        assert_eq!(report.blocks, 600);
        assert!(report.snapshot_bytes > 0 && report.replay_rate > 0.0);
        assert!(report.table().to_string().contains("times 100 blocks/s"));
    }
}
