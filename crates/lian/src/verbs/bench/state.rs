//! `lian bench state`: makes a stopped local network's chain long or its state large.

use crate::{
    config::NodeConfig,
    layout::CONFIG_FILE,
    node::{DataLock, NodeFolder},
    output::print,
    verbs::snapshot::{group_of, ledger_config},
};
use alloy_primitives::B256;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use lian_bench::{
    chain::ChainMaker,
    state::{Extension, extend},
    workload::Account,
};
use lian_client::{Table, development_account};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_group::recovery::has_never_run;
use lian_ledger::{FileStorage, Ledger, LedgerConfig};
use lian_types::{BlockNumber, Genesis, GroupId};
use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// The group that is extended.
const GROUP: GroupId = GroupId(0);

/// What a ledger is made of beside the name of its chain: everything but votes, which are each node's own.
const SHARED: [&str; 5] = ["blocks", "heads", "history", "snapshots", "view"];

/// Which network, and what it gets.
#[derive(Args, Debug)]
pub(crate) struct StateArgs {
    /// The network's folder, as `lian up` and `lian init` make it: with the folders, and so the keys, of all its nodes.
    #[arg(long, default_value = "net")]
    dir: PathBuf,
    /// New accounts, each with one wei: 1,000 in a block.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    accounts: u64,
    /// Blocks of one transaction each.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
    blocks: u64,
    /// The key of the account that pays; the first development account's where absent.
    #[arg(long, env = "LIAN_PRIVATE_KEY", hide_env_values = true)]
    private_key: Option<String>,
}

/// Extends the first node's ledger with blocks that the members' keys certify, and gives it to the other nodes.
///
/// # Errors
/// A network that runs, has never run, or whose nodes are not all at the same block; what the ledger cannot do.
pub(super) fn run(args: &StateArgs) -> Result<()> {
    if args.accounts == 0 && args.blocks == 0 {
        bail!("there is nothing to make: say --accounts or --blocks");
    }
    let folders = node_folders(&args.dir)?;
    let mut nodes = Vec::new();
    for folder in &folders {
        nodes.push(Node::open(folder)?);
    }
    let Some(first) = nodes.first() else { bail!("{} has no node's folder", args.dir.display()) };
    for node in &nodes {
        ensure!(
            node.head == first.head,
            "{} ends with block {}, {} with {}: let the network run until they agree",
            node.folder.display(),
            node.head.0,
            first.folder.display(),
            first.head.0
        );
    }
    let begun = Instant::now();
    let end = make(args, first, nodes.iter().map(|node| node.key.clone()).collect())?;
    for node in nodes.iter().skip(1) {
        for part in SHARED {
            replace(&first.data().join(part), &node.data().join(part))?;
        }
    }
    let mut table = Table::new();
    table.line("accounts", args.accounts).line("blocks", end.0.saturating_sub(first.head.0.0));
    table.line("height", end).line("took", format!("{:.1} s", begun.elapsed().as_secs_f64()));
    print(table)?;
    Ok(())
}

/// The folders of all nodes, the first one first.
fn node_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        if path.join(CONFIG_FILE).exists() {
            folders.push(path);
        }
    }
    // Shorter names first, so that node10 follows node9.
    folders.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    Ok(folders)
}

/// A stopped node of one group.
struct Node {
    folder: PathBuf,
    config: NodeConfig,
    genesis: Genesis,
    suite: Suite,
    key: ConsensusSecretKey,
    /// Its last block.
    head: (BlockNumber, B256),
    _lock: DataLock,
}

impl Node {
    fn open(folder: &Path) -> Result<Self> {
        let NodeFolder { config, genesis, suite, key, .. } = NodeFolder::open(&folder.join(CONFIG_FILE))?;
        let lock = DataLock::take(&config.storage.dir)?;
        let group = group_of(&genesis, GROUP.0)?;
        let ledger_config = ledger_config(&config, group)?;
        if has_never_run(&config.storage.dir, GROUP) || !ledger_config.folder.exists() {
            bail!("{} has never run: let the network run once", folder.display());
        }
        let ledger = Ledger::open(ledger_config, Arc::new(FileStorage), suite, &genesis, group)?.0;
        let head = ledger.head();
        Ok(Self { folder: folder.to_owned(), head: (head.number, head.hash), config, genesis, suite, key, _lock: lock })
    }

    /// The folder of its group.
    fn data(&self) -> PathBuf {
        self.config.storage.dir.join(format!("group{GROUP}"))
    }
}

/// Extends a node's ledger, and returns its new height.
fn make(args: &StateArgs, node: &Node, keys: Vec<ConsensusSecretKey>) -> Result<BlockNumber> {
    let maker = ChainMaker::new(node.suite, node.genesis.clone(), GROUP, keys)?;
    let policy = node.config.data_policy()?;
    let config = LedgerConfig {
        snapshot_interval: policy.snapshot_interval,
        keep_blocks: policy.keep_blocks,
        ..ledger_config(&node.config, group_of(&node.genesis, GROUP.0)?)?
    };
    let ledger = maker.open(config)?;
    let funder = match &args.private_key {
        Some(key) => Account::from_hex(key)?,
        None => Account::from_hex(&development_account(0)?.1)?,
    };
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(args.accounts.saturating_add(args.blocks))
    } else {
        ProgressBar::hidden()
    };
    let extension = Extension { accounts: args.accounts, blocks: args.blocks };
    extend(&maker, &ledger, &funder, extension, &|made| bar.set_position(made))?;
    bar.finish_and_clear();
    Ok(ledger.head().number)
}

/// Replaces a folder by a copy of another one, or removes it where there is no other.
fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    if from.exists() { copy(from, to) } else { Ok(()) }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).with_context(what)?;
    for entry in fs::read_dir(from).with_context(what)? {
        let entry = entry.with_context(what)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().with_context(what)?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(what)?;
        }
    }
    Ok(())
}
