//! `lian node`: one node, from its folder to its end.

mod admin;
mod folder;
mod lock;
mod log;
mod metrics;
mod serve;
mod trust;

pub(crate) use admin::{AdminRequest, ask};
pub(crate) use folder::{NodeFolder, read_genesis};
pub(crate) use lock::DataLock;

use crate::{output, ports::Listener};
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct NodeVerb {
    /// The node's config.toml.
    #[arg(long)]
    config: PathBuf,
    /// Check the folder and say what is wrong, one line each, without starting the node.
    #[arg(long)]
    check: bool,
    /// Stop when standard input ends; `lian up` holds its other end, so its nodes never outlive it.
    #[arg(long, hide = true, conflicts_with = "check")]
    follow_stdin: bool,
}

/// Runs a node until it is told to stop, or checks its folder.
///
/// # Errors
/// Why the node could not start, or why it stopped by itself; with `--check`, that something is wrong.
pub(crate) fn run(verb: &NodeVerb) -> Result<()> {
    if verb.check {
        return check(verb);
    }
    let folder = NodeFolder::open(&verb.config)?;
    log::start(&folder.config.log)?;
    let lock = DataLock::take(&folder.config.storage.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve::serve(folder, verb.follow_stdin));
    if let Err(error) = &outcome {
        tracing::error!(reason = format!("{error:#}"), "node stopped");
    }
    runtime.shutdown_timeout(serve::STOP_PATIENCE);
    drop(lock);
    outcome
}

fn check(verb: &NodeVerb) -> Result<()> {
    let (folder, mut problems) = NodeFolder::examine(&verb.config);
    if let Some(folder) = folder {
        match DataLock::take(&folder.config.storage.dir) {
            // Only a node that runs already may hold the ports.
            Err(error) => problems.push(format!("{error:#}")),
            Ok(_lock) => problems.extend(folder.config.listeners().iter().filter_map(Listener::obstacle)),
        }
    }
    if problems.is_empty() {
        output::say(format!("{}: nothing is wrong", verb.config.display()))?;
        return Ok(());
    }
    problems.iter().try_for_each(|problem| output::say(output::printable(problem)))?;
    bail!("{}: {} found", verb.config.display(), count(problems.len(), "problem"))
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
