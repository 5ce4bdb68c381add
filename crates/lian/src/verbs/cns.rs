//! `lian cns`: names for contracts, by the contract at 0x2002.

mod call;
mod canary;
pub(super) mod contract;
mod explain;
mod publication;
mod show;

use super::{NodeArgs, decimal, event, text, transact::ChangeArgs};
use crate::output::{print, say};
use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use anyhow::{Result, bail};
use canary::CanaryVerb;
use clap::{Args, Subcommand};
use contract::Names;
use explain::explain;
use lian_client::Table;
use lian_system_contracts::{
    interfaces::INames::{self, INamesEvents},
    names::ADDRESS,
};
use lian_types::limits::{NAME_SHARES_BLOCKS_DEFAULT, NAME_SHARES_BLOCKS_MAX};
pub(super) use publication::DeployNameArgs;
use publication::{KindArgs, PublicationArgs};
use serde_json::Value;

/// Name contracts, publish versions, switch between them, and call by name.
#[derive(Subcommand, Debug)]
pub(crate) enum CnsVerb {
    /// Take a name. The sender becomes its owner; with a version and its address, that one answers.
    Register {
        /// 1 to 96 bytes: letters, digits, `.`, `-`, `_` and Chinese characters.
        name: String,
        #[command(flatten)]
        kind: KindArgs,
        /// The first version.
        #[arg(requires = "target")]
        version: Option<String>,
        /// Where its code is.
        target: Option<Address>,
        #[command(flatten)]
        publication: PublicationArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Add a version. The first one answers at once, a later one once it is switched to.
    Publish {
        name: String,
        version: String,
        /// Where its code is.
        target: Address,
        #[command(flatten)]
        publication: PublicationArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Make a version the one that answers.
    Switch {
        name: String,
        version: String,
        #[command(flatten)]
        why: ReasonArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Make a version the one that answers that was published before the present one.
    Rollback {
        name: String,
        /// The one that answered before the present one where absent.
        version: Option<String>,
        #[command(flatten)]
        why: ReasonArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Let another version answer some callers first.
    #[command(subcommand)]
    Canary(CanaryVerb),
    /// Show a name: owner, alias, versions, canary.
    Show {
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show all names.
    List(NodeArgs),
    /// Show what answered when, and why.
    History {
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show which versions have answered how many callers in the last blocks: senders of transactions to the alias.
    Shares {
        name: String,
        /// How many blocks.
        #[arg(long, default_value_t = NAME_SHARES_BLOCKS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=NAME_SHARES_BLOCKS_MAX))]
        blocks: u64,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Let an account publish versions and switch between them, or no longer. The owner only.
    Delegate {
        name: String,
        // Named otherwise than the sender's `--account`.
        #[arg(value_name = "ACCOUNT")]
        delegate: Address,
        /// No longer.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Give a name to another owner; delegates are none then. The owner, or an operator.
    Transfer {
        name: String,
        to: Address,
        #[command(flatten)]
        why: ReasonArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Call what answers, by the ABI that was published with it, without sending a transaction.
    Call(call::CallVerb),
}

/// What the record is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReasonArgs {
    /// Why: a sentence of at most 256 bytes, or a reference to what says more.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Runs a verb.
///
/// # Errors
/// Why the contract or the node refused; nothing was changed then.
pub(crate) async fn run(verb: CnsVerb) -> Result<()> {
    match verb {
        CnsVerb::Register { name, kind, version, target, publication, send } => {
            let kind = kind.kind();
            let Some((version, target)) = version.zip(target) else {
                if publication.is_given() {
                    bail!("an ABI or metadata belongs to a version: give VERSION and TARGET as well");
                }
                return change(&send, &INames::registerCall { name, kind }).await;
            };
            let first = publication.of(version, target)?;
            change(&send, &INames::registerVersionCall { name, kind, first }).await
        }
        CnsVerb::Publish { name, version, target, publication, send } => {
            let publication = publication.of(version, target)?;
            change(&send, &INames::publishCall { name, publication }).await
        }
        CnsVerb::Switch { name, version, why, send } => {
            change(&send, &INames::switchToCall { name, version, reason: why.reason }).await
        }
        CnsVerb::Rollback { name, version, why, send } => {
            let version = match version {
                Some(version) => version,
                None => before(&send.node, &name).await?,
            };
            change(&send, &INames::rollbackCall { name, version, reason: why.reason }).await
        }
        CnsVerb::Canary(verb) => canary::run(verb).await,
        CnsVerb::Show { name, node } => show::name(&node, &name).await,
        CnsVerb::List(node) => show::list(&node).await,
        CnsVerb::History { name, node } => show::history(&node, &name).await,
        CnsVerb::Shares { name, blocks, node } => show::shares(&node, &name, blocks).await,
        CnsVerb::Delegate { name, delegate, remove, send } => {
            change(&send, &INames::setDelegateCall { name, account: delegate, allowed: !remove }).await
        }
        CnsVerb::Transfer { name, to, why, send } => {
            change(&send, &INames::transferCall { name, to, reason: why.reason }).await
        }
        CnsVerb::Call(verb) => call::run(verb).await,
    }
}

/// The version that answered before the present one.
async fn before(node: &NodeArgs, name: &str) -> Result<String> {
    match Names::of(node)?.history(name).await?.pop() {
        Some(last) if !last.from.is_empty() => Ok(last.from),
        _ => bail!("no version of `{name}` has answered before the present one"),
    }
}

/// Makes a change, and says what it was.
async fn change(args: &ChangeArgs, call: &impl SolCall) -> Result<()> {
    // A chain without the contract would take the transaction and do nothing.
    Names::of(&args.node)?.check().await?;
    let receipt = args.send(ADDRESS, call.abi_encode(), explain).await?;
    if args.node.json {
        say(&receipt)?;
    } else {
        print(summary(&receipt))?;
    }
    Ok(())
}

/// Where the change is, and what it was.
fn summary(receipt: &Value) -> Table {
    use INamesEvents as E;
    let mut table = Table::new();
    table.line("transaction", text(receipt, "transactionHash")).line("block", decimal(&receipt["blockNumber"]));
    for event in receipt["logs"].as_array().into_iter().flatten().filter_map(|log| event(log, ADDRESS)) {
        match event {
            E::Registered(made) => table
                .line("name", made.name)
                .line("kind", show::kind(made.kind))
                .line("alias", made.aliasAddress)
                .line("owner", made.owner),
            E::Published(made) => table.line("version", made.version).line("target", made.target),
            E::Switched(made) if made.from.is_empty() => table.line("answers", made.to),
            E::Switched(made) => table.line("answers", format!("{} instead of {}", made.to, made.from)),
            E::DelegateSet(set) => table.line(if set.allowed { "delegate" } else { "no delegate" }, set.account),
            E::OwnershipTransferred(made) => table.line("owner", format!("{} instead of {}", made.to, made.from)),
            E::CanaryStarted(made) => {
                table.line("canary", format!("{}, {} of callers", made.version, canary::percent(made.basisPoints)))
            }
            E::CanaryWeightSet(set) => {
                let (from, to) = (canary::percent(set.from), canary::percent(set.to));
                table.line("canary", format!("{to} of callers instead of {from}"))
            }
            E::CanaryCallersSet(set) => {
                table.line(if set.listed { "callers listed" } else { "callers removed" }, set.callers.len())
            }
            E::CanaryRuleSet(set) if set.rule.is_zero() => table.line("rule", "none"),
            E::CanaryRuleSet(set) => table.line("rule", set.rule),
            E::CanaryHeld(set) => table.line("canary", if set.held { "held" } else { "released" }),
            E::CanaryAborted(made) => table.line("canary", format!("{} aborted", made.version)),
            E::CanaryFinished(made) => table.line("canary", format!("{} finished", made.version)),
        };
    }
    table
}
