//! `lian gov`: members, parameters, the committee and permissions of a group, by the contracts at 0x2001, 0x2000, 0x2004 and
//! 0x2003.

mod audit;
pub(super) mod changes;
mod committee;
pub(super) mod explain;
mod permissions;
pub(super) mod send;
pub(super) mod show;

use super::NodeArgs;
use anyhow::Result;
use audit::Audit;
use changes::{
    AddInstitution, AddNode, RemoveMember, SetEndpoint, SetMember, SetOperator, SetParameter, SetRole, SetThresholds,
};
use clap::Subcommand;
pub(crate) use committee::NewMember;
use committee::{Establish, OfProposal, Proposals, Propose, ShowProposal, Vote};
use permissions::PermissionVerb;
use send::Changing;
use std::time::{SystemTime, UNIX_EPOCH};

/// Show and change a group's members, parameters and permissions. An operator's changes are made at once; where there is a
/// committee, they become its proposals, and need a member's key.
#[derive(Subcommand, Debug)]
pub(crate) enum GovVerb {
    /// Show the nodes: institution, role, endpoint, key; and the epochs.
    Nodes(NodeArgs),
    /// Show the parameters, and changes on their way.
    Parameters(NodeArgs),
    /// Add an institution.
    AddInstitution(Changing<AddInstitution>),
    /// Add a node, as a candidate: it may connect and catch up.
    AddNode(Changing<AddNode>),
    /// Change where other nodes reach a node.
    SetEndpoint(Changing<SetEndpoint>),
    /// Give nodes other roles, all at once: `node4=sealer node0=observer`.
    SetRole(Changing<SetRole>),
    /// Change a parameter.
    SetParameter(Changing<SetParameter>),
    /// Make an account an operator, or no longer one.
    SetOperator(Changing<SetOperator>),
    /// Show the committee: members, weights, thresholds.
    Committee(NodeArgs),
    /// Hand over from the operators to a committee. It cannot be taken back.
    Establish(Establish),
    /// Add a member to the committee, or give one another institution or weight.
    SetMember(Changing<SetMember>),
    /// Take a member out of the committee.
    RemoveMember(Changing<RemoveMember>),
    /// Change how much weight must vote and approve.
    SetThresholds(Changing<SetThresholds>),
    /// Propose several changes that are made together, or not at all.
    Propose(Propose),
    /// Vote on a proposal. The vote that decides makes its changes.
    Vote(Vote),
    /// Take a vote back.
    RevokeVote(OfProposal),
    /// Take a proposal of one's own back.
    Cancel(OfProposal),
    /// Decide a proposal whose time for votes is over. Anyone may.
    Settle(OfProposal),
    /// Show proposals, the latest first.
    Proposals(Proposals),
    /// Show a proposal: its changes, and who has voted.
    Proposal(ShowProposal),
    /// Show what was decided, by whom and why.
    Audit(Audit),
    #[command(flatten)]
    Permissions(PermissionVerb),
}

/// Runs a verb.
///
/// # Errors
/// Why the contract or the node refused; nothing was changed then.
pub(crate) async fn run(verb: GovVerb) -> Result<()> {
    match verb {
        GovVerb::Nodes(node) => show::nodes(&node).await,
        GovVerb::Parameters(node) => show::parameters(&node).await,
        GovVerb::AddInstitution(verb) => verb.run().await,
        GovVerb::AddNode(verb) => verb.run().await,
        GovVerb::SetEndpoint(verb) => verb.run().await,
        GovVerb::SetRole(verb) => verb.run().await,
        GovVerb::SetParameter(verb) => verb.run().await,
        GovVerb::SetOperator(verb) => verb.run().await,
        GovVerb::Committee(node) => committee::show(&node).await,
        GovVerb::Establish(verb) => verb.run().await,
        GovVerb::SetMember(verb) => verb.run().await,
        GovVerb::RemoveMember(verb) => verb.run().await,
        GovVerb::SetThresholds(verb) => verb.run().await,
        GovVerb::Propose(verb) => verb.run().await,
        GovVerb::Vote(verb) => verb.run().await,
        GovVerb::RevokeVote(verb) => verb.revoke_vote().await,
        GovVerb::Cancel(verb) => verb.cancel().await,
        GovVerb::Settle(verb) => verb.settle().await,
        GovVerb::Proposals(verb) => verb.run().await,
        GovVerb::Proposal(verb) => verb.run().await,
        GovVerb::Audit(verb) => verb.run().await,
        GovVerb::Permissions(verb) => verb.run().await,
    }
}

/// This machine's time, in seconds since 1970.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
