//! Changes on their way: by an operator at once, or as a proposal where a committee decides.

use super::{
    changes::{Change, describe},
    explain::{explain, role_name},
    show::{members, view},
};
use crate::{
    output::{print, say, utc},
    verbs::{
        NodeArgs, decimal, log_data, text,
        transact::{ChangeArgs, in_words, revert_data},
    },
};
use alloy_primitives::{Address, Bytes, LogData, U64};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolEventInterface};
use anyhow::{Context, Result, bail};
use clap::Args;
use lian_client::Table;
use lian_system_contracts::{
    committee as contract, configuration,
    interfaces::{
        IAuthorities,
        ICommittee::{self, Action, Tally},
        IConfiguration, IMembers,
        IPermissions::{self, IPermissionsEvents},
    },
};
use serde_json::{Value, json};

const DAY_SECONDS: u64 = 86_400;

/// Who changes something, and what the committee is told, where there is one.
#[derive(Args, Clone, Debug)]
pub(crate) struct GovArgs {
    /// Why, for those who vote and for the record: a sentence, or a reference to what says more.
    #[arg(long, default_value = "")]
    pub(in crate::verbs) reason: String,
    /// For how many days a committee may vote on it.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365))]
    days: u64,
    #[command(flatten)]
    pub(in crate::verbs) send: ChangeArgs,
}

/// A change and how it is made.
#[derive(Args, Debug)]
pub(crate) struct Changing<C: Args> {
    #[command(flatten)]
    change: C,
    #[command(flatten)]
    how: GovArgs,
}

impl<C: Args + Change> Changing<C> {
    pub(in crate::verbs) async fn run(self) -> Result<()> {
        let action = self.change.action(&self.how.reason)?;
        make(&self.how, action, C::MAY_BE_ONES_OWN).await
    }
}

/// Makes a change: at once where there is no committee or the sender has a right of its own to it, and else as a proposal.
pub(in crate::verbs) async fn make(how: &GovArgs, action: Action, may_be_ones_own: bool) -> Result<()> {
    require_contract(&how.send.node, action.target).await?;
    let has_committee = !members(&how.send.node).await?.is_empty();
    if has_committee && !may_be_ones_own {
        return propose(how, vec![action]).await;
    }
    match how.send.send_raw(action.target, action.data.to_vec()).await {
        Ok(receipt) => tell(&how.send, &receipt),
        Err(error) if has_committee && is_not_authorized(&error) => propose(how, vec![action]).await,
        Err(error) => Err(in_words(error, explain)),
    }
}

/// A group without the contract would take the transaction and do nothing.
async fn require_contract(node: &NodeArgs, target: Address) -> Result<()> {
    view(node, configuration::ADDRESS, &IConfiguration::windowCall {}).await?;
    let code: Bytes = node.client()?.request("eth_getCode", vec![json!(target), json!("latest")]).await?;
    if code.is_empty() {
        bail!(
            "the group of {} has no contract at {target} yet: a later version of the protocol brings it (`lian gov \
             parameters`, docs/spec/formats.md)",
            node.rpc_url
        );
    }
    Ok(())
}

fn is_not_authorized(error: &anyhow::Error) -> bool {
    // The same error in every contract that has it.
    revert_data(error).is_some_and(|data| IPermissions::NotAuthorized::abi_decode(&data).is_ok())
}

/// Proposes actions to the committee.
pub(super) async fn propose(args: &GovArgs, actions: Vec<Action>) -> Result<()> {
    let deadline = now(&args.send.node).await?.saturating_add(args.days.saturating_mul(DAY_SECONDS));
    let call = ICommittee::proposeCall { actions, deadline, reason: args.reason.clone() };
    send(&args.send, contract::ADDRESS, call.abi_encode()).await
}

/// The time of the last block, in seconds since 1970; an idle chain's may be old, so this machine's is taken if it is later.
async fn now(node: &NodeArgs) -> Result<u64> {
    let block: Value = node.client()?.request("eth_getBlockByNumber", vec![json!("latest"), json!(false)]).await?;
    let time: U64 = block["timestamp"].as_str().and_then(|time| time.parse().ok()).context("the block has no time")?;
    Ok(time.to::<u64>().max(super::clock()))
}

pub(super) async fn send(args: &ChangeArgs, contract: Address, input: Vec<u8>) -> Result<()> {
    let receipt = args.send(contract, input, explain).await?;
    tell(args, &receipt)
}

fn tell(args: &ChangeArgs, receipt: &Value) -> Result<()> {
    if args.node.json {
        say(receipt)?;
    } else {
        print(summary(receipt))?;
    }
    Ok(())
}

