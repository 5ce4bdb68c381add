//! The committee and its proposals.

use super::{
    changes::{AnyChange, Change, describe},
    send::{GovArgs, propose, send, tally_text},
    show::{members, view, view_if_any},
};
use crate::{
    output::{print, say, utc},
    verbs::{NodeArgs, status::columns, transact::ChangeArgs},
};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lian_client::Table;
use lian_system_contracts::{
    committee::ADDRESS,
    interfaces::ICommittee::{self, Member, Proposal, State, Tally},
};
use lian_types::{COMMITTEE_PROTOCOL, CommitteeMember};
use serde_json::{Value, json};
use std::str::FromStr;

/// The committee's first members.
#[derive(Args, Debug)]
pub(crate) struct Establish {
    /// A member: its account, institution and weight.
    #[arg(required = true, value_name = "ACCOUNT=INSTITUTION:WEIGHT")]
    members: Vec<NewMember>,
    /// How many per cent of all weight must have voted, 1 to 100.
    #[arg(long)]
    participation: u8,
    /// How many per cent of what has voted must approve, 51 to 100.
    #[arg(long)]
    approval: u8,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    send: ChangeArgs,
}

/// A member as it is typed.
#[derive(Clone, Debug)]
pub(crate) struct NewMember {
    account: Address,
    institution: String,
    weight: u32,
}

impl From<NewMember> for CommitteeMember {
    fn from(member: NewMember) -> Self {
        let NewMember { account, institution, weight } = member;
        Self { account, institution, weight }
    }
}

impl FromStr for NewMember {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(account, rest)| Some((account, rest.rsplit_once(':')?)));
        let (account, (institution, weight)) =
            parts.ok_or("expected an account, its institution and its weight, like `0x7099…=bank0:1`")?;
        Ok(Self {
            account: account.parse().map_err(|error| format!("`{account}` is not an account: {error}"))?,
            institution: institution.to_owned(),
            weight: weight.parse().map_err(|error| format!("`{weight}` is not a weight: {error}"))?,
        })
    }
}

/// Several changes that are made together, or not at all.
#[derive(Args, Debug)]
pub(crate) struct Propose {
    /// A change in the words of its verb, in quotes: "set-parameter block_transactions_max 5000".
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
    #[command(flatten)]
    how: GovArgs,
}

/// What to say of a proposal.
#[derive(Args, Debug)]
pub(crate) struct Vote {
    /// The proposal's number.
    id: u64,
    /// What to say of it.
    vote: Choice,
    /// Why, for the record.
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    send: ChangeArgs,
}

/// What a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// It approves.
    Yes,
    /// It rejects.
    No,
}

/// A proposal, and who does something with it.
#[derive(Args, Debug)]
pub(crate) struct OfProposal {
    /// The proposal's number.
    id: u64,
    #[command(flatten)]
    send: ChangeArgs,
}

/// Which proposals to show.
#[derive(Args, Debug)]
pub(crate) struct Proposals {
    /// Most proposals, the latest first.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Only those that are not decided.
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// Which proposal to show.
#[derive(Args, Debug)]
pub(crate) struct ShowProposal {
    /// Its number.
    id: u64,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn show(node: &NodeArgs) -> Result<()> {
    let members = members(node).await?;
    if members.is_empty() {
        bail!(
            "the group of {} has no committee: operators decide, and `lian gov establish` hands over to one \
             (from protocol_version {COMMITTEE_PROTOCOL} on)",
            node.rpc_url
        );
    }
    let ICommittee::thresholdsReturn { participation, approval } =
        view(node, ADDRESS, &ICommittee::thresholdsCall {}).await?;
    if node.json {
        let member = |member: &Member| json!({"account": member.account, "institution": member.institution, "weight": member.weight});
        let members: Vec<_> = members.iter().map(member).collect();
        say(json!({"participation": participation, "approval": approval, "members": members}))?;
        return Ok(());
    }
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    let mut table = Table::new();
    table
        .line("participation", format!("{participation} % of {total} must have voted"))
        .line("approval", format!("{approval} % of what has voted must approve"));
    print(table)?;
    let mut rows = vec![["member", "institution", "weight"].map(str::to_owned).to_vec()];
    rows.extend(members.into_iter().map(|member| {
        let Member { account, institution, weight } = member;
        vec![account.to_string(), institution, weight.to_string()]
    }));
    print(columns(&rows))?;
    Ok(())
}

impl Establish {
    pub(super) async fn run(self) -> Result<()> {
        let Self { members, participation, approval, reason, send: args } = self;
        // A group without the contract would take the transaction and do nothing.
        if view_if_any(&args.node, ADDRESS, &ICommittee::membersCall {}).await?.is_none() {
            bail!(
                "the group of {} cannot have a committee yet: its operators must switch version {COMMITTEE_PROTOCOL} of \
                 the protocol on (`lian gov set-parameter protocol_version {COMMITTEE_PROTOCOL}`), which acts some blocks \
                 later",
                args.node.rpc_url
            );
        }
        let members = members
            .into_iter()
            .map(|NewMember { account, institution, weight }| Member { account, institution, weight })
            .collect();
        let call = ICommittee::establishCall { members, participation, approval, reason };
        send(&args, ADDRESS, call.abi_encode()).await
    }
}

impl Propose {
    pub(super) async fn run(self) -> Result<()> {
        let changes: Result<Vec<_>> =
            self.changes.iter().map(|line| AnyChange::parse_line(line)?.action(&self.how.reason)).collect();
        check(&self.how.send.node).await?;
        propose(&self.how, changes?).await
    }
}

impl Vote {
    pub(super) async fn run(self) -> Result<()> {
        let Self { id, vote, reason, send: args } = self;
        check(&args.node).await?;
        let call = ICommittee::voteCall { id: U256::from(id), approves: vote == Choice::Yes, reason };
        send(&args, ADDRESS, call.abi_encode()).await
    }
}

impl OfProposal {
    pub(super) async fn revoke_vote(self) -> Result<()> {
        let id = U256::from(self.id);
        self.send(&ICommittee::revokeVoteCall { id }).await
    }

