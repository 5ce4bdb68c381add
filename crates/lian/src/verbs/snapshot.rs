//! `lian snapshot`: makes, checks and restores snapshots of a group's state.

use crate::{
    config::NodeConfig,
    layout::{CONFIG_FILE, GENESIS_FILE},
    node::{AdminRequest, DataLock, ask, read_genesis},
    output::{print, say},
};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lian_client::Table;
use lian_ledger::{
    FileStorage, FjallView, Ledger, LedgerConfig, LedgerError, SnapshotChain, SnapshotFolder, SnapshotReport, Storage,
    place_snapshot, verify_snapshot,
};
use lian_types::{BlockNumber, Genesis, GroupGenesis, GroupId};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Make a snapshot of a node's state, check one, or begin a node with one.
#[derive(Subcommand, Debug)]
pub(crate) enum SnapshotVerb {
    /// Write a snapshot of the newest state of a running or stopped node to a folder.
    Create {
        /// The node's folder, which has its config.toml.
        #[arg(long)]
        dir: PathBuf,
        /// The folder to write to; it may have other snapshots.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Check a snapshot in full: from genesis to its certificate, every chunk, and the state root.
    Verify {
        /// The folder of the snapshot.
        folder: PathBuf,
        /// The network's genesis file.
        #[arg(long, default_value = GENESIS_FILE)]
        genesis: PathBuf,
        /// The snapshot's height; the newest one where absent.
        #[arg(long)]
        height: Option<u64>,
        #[command(flatten)]
        options: Options,
    },
    /// Begin a stopped node without blocks with a snapshot, which is checked in full.
    Restore {
        /// The folder of the snapshot.
        folder: PathBuf,
        /// The node's folder, which has its config.toml.
        #[arg(long)]
        dir: PathBuf,
        /// The snapshot's height; the newest one where absent.
        #[arg(long)]
        height: Option<u64>,
        #[command(flatten)]
        options: Options,
    },
}

/// Which group, and how to print.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The group.
    #[arg(long, default_value_t = 0)]
    group: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs a verb.
///
/// # Errors
/// What cannot be read or written, and what does not hold.
pub(crate) fn run(verb: &SnapshotVerb) -> Result<()> {
    match verb {
        SnapshotVerb::Create { dir, out, options } => create(dir, out, options),
        SnapshotVerb::Verify { folder, genesis, height, options } => verify(folder, genesis, *height, options),
        SnapshotVerb::Restore { folder, dir, height, options } => restore(folder, dir, *height, options),
    }
}

fn storage() -> Arc<dyn Storage> {
    Arc::new(FileStorage)
}

/// The group of a genesis file with a number.
///
/// # Errors
/// Names the number.
pub(crate) fn group_of(genesis: &Genesis, number: u32) -> Result<&GroupGenesis> {
    let found = genesis.groups.iter().find(|group| group.group == GroupId(number));
    found.with_context(|| format!("the genesis file has no group {number}"))
}

fn create(dir: &Path, out: &Path, options: &Options) -> Result<()> {
    let config = NodeConfig::read(&dir.join(CONFIG_FILE))?;
    let to = std::path::absolute(out)?;
    let Some(_lock) = DataLock::try_take(&config.storage.dir)? else {
        let answer = ask(&config.storage.dir, &AdminRequest::Snapshot { group: options.group, to })?;
        return show(&answer, out, options);
    };
    let (genesis, suite) = read_genesis(&config.genesis)?;
    let group = group_of(&genesis, options.group)?;
    let (ledger, _) = Ledger::open(ledger_config(&config, group)?, storage(), suite, &genesis, group)?;
    let manifest = ledger.write_snapshot(&ledger.freeze()?, &SnapshotFolder::new(storage(), to))?;
    let answer = json!({"height": manifest.height().0, "chunks": manifest.chunks.len(), "bytes": manifest.bytes()});
    show(&answer, out, options)
}

fn show(answer: &Value, out: &Path, options: &Options) -> Result<()> {
    if options.json {
        say(answer)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("snapshot", out.display()).line("height", &answer["height"]);
    table.line("chunks", &answer["chunks"]).line("bytes", &answer["bytes"]);
    print(table)?;
    Ok(())
}

/// How a group's ledger is kept.
///
/// # Errors
/// A configuration that is wrong.
pub(crate) fn ledger_config(config: &NodeConfig, group: &GroupGenesis) -> Result<LedgerConfig> {
    let name = format!("group{}", group.group);
    Ok(LedgerConfig {
        history: config.storage.history.depth()?,
        archive: config.data_policy()?.archive.map(|archive| archive.join(&name)),
        ..LedgerConfig::new(config.storage.dir.join(&name))
    })
}

fn verify(folder: &Path, genesis: &Path, height: Option<u64>, options: &Options) -> Result<()> {
    let (genesis, suite) = read_genesis(genesis)?;
    let chain = SnapshotChain { suite, genesis: &genesis, group: group_of(&genesis, options.group)? };
    let snapshots = SnapshotFolder::new(storage(), folder);
    let height = snapshots.find(height.map(BlockNumber))?;
    // The state may be larger than memory, so it is loaded onto the same disk.
    let scratch = Scratch(folder.join(format!("verify-{}", std::process::id())));
    let (view, _) = FjallView::open(&scratch.0)?;
    let report = verify_snapshot(chain, &snapshots, height, &view, &mut |_| {})?;
    drop(view);
    show_report(&report, folder, options)
}

/// A folder that goes when it is no longer needed.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What remains is named so that nobody takes it for a snapshot.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn show_report(report: &SnapshotReport, folder: &Path, options: &Options) -> Result<()> {
    let SnapshotReport { height, hash, state_root, epoch, accounts, chunks, bytes } = report;
    if options.json {
        say(json!({
            "height": height.0, "hash": hash, "stateRoot": state_root, "epoch": epoch.0, "accounts": accounts,
            "chunks": chunks, "bytes": bytes,
        }))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("snapshot", folder.display()).line("height", height).line("hash", hash);
    table.line("state root", state_root).line("epoch", epoch).line("accounts", accounts);
    table.line("chunks", chunks).line("bytes", bytes).line("verdict", "sound");
    print(table)?;
    Ok(())
}

fn restore(folder: &Path, dir: &Path, height: Option<u64>, options: &Options) -> Result<()> {
    let config = NodeConfig::read(&dir.join(CONFIG_FILE))?;
    let (genesis, suite) = read_genesis(&config.genesis)?;
    let _lock = DataLock::take(&config.storage.dir)?;
    let chain = SnapshotChain { suite, genesis: &genesis, group: group_of(&genesis, options.group)? };
    let from = SnapshotFolder::new(storage(), folder);
    let height = from.find(height.map(BlockNumber))?;
    let ledger = ledger_config(&config, chain.group)?;
    if !ledger.is_empty(&FileStorage)? {
        bail!("{} has blocks or a snapshot; a snapshot is restored into a node without data", ledger.folder.display());
    }
    place_snapshot(chain, &ledger, &storage(), &from, height)?;
    let opened = Ledger::open(ledger.clone(), storage(), suite, &genesis, chain.group);
    let head = match opened {
        Ok((opened, _)) => opened.head(),
        Err(error @ LedgerError::Snapshot(_)) => {
            // The node is as it was before.
            ledger.snapshots(&storage()).remove(height)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let (number, hash, root) = (head.number.0, head.hash, head.block.header.state_root);
    if options.json {
        say(json!({"height": number, "hash": hash, "stateRoot": root}))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("node", dir.display()).line("height", number).line("hash", hash).line("state root", root);
    print(table)?;
    Ok(())
}