/// Where the change is, and from when on it acts.
fn summary(receipt: &Value) -> Table {
    let mut table = Table::new();
    table.line("transaction", text(receipt, "transactionHash")).line("block", decimal(&receipt["blockNumber"]));
    for log in receipt["logs"].as_array().into_iter().flatten() {
        let Some(data) = log_data(log) else { continue };
        if let Ok(IMembers::EpochScheduled { epoch, first, sealers }) = IMembers::EpochScheduled::decode_log_data(&data)
        {
            table.line("epoch", epoch).line("sealers", sealers).line("acts from block", first);
        } else if let Ok(set) = IConfiguration::ParameterSet::decode_log_data(&data) {
            table.line(set.name, set.value).line("acts from block", set.from);
        } else if let Ok(IMembers::NodeSet { name, role, .. }) = IMembers::NodeSet::decode_log_data(&data) {
            table.line(name, role_name(role));
        } else if let Ok(event) = IPermissionsEvents::decode_raw_log(data.topics(), &data.data) {
            super::permissions::summary(&mut table, event);
        } else {
            committee_summary(&mut table, &data);
            authorities_summary(&mut table, &data);
        }
    }
    table
}

fn committee_summary(table: &mut Table, data: &LogData) {
    use ICommittee as C;
    if let Ok(C::ProposalCreated { id, actions, deadline, .. }) = C::ProposalCreated::decode_log_data(data) {
        table.line("proposal", id);
        for action in &actions {
            table.line("change", describe(action));
        }
        table.line("deadline", utc(deadline));
    } else if let Ok(C::VoteCast { tally, .. }) = C::VoteCast::decode_log_data(data) {
        table.line("votes", tally_text(&tally));
    } else if let Ok(C::VoteRevoked { tally, .. }) = C::VoteRevoked::decode_log_data(data) {
        table.line("votes", tally_text(&tally));
    } else if C::ProposalExecuted::decode_log_data(data).is_ok() {
        table.line("state", "executed");
    } else if C::ProposalDefeated::decode_log_data(data).is_ok() {
        table.line("state", "defeated");
    } else if C::ProposalCanceled::decode_log_data(data).is_ok() {
        table.line("state", "canceled");
    } else if let Ok(C::ProposalFailed { action, revertData, .. }) = C::ProposalFailed::decode_log_data(data) {
        let reason = explain(&revertData).unwrap_or_else(|| revertData.to_string());
        table.line("state", format!("failed: change {action} was refused: {reason}"));
    } else if let Ok(C::MemberSet { account, institution, weight }) = C::MemberSet::decode_log_data(data) {
        table.line("member", format!("{account} of {institution}, weight {weight}"));
    } else if let Ok(C::MemberRemoved { account }) = C::MemberRemoved::decode_log_data(data) {
        table.line("no member", account);
    } else if let Ok(C::ThresholdsSet { participation, approval }) = C::ThresholdsSet::decode_log_data(data) {
        table.line("participation", format!("{participation} %")).line("approval", format!("{approval} %"));
    }
}

fn authorities_summary(table: &mut Table, data: &LogData) {
    use IAuthorities as A;
    if let Ok(A::AuthorityAdded { fingerprint, .. }) = A::AuthorityAdded::decode_log_data(data) {
        table.line("added", fingerprint);
    } else if let Ok(A::AuthorityRemoved { fingerprint, .. }) = A::AuthorityRemoved::decode_log_data(data) {
        table.line("removed", fingerprint);
    } else if let Ok(A::AuthorityDistrusted { fingerprint, .. }) = A::AuthorityDistrusted::decode_log_data(data) {
        table.line("distrusted", fingerprint);
    } else if let Ok(A::AuthorityTrusted { fingerprint, .. }) = A::AuthorityTrusted::decode_log_data(data) {
        table.line("trusted", fingerprint);
    } else if let Ok(A::CertificateRevoked { id, .. }) = A::CertificateRevoked::decode_log_data(data) {
        table.line("revoked", id);
    } else if let Ok(A::KeyRevoked { id, .. }) = A::KeyRevoked::decode_log_data(data) {
        table.line("revoked", id);
    } else if let Ok(A::Unrevoked { id, .. }) = A::Unrevoked::decode_log_data(data) {
        table.line("no longer revoked", id);
    } else if let Ok(A::AdministratorSet { institution, account }) = A::AdministratorSet::decode_log_data(data) {
        table.line("administrator", format!("{account} of {institution}"));
    } else if let Ok(A::ContactSet { institution, contact, .. }) = A::ContactSet::decode_log_data(data) {
        table.line("contact", format!("{institution}: {contact}"));
    }
}

/// Weights in words.
pub(super) fn tally_text(tally: &Tally) -> String {
    let Tally { approving, rejecting, total } = tally;
    format!("{approving} yes, {rejecting} no, of {total}")
}