    pub(super) async fn cancel(self) -> Result<()> {
        let id = U256::from(self.id);
        self.send(&ICommittee::cancelCall { id }).await
    }

    pub(super) async fn settle(self) -> Result<()> {
        let id = U256::from(self.id);
        self.send(&ICommittee::settleCall { id }).await
    }

    async fn send(&self, call: &impl SolCall) -> Result<()> {
        check(&self.send.node).await?;
        send(&self.send, ADDRESS, call.abi_encode()).await
    }
}

/// A group without a committee would take a transaction and do nothing.
async fn check(node: &NodeArgs) -> Result<()> {
    if members(node).await?.is_empty() {
        bail!("the group of {} has no committee: operators decide", node.rpc_url);
    }
    Ok(())
}

impl Proposals {
    pub(super) async fn run(self) -> Result<()> {
        let Self { limit, active, node } = self;
        check(&node).await?;
        let wanted = |proposal: &Proposal| !active || matches!(proposal.state, State::Active);
        let mut found = Vec::new();
        let mut from = U256::MAX;
        while (found.len() as u64) < limit && !from.is_zero() {
            let call = ICommittee::proposalsCall { from, limit: U256::from(limit) };
            let page = view(&node, ADDRESS, &call).await?;
            let Some(last) = page.last() else { break };
            from = last.id.saturating_sub(U256::ONE);
            found.extend(page.into_iter().filter(wanted));
        }
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        if node.json {
            say(json!(found.iter().map(in_json).collect::<Vec<_>>()))?;
            return Ok(());
        }
        let mut rows =
            vec![["id", "state", "yes", "no", "of", "until", "change", "reason"].map(str::to_owned).to_vec()];
        for proposal in &found {
            let Tally { approving, rejecting, total } = proposal.tally;
            let more = match proposal.actions.len().saturating_sub(1) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let first = proposal.actions.first().map(describe).unwrap_or_default();
            rows.push(vec![
                proposal.id.to_string(),
                state_text(proposal).to_owned(),
                approving.to_string(),
                rejecting.to_string(),
                total.to_string(),
                utc(proposal.deadline),
                format!("{}{more}", shortened(&first)),
                shortened(&proposal.reason),
            ]);
        }
        print(columns(&rows))?;
        Ok(())
    }
}

impl ShowProposal {
    pub(super) async fn run(self) -> Result<()> {
        let Self { id, node } = self;
        check(&node).await?;
        let id = U256::from(id);
        let proposal = view(&node, ADDRESS, &ICommittee::proposalCall { id }).await?;
        let votes = view(&node, ADDRESS, &ICommittee::votesCall { id }).await?;
        if node.json {
            let mut object = in_json(&proposal);
            let votes: Vec<_> =
                votes.iter().map(|vote| json!({"account": vote.account, "approves": vote.approves})).collect();
            object.as_object_mut().context("a proposal is an object")?.insert("votes".to_owned(), json!(votes));
            say(object)?;
            return Ok(());
        }
        let mut table = Table::new();
        table
            .line("proposal", proposal.id)
            .line("by", proposal.proposer)
            .line("created", utc(proposal.created))
            .line("deadline", utc(proposal.deadline))
            .line("state", state_text(&proposal))
            .line("votes", tally_text(&proposal.tally))
            .line("reason", if proposal.reason.is_empty() { "-".to_owned() } else { proposal.reason.clone() });
        for action in &proposal.actions {
            table.line("change", describe(action));
        }
        for vote in votes {
            table.line(if vote.approves { "yes" } else { "no" }, vote.account);
        }
        print(table)?;
        Ok(())
    }
}

/// A text that fits a column of a table.
fn shortened(text: &str) -> String {
    const MOST: usize = 50;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What has become of it, by this machine's clock.
fn state_text(proposal: &Proposal) -> &'static str {
    match proposal.state {
        State::Active if proposal.deadline <= super::clock() => "to settle",
        State::Active => "active",
        State::Executed => "executed",
        State::Failed => "failed",
        State::Defeated => "defeated",
        State::Canceled => "canceled",
        _ => "unknown",
    }
}

fn in_json(proposal: &Proposal) -> Value {
    let Proposal { id, proposer, created, deadline, tally, reason, actions, .. } = proposal;
    let Tally { approving, rejecting, total } = tally;
    let action =
        |action: &ICommittee::Action| json!({"target": action.target, "data": action.data, "change": describe(action)});
    json!({
        "id": id.to_string(), "proposer": proposer, "created": created, "deadline": deadline,
        "state": state_text(proposal), "approving": approving, "rejecting": rejecting, "total": total, "reason": reason,
        "actions": actions.iter().map(action).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read() {
        let account = Address::repeat_byte(7);
        let member: NewMember = format!("{account}=bank0:3").parse().unwrap();
        assert_eq!((member.account, member.institution.as_str(), member.weight), (account, "bank0", 3));
        for (text, reason) in [
            ("0x07=bank0:3".to_owned(), "`0x07` is not an account"),
            (format!("{account}=bank0"), "expected an account, its institution and its weight"),
            (format!("{account}=bank0:-3"), "`-3` is not a weight"),
        ] {
            let error = text.parse::<NewMember>().unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn long_texts_are_shortened() {
        assert_eq!(shortened("银行"), "银行");
        assert_eq!(shortened(&"银".repeat(51)), format!("{}…", "银".repeat(50)));
    }
}
