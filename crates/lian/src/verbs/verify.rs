//! `lian verify`: re-checks a stopped node's whole ledger.

use crate::{
    config::NodeConfig,
    layout::CONFIG_FILE,
    node::{DataLock, read_genesis},
    output::{print, printable, say},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use lian_client::Table;
use lian_ledger::{FileStorage, LedgerConfig, Report, Storage, verify};
use serde_json::json;
use std::{io::IsTerminal, path::PathBuf, sync::Arc};

#[derive(Args, Debug)]
pub(crate) struct VerifyVerb {
    /// The node's folder, which has its config.toml.
    #[arg(long)]
    dir: PathBuf,
    /// Print one JSON object a group.
    #[arg(long)]
    json: bool,
}

/// Checks every group of the node.
///
/// # Errors
/// A folder that cannot be checked, and anything found to be wrong.
pub(crate) fn run(verb: &VerifyVerb) -> Result<()> {
    let config = NodeConfig::read(&verb.dir.join(CONFIG_FILE))?;
    let (genesis, suite) = read_genesis(&config.genesis)?;
    if !config.storage.dir.exists() {
        bail!("{} does not exist: the node has no data yet", config.storage.dir.display());
    }
    let _lock = DataLock::take(&config.storage.dir)?;
    let storage: Arc<dyn Storage> = Arc::new(FileStorage);
    let mut problems: usize = 0;
    for group in &genesis.groups {
        let folder = config.storage.dir.join(format!("group{}", group.group));
        let name = folder.display().to_string();
        let bar = progress_bar();
        let archive = config.data_policy()?.archive.map(|archive| archive.join(format!("group{}", group.group)));
        let ledger = LedgerConfig { archive, ..LedgerConfig::new(folder) };
        let report = verify(&ledger, &storage, suite, &genesis, group, &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.blocks);
        });
        bar.finish_and_clear();
        let report = report.with_context(|| name.clone())?;
        problems = problems.saturating_add(report.problems.len());
        show(&name, &report, verb.json)?;
    }
    if problems > 0 {
        bail!("{}: {problems} problems found", verb.dir.display());
    }
    Ok(())
}

/// A bar where somebody watches, else one that draws nothing.
fn progress_bar() -> ProgressBar {
    if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() }
}

fn show(folder: &str, report: &Report, raw: bool) -> Result<()> {
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    if raw {
        say(json!({
            "folder": folder,
            "head": report.head.map(|head| head.0),
            "hash": report.hash,
            "stateRoot": report.state_root,
            "blocks": report.blocks,
            "transactions": report.transactions,
            "prunedHeads": report.heads,
            "snapshots": report.snapshots,
            "view": report.view.map(|view| view.0),
            "sound": report.is_sound(),
            "problems": problems,
        }))?;
        return Ok(());
    }
    let number = |block: Option<lian_types::BlockNumber>| block.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let mut table = Table::new();
    table.line("ledger", folder);
    table.line("head", number(report.head)).line("hash", report.hash).line("state root", report.state_root);
    table.line("blocks", report.blocks).line("transactions", report.transactions);
    if report.heads > 0 {
        table.line("pruned blocks", format!("{} with header and certificate", report.heads));
    }
    table.line("snapshots", report.snapshots).line("view", number(report.view));
    table.line("verdict", if report.is_sound() { "sound" } else { "DAMAGED" });
    print(table)?;
    problems.iter().try_for_each(|problem| say(printable(problem)))?;
    Ok(())
}
