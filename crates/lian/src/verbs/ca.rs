//! `lian ca`: certificate authorities, revocations, and who the nodes are by their certificates; the contract at 0x2008.

mod changes;
mod import;
mod issue;
mod reload;
mod show;

use super::{NodeArgs, gov::send::Changing};
use anyhow::Result;
use changes::{AddAuthority, Distrust, Remove, Revoke, SetAdministrator, SetContact, TrustAgain, Unrevoke};
use clap::Subcommand;
use import::ImportCrl;
use issue::Issue;
use reload::Reload;
use show::Export;

/// Show and change which certificate authorities nodes believe, and what is revoked. Where there is a committee, changes become
/// its proposals.
#[derive(Subcommand, Debug)]
pub(crate) enum CaVerb {
    /// Make a certificate with its key, for trying things: a root, an intermediate authority, or a node's.
    Issue(Issue),
    /// Add an authority: for the nodes of an institution, or for those of all.
    Add(Changing<AddAuthority>),
    /// Take an authority off the chain's list.
    Remove(Changing<Remove>),
    /// Let nodes refuse every certificate that needs the one with this fingerprint, be it on chain, of genesis or neither.
    Distrust(Distrust),
    /// Take back that something is distrusted.
    Trust(Changing<TrustAgain>),
    /// Revoke a certificate or a key.
    Revoke(Revoke),
    /// Take a revocation back that was a mistake.
    Unrevoke(Changing<Unrevoke>),
    /// Revoke what an authority's own list (CRL) revokes, as far as it is not revoked on chain.
    ImportCrl(ImportCrl),
    /// Make an account an institution's administrator, who may revoke for its nodes.
    SetAdministrator(Changing<SetAdministrator>),
    /// Say whom others reach at an institution, and how.
    SetContact(Changing<SetContact>),
    /// Show the authorities that a node knows, of genesis and of the chain.
    List(NodeArgs),
    /// Show what is revoked on chain.
    Revocations(NodeArgs),
    /// Show who the nodes are by the certificates that they show the node that is asked.
    Identities(NodeArgs),
    /// Let a running node read its certificate and key again; sessions go on.
    Reload(Reload),
    /// Write the roots that a node believes to a file, for the data folder of a node that cannot know them yet.
    Export(Export),
}

/// Runs a verb.
///
/// # Errors
/// Why the contract or the node refused, or a file cannot be used; nothing was changed then.
pub(crate) async fn run(verb: CaVerb) -> Result<()> {
    match verb {
        CaVerb::Issue(verb) => verb.run(),
        CaVerb::Add(verb) => verb.run().await,
        CaVerb::Remove(verb) => verb.run().await,
        CaVerb::Distrust(verb) => verb.run().await,
        CaVerb::Trust(verb) => verb.run().await,
        CaVerb::Revoke(verb) => verb.run().await,
        CaVerb::Unrevoke(verb) => verb.run().await,
        CaVerb::ImportCrl(verb) => verb.run().await,
        CaVerb::SetAdministrator(verb) => verb.run().await,
        CaVerb::SetContact(verb) => verb.run().await,
        CaVerb::List(node) => show::list(&node).await,
        CaVerb::Revocations(node) => show::revocations(&node).await,
        CaVerb::Identities(node) => show::identities(&node).await,
        CaVerb::Reload(verb) => verb.run(),
        CaVerb::Export(verb) => verb.run().await,
    }
}
