//! `lian recover`: what operators do after a divergence, on stopped nodes and with files (docs/recovery.md).

use crate::{
    layout::GENESIS_FILE,
    node::{DataLock, NodeFolder, read_genesis},
    output::{print, say},
};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lian_client::Table;
use lian_group::recovery::{
    self, Applied, Chain, Operator, plan_from_json, plan_to_json, report_from_json, report_to_json,
};
use lian_ledger::{FileStorage, Ledger, LedgerConfig, Storage};
use lian_types::{BlockNumber, Genesis, GroupGenesis, GroupId};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The largest file of a report or plan that is read, in bytes: many times that of a plan of the most members.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Recover a stopped node, or a stopped group, after a divergence.
#[derive(Subcommand, Debug)]
pub(crate) enum RecoverVerb {
    /// Let a node that alone computed something else follow the others again, after the cause is removed.
    Clear {
        #[command(flatten)]
        node: StoppedNode,
        /// The others have the block final, although this node holds no certificate of it.
        #[arg(long)]
        others_went_on: bool,
    },
    /// Report what this node voted for above its last final block; it then waits for a plan.
    Report {
        #[command(flatten)]
        node: StoppedNode,
        /// The first height to try again, where this node has not stopped by itself or is behind another one.
        #[arg(long)]
        height: Option<u64>,
        /// The number of the retry, where it is not this node's next one.
        #[arg(long)]
        attempt: Option<u64>,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make the plan that follows from a quorum's reports.
    Plan {
        /// The reports' files.
        #[arg(required = true)]
        reports: Vec<PathBuf>,
        /// The network's genesis file.
        #[arg(long, default_value = GENESIS_FILE)]
        genesis: PathBuf,
        /// The config.toml of a stopped node that knows the members, where they have changed since genesis.
        #[arg(long, conflicts_with = "genesis")]
        config: Option<PathBuf>,
        /// The group.
        #[arg(long, default_value_t = 0)]
        group: u32,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Check a plan from its reports on, install it, and let the node start again.
    Apply {
        /// The plan's file.
        plan: PathBuf,
        #[command(flatten)]
        node: StoppedNode,
    },
}

/// The stopped node that is worked on.
#[derive(Args, Debug)]
pub(crate) struct StoppedNode {
    /// The node's config.toml.
    #[arg(long)]
    config: PathBuf,
    /// The group.
    #[arg(long, default_value_t = 0)]
    group: u32,
}

/// Runs a step.
///
/// # Errors
/// Why it was refused; nothing was changed then.
pub(crate) fn run(verb: &RecoverVerb) -> Result<()> {
    match verb {
        RecoverVerb::Clear { node, others_went_on } => clear(node, *others_went_on),
        RecoverVerb::Report { node, height, attempt, out } => report(node, *height, *attempt, out),
        RecoverVerb::Plan { reports, genesis, config, group, out } => {
            let chain = match config {
                Some(config) => StoppedNode { config: config.clone(), group: *group }.chain()?,
                None => chain_of_genesis(genesis, *group)?,
            };
            plan(reports, &chain, out)
        }
        RecoverVerb::Apply { plan, node } => apply(plan, node),
    }
}

fn clear(node: &StoppedNode, others_went_on: bool) -> Result<()> {
    let through = node.open(|operator| Ok(operator.clear(others_went_on)?))?;
    say(format!("cleared: the node may start; it follows the others and votes again above block {through}"))?;
    Ok(())
}

fn report(node: &StoppedNode, height: Option<u64>, attempt: Option<u64>, out: &Path) -> Result<()> {
    let signed = OutFile::fill(out, || {
        let signed = node.open(|operator| Ok(operator.report(height.map(BlockNumber), attempt)?))?;
        Ok((report_to_json(&signed), signed))
    })?;
    let report = &signed.report;
    let mut table = Table::new();
    table.line("member", signed.signer).line("height", report.height).line("proposal", report.digest);
    table.line("attempt", report.attempt).line("view", report.view).line("results", report.results.len());
    table.line("file", out.display());
    print(table)?;
    Ok(())
}

fn chain_of_genesis(genesis: &Path, group: u32) -> Result<Chain> {
    let (genesis, suite) = read_genesis(genesis)?;
    Ok(Chain::of(suite, &genesis, group_of(&genesis, group)?, None)?)
}

fn plan(files: &[PathBuf], chain: &Chain, out: &Path) -> Result<()> {
    let mut reports = Vec::with_capacity(files.len());
    for file in files {
        reports.push(report_from_json(&read(file)?).with_context(|| file.display().to_string())?);
    }
    let plan = OutFile::fill(out, || {
        let plan = chain.plan(reports)?;
        Ok((plan_to_json(&plan), plan))
    })?;
    let retry = &plan.retry;
    let members: Vec<_> = plan.reports.iter().map(|signed| signed.signer.to_string()).collect();
    let kept = retry.kept.iter().find(|kept| kept.height == retry.height);
    let mut table = Table::new();
    table.line("height", retry.height).line("proposal", plan.digest).line("attempt", retry.attempt);
    table.line("view", retry.view).line("reports", members.join(" "));
    table.line("kept result", kept.map_or_else(|| "none".to_owned(), |kept| kept.hash.to_string()));
    table.line("file", out.display());
    print(table)?;
    Ok(())
}

fn apply(file: &Path, node: &StoppedNode) -> Result<()> {
    let plan = plan_from_json(&read(file)?).with_context(|| file.display().to_string())?;
    let applied = node.open(|operator| Ok(operator.apply(&plan)?))?;
    let (height, attempt) = (plan.retry.height, plan.retry.attempt);
    say(match applied {
        Applied::Installed => format!("installed: the node may start; attempt {attempt} at block {height}"),
        Applied::Again => format!("attempt {attempt} at block {height} was installed before; the node may start"),
    })?;
    Ok(())
}

impl StoppedNode {
    /// The chain with the members that this node knows.
    fn chain(&self) -> Result<Chain> {
        let folder = NodeFolder::open(&self.config)?;
        self.with_ledger(&folder, |chain, _, _, _| Ok(chain.clone()))
    }

    /// Opens the node's ledger and vote log.
    fn open<T>(&self, act: impl FnOnce(&Operator<'_>) -> Result<T>) -> Result<T> {
        let folder = NodeFolder::open(&self.config)?;
        self.with_ledger(&folder, |chain, storage, place, ledger| {
            act(&chain.operator(storage, place, &folder.key, ledger)?)
        })
    }

    /// Opens the node's ledger, which no process may use meanwhile.
    fn with_ledger<T>(
        &self,
        folder: &NodeFolder,
        act: impl FnOnce(&Chain, Arc<dyn Storage>, &Path, &Ledger) -> Result<T>,
    ) -> Result<T> {
        let group = group_of(&folder.genesis, self.group)?;
        let data = &folder.config.storage.dir;
        let place = data.join(format!("group{}", group.group));
        if recovery::has_never_run(data, group.group) || !place.exists() {
            bail!("{}: this node has never run in group {}", place.display(), group.group);
        }
        let _lock = DataLock::take(data)?;
        let storage: Arc<dyn Storage> = Arc::new(FileStorage);
        let mut config = LedgerConfig::new(&place);
        config.history = folder.config.storage.history.depth()?;
        let (ledger, _) = Ledger::open(config, Arc::clone(&storage), folder.suite, &folder.genesis, group)?;
        let chain = Chain::of(folder.suite, &folder.genesis, group, Some(&ledger))?;
        act(&chain, storage, &place, &ledger)
    }
}

fn group_of(genesis: &Genesis, group: u32) -> Result<&GroupGenesis> {
    let found = genesis.groups.iter().find(|entry| entry.group == GroupId(group));
    found.with_context(|| format!("the genesis file has no group {group}"))
}

fn read(path: &Path) -> Result<String> {
    let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if length > FILE_BYTES_MAX {
        bail!("{} has {length} bytes, more than any report or plan ({FILE_BYTES_MAX})", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A file that is made before its content is: what could not be written must not be signed.
struct OutFile;

impl OutFile {
    /// Makes a new file and fills it with what `make` gives; where that fails there is no file.
    fn fill<T>(path: &Path, make: impl FnOnce() -> Result<(String, T)>) -> Result<T> {
        let mut file = File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
        let written = make().and_then(|(text, value)| {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.with_context(|| format!("cannot write {}", path.display()))?;
            Ok(value)
        });
        if written.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
        }
        written
    }
}
