//! The command line: every verb and its options, and what runs it.

use crate::{
    init::InitArgs,
    node::NodeVerb,
    output,
    up::UpVerb,
    verbs::{
        self, NodeArgs, account::AccountVerb, asset::AssetVerb, backup::BackupVerb, bench::BenchVerb, ca::CaVerb,
        cns::CnsVerb, gov::GovVerb, query, recover::RecoverVerb, snapshot::SnapshotVerb, transact, verify::VerifyVerb,
    },
};
use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};
use lian_sim::cli::SimArgs;
use std::{future::Future, path::PathBuf};

/// Lian, a consortium blockchain for financial institutions.
#[derive(Parser, Debug)]
#[command(name = "lian", version, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run a local network, one process per node; it is made first where the folder does not exist.
    Up(UpVerb),
    /// Run one node, or check its folder.
    Node(NodeVerb),
    /// Make the keys, certificates, genesis file and one folder per node of a network on several hosts.
    Init(InitArgs),
    /// Show a network's nodes: height, lag, view, leader, peers and pool.
    Status(NodeArgs),
    /// Make, import and list the accounts that send transactions.
    #[command(subcommand)]
    Account(AccountVerb),
    /// Send a transaction: a transfer or a call of a contract; waits until it is final.
    Send(transact::SendVerb),
    /// Call a contract without sending a transaction.
    Call(transact::CallVerb),
    /// Deploy a compiled contract; waits until it is final.
    Deploy(transact::DeployVerb),
    /// Show a transaction.
    Tx(query::HashArgs),
    /// Show a transaction's receipt.
    Receipt(query::HashArgs),
    /// Show a block.
    Block(query::BlockArgs),
    /// Show and change a group's members, parameters, committee and permissions.
    #[command(subcommand)]
    Gov(GovVerb),
    /// Show and change the certificate authorities that nodes believe, revoke certificates, and show who the nodes are by
    /// theirs: see docs/authorities.md.
    #[command(subcommand)]
    Ca(CaVerb),
    /// Make, issue, pay, freeze and list assets of the chain's own ledger, and show statements: see docs/assets.md.
    #[command(subcommand)]
    Asset(AssetVerb),
    /// Name contracts, publish versions, switch between them, and call by name: see docs/names.md.
    #[command(subcommand)]
    Cns(CnsVerb),
    /// Re-check a stopped node's whole ledger: checksums, hashes, certificates, results and roots.
    Verify(VerifyVerb),
    /// Make a snapshot of a node's state, check one, or begin a node with one: see docs/snapshots.md.
    #[command(subcommand)]
    Snapshot(SnapshotVerb),
    /// Copy a running or stopped node's blocks, configuration and certificates to a folder; keys only if asked.
    Backup(BackupVerb),
    /// Recover a stopped node, or a stopped group, after a divergence: see docs/recovery.md.
    #[command(subcommand)]
    Recover(RecoverVerb),
    /// Run Ethereum's state, transaction, trie and RLP tests through Lian's executor and trie.
    Statetest {
        /// Files, or folders of files, in the JSON formats of ethereum/tests; the kind of each is detected.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Simulate whole networks with faults, from seeds, and check what must always hold.
    Sim(SimArgs),
    /// Send load to a network and report throughput, latency and cost; or measure this machine.
    #[command(subcommand)]
    Bench(BenchVerb),
}

/// Runs a verb to its end.
///
/// # Errors
/// What went wrong, as a chain of reasons; printed on one line.
pub(crate) fn run(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Up(verb) => crate::up::run(&verb),
        Verb::Node(verb) => crate::node::run(&verb),
        Verb::Init(args) => crate::init::run(&args),
        Verb::Status(args) => wait_for(verbs::status::run(args)),
        Verb::Account(verb) => verbs::account::run(verb),
        Verb::Send(verb) => wait_for(transact::send(verb)),
        Verb::Call(verb) => wait_for(transact::call(verb)),
        Verb::Deploy(verb) => wait_for(transact::deploy(verb)),
        Verb::Tx(args) => wait_for(query::transaction(args)),
        Verb::Receipt(args) => wait_for(query::receipt(args)),
        Verb::Block(args) => wait_for(query::block(args)),
        Verb::Gov(verb) => wait_for(verbs::gov::run(verb)),
        Verb::Ca(verb) => wait_for(verbs::ca::run(verb)),
        Verb::Asset(verb) => wait_for(verbs::asset::run(verb)),
        Verb::Cns(verb) => wait_for(verbs::cns::run(verb)),
        Verb::Verify(verb) => verbs::verify::run(&verb),
        Verb::Snapshot(verb) => verbs::snapshot::run(&verb),
        Verb::Backup(verb) => verbs::backup::run(&verb),
        Verb::Recover(verb) => verbs::recover::run(&verb),
        Verb::Statetest { paths } => statetest(&paths),
        Verb::Sim(args) => simulate(&args),
        Verb::Bench(verb) => verbs::bench::run(verb),
    }
}

/// Runs what a client does: one connection needs one thread.
fn wait_for(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn simulate(args: &SimArgs) -> Result<()> {
    match lian_sim::cli::main(args) {
        0 => Ok(()),
        _ => Err(anyhow!("the simulation found what must not happen, see above")),
    }
}

fn statetest(paths: &[PathBuf]) -> Result<()> {
    use lian_executor::statetest::{Case, Report, run};
    let report = paths.iter().map(|path| run(path)).fold(Report::default(), Report::merge);
    let line = |word: &str, case: &Case| {
        let place = [case.file.display().to_string(), case.test.clone(), case.fork.clone()];
        let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
        output::say(format!("{word} {} {}: {}", place.join(" "), case.index, case.reason))
    };
    report.skipped.iter().try_for_each(|case| line("skipped", case))?;
    report.failed.iter().try_for_each(|case| line("FAILED ", case))?;
    let (failed, skipped) = (report.failed.len(), report.skipped.len());
    output::say(format!("{} passed, {failed} failed, {skipped} skipped", report.passed))?;
    if failed > 0 {
        return Err(anyhow!("{failed} of Ethereum's tests failed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
