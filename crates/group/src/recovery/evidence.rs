//! What a node writes down when results diverge (pbft §7): `divergence.json` beside its ledger.
//!
//! The form is stable and described in `docs/recovery.md`. Everything in it is what this node has at hand when it stops; it
//! asks nobody. What the certified block did differently is added once this node has executed that block.

use crate::{execution::SpeculativeChain, finality::FinalityError, handle::ChainInfo};
use alloy_primitives::{Address, B256, TxHash, U256, keccak256};
use lian_executor::{AccountChange, ExecutedBlock, StateChanges};
use lian_pbft::Divergence;
use lian_types::{BlockNumber, Certificate, CertificateKind, Epoch, Header, MemberIndex, Millis, ProposalDigest, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most changed accounts and slots that are written down; a full block changes some ten thousand.
const WRITES_MAX: usize = 50_000;
/// Most differences that are written down: enough to see a pattern.
const DIFFERENCES_MAX: usize = 256;

/// In which way results diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// This node's result is not the certified one.
    Result,
    /// This node has computed two results of one proposal, or computes another one than a plan keeps.
    Execution,
    /// No result can gather a quorum.
    NoQuorum,
    /// Two proofs order different proposals.
    Order,
}

/// The whole evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// The form of the file, now 1.
    pub version: u32,
    /// In which way results diverged.
    pub kind: Kind,
    /// When, by the node's clock, in milliseconds since 1970.
    pub time: Millis,
    /// The chain.
    pub chain_id: u64,
    /// The node that stopped.
    pub node: String,
    /// The height.
    pub height: BlockNumber,
    /// The proposal that this node holds to be ordered there.
    pub proposal: ProposalDigest,
    /// Another proposal that a proof orders there; only for [`Kind::Order`].
    pub other_proposal: Option<ProposalDigest>,
    /// Every result that is known, with who voted for it as far as that is known.
    pub results: Vec<KnownResult>,
    /// The proof of another result, if there is one.
    pub certificate: Option<CertificateText>,
    /// What executing the proposal gave here, if it was at hand.
    pub own: Option<Own>,
    /// The certified header, where this node has the certified block.
    pub certified_header: Option<Header>,
    /// What the block that became final did differently; none before this node has executed it.
    pub difference: Option<Difference>,
}

/// A result of the height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KnownResult {
    /// The hash of the header.
    pub hash: B256,
    /// The members that voted for it, by their positions among the members.
    pub voters: Vec<u16>,
    /// Whether it is what this node computes now.
    pub own: bool,
    /// Whether this node has voted for it before, or a plan keeps it.
    pub voted: bool,
}

/// A certificate in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateText {
    /// The epoch.
    pub epoch: Epoch,
    /// The view of commits; none for checkpoints.
    pub view: Option<View>,
    /// The proposal.
    pub proposal: ProposalDigest,
    /// The certified header's hash.
    pub hash: B256,
    /// The signatures, by the signers' positions among the members.
    pub signatures: BTreeMap<u16, String>,
}

/// What executing the proposal gave on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Own {
    /// The header's hash.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// Each transaction that ran, in order.
    pub transactions: Vec<Ran>,
    /// Each transaction that was skipped.
    pub skipped: Vec<TxHash>,
    /// Every account and slot that changed, with its new value; rising.
    pub writes: Vec<Written>,
    /// Whether there were more than are listed.
    pub truncated: bool,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ran {
    /// Its hash.
    pub hash: TxHash,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used, in units of gas.
    pub gas_used: u64,
    /// How many events it emitted.
    pub logs: usize,
    /// A hash over its receipt: equal exactly where the receipts are equal.
    pub receipt: B256,
}

/// A changed account or slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Written {
    /// The account.
    pub address: Address,
    /// The slot; none for the account itself.
    pub slot: Option<U256>,
    /// The new value: of a slot the number, of an account its nonce, balance and code; `gone` where it is no more.
    pub value: String,
}

/// What the block that became final did differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// The hash of the final header.
    pub hash: B256,
    /// The fields of the header that differ.
    pub header: Vec<String>,
    /// The first position among the transactions that ran at which the two executions differ.
    pub first_transaction: Option<DivergedTransaction>,
    /// Accounts and slots that only one of the two changed, or that they changed to different values.
    pub state: Vec<DivergedState>,
    /// How many there are in all; more than are listed where the list is full.
    pub state_count: usize,
}

/// A transaction that two executions treat differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DivergedTransaction {
    /// Its position among the transactions that ran, from 0.
    pub position: usize,
    /// What stood there when the node stopped; none where fewer ran.
    pub stopped: Option<Ran>,
    /// What stands there in the final block; none where fewer ran.
    pub final_block: Option<Ran>,
}

/// An account or slot that two executions leave differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DivergedState {
    /// The account.
    pub address: Address,
    /// The slot; none for the account itself.
    pub slot: Option<U256>,
    /// What the execution that stopped the node wrote; none where nothing.
    pub stopped: Option<String>,
    /// What the final block wrote; none where nothing.
    pub final_block: Option<String>,
}

impl Evidence {
    /// The form that this program writes.
    pub const VERSION: u32 = 1;

    fn empty(info: &ChainInfo, time: Millis, kind: Kind, height: BlockNumber, proposal: ProposalDigest) -> Self {
        Self {
            version: Self::VERSION,
            kind,
            time,
            chain_id: info.chain_id,
            node: info.node.clone(),
            height,
            proposal,
            other_proposal: None,
            results: Vec::new(),
            certificate: None,
            own: None,
            certified_header: None,
            difference: None,
        }
    }

    /// The evidence of what stopped consensus.
    #[must_use]
    pub fn of_divergence(info: &ChainInfo, time: Millis, divergence: &Divergence, chain: &SpeculativeChain) -> Self {
        let (kind, height, proposal) = match divergence {
            Divergence::Result { height, digest, .. } => (Kind::Result, *height, *digest),
            Divergence::Execution { height, digest, .. } => (Kind::Execution, *height, *digest),
            Divergence::NoQuorum { height, digest, .. } => (Kind::NoQuorum, *height, *digest),
            Divergence::Order { height, own, .. } => (Kind::Order, *height, *own),
        };
        let mut evidence = Self::empty(info, time, kind, height, proposal);
        evidence.own = chain.result(&proposal).map(Own::of);
        match divergence {
            Divergence::Result { own, certificate, .. } => evidence.add_certificate(*own, certificate),
            Divergence::Execution { voted, found, .. } => {
                evidence.add_result(voted.1, &[]);
                evidence.add_result(found.1, &[]);
                evidence.results.iter_mut().for_each(|result| result.voted = result.hash == voted.1);
                evidence.mark_own(found.1);
            }
            Divergence::NoQuorum { results, .. } => {
                results.iter().for_each(|(hash, voters)| evidence.add_result(*hash, voters));
                if let Some(own) = evidence.own.as_ref().map(|own| own.hash) {
                    evidence.mark_own(own);
                }
            }
            Divergence::Order { other, .. } => evidence.other_proposal = *other,
        }
        evidence
    }

    /// The evidence of a certified block that gives another result here; none for any other failure.
    #[must_use]
    pub fn of_failure(
        info: &ChainInfo,
        time: Millis,
        failure: &FinalityError,
        certificate: &Certificate,
        header: Option<&Header>,
        chain: &SpeculativeChain,
    ) -> Option<Self> {
        let FinalityError::Diverged { height, digest, own, .. } = failure else { return None };
        let mut evidence = Self::empty(info, time, Kind::Result, *height, *digest);
        evidence.own = chain.result(digest).map(Own::of);
        evidence.add_certificate(*own, certificate);
        evidence.certified_header = header.cloned();
        Some(evidence)
    }

    fn add_result(&mut self, hash: B256, voters: &[MemberIndex]) {
        if self.results.iter().all(|known| known.hash != hash) {
            let voters = voters.iter().map(|member| member.0).collect();
            self.results.push(KnownResult { hash, voters, own: false, voted: false });
        }
    }

    fn mark_own(&mut self, hash: B256) {
        self.add_result(hash, &[]);
        self.results.iter_mut().for_each(|result| result.own = result.hash == hash);
    }

    fn add_certificate(&mut self, own: B256, certificate: &Certificate) {
        let signers: Vec<_> = certificate.signatures.iter().map(|signature| signature.signer).collect();
        self.add_result(certificate.block_hash, &signers);
        self.mark_own(own);
        let view = match certificate.kind {
            CertificateKind::Commit { view } => Some(view),
            CertificateKind::Checkpoint | CertificateKind::Replicated => None,
        };
        let signatures = certificate.signatures.iter();
        self.certificate = Some(CertificateText {
            epoch: certificate.epoch,
            view,
            proposal: certificate.digest,
            hash: certificate.block_hash,
            signatures: signatures.map(|signed| (signed.signer.0, signed.signature.to_string())).collect(),
        });
    }

    /// What happened, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { height, proposal, results, .. } = self;
        let own = results.iter().find(|result| result.own).map_or_else(|| "-".to_owned(), |own| own.hash.to_string());
        match self.kind {
            Kind::Result => {
                let certified = self.certificate.as_ref().map_or(B256::ZERO, |certificate| certificate.hash);
                format!("block {height} is certified with header {certified}, but executing it here gives {own}")
            }
            Kind::Execution => {
                let voted = results.iter().find(|result| result.voted).map_or(B256::ZERO, |voted| voted.hash);
                format!("executing block {height} gives {own} here, but this node stands for {voted}")
            }
            Kind::NoQuorum => {
                let groups: Vec<_> =
                    results.iter().map(|result| format!("{} by members {:?}", result.hash, result.voters)).collect();
                format!("no result of block {height} can be certified any more: {}", groups.join(", "))
            }
            Kind::Order => {
                let other = self.other_proposal.map_or_else(|| "none".to_owned(), |other| other.to_string());
                format!("proofs order two proposals at height {height}: {proposal} and {other}")
            }
        }
    }

    /// Adds what the block that became final did differently.
    pub(super) fn explain(&mut self, executed: &ExecutedBlock) {
        self.difference = self.own.as_ref().map(|own| own.difference(&Own::of(executed)));
        self.certified_header.get_or_insert_with(|| executed.block.header.clone());
    }
}

impl Own {
    /// What an execution gave.
    #[must_use]
    pub fn of(executed: &ExecutedBlock) -> Self {
        let ran = executed.block.transactions.iter().zip(executed.receipts.iter()).map(|(transaction, receipt)| Ran {
            hash: transaction.hash(),
            success: receipt.success,
            gas_used: receipt.gas_used,
            logs: receipt.logs.len(),
            receipt: keccak256(receipt.encoded_2718(receipt.bloom())),
        });
        let mut writes = written(&executed.changes);
        let truncated = writes.len() > WRITES_MAX;
        writes.truncate(WRITES_MAX);
        Self {
            hash: executed.hash,
            header: executed.block.header.clone(),
            transactions: ran.collect(),
            skipped: executed.block.extension.skipped.iter().map(|skipped| skipped.hash).collect(),
            writes,
            truncated,
        }
    }

    /// What another execution of the same proposal did differently.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Difference {
        let count = self.transactions.len().max(other.transactions.len());
        let pair = |position: usize| (self.transactions.get(position), other.transactions.get(position));
        let first = (0..count).find(|position| {
            let (stopped, final_block) = pair(*position);
            stopped != final_block
        });
        let first_transaction = first.map(|position| {
            let (stopped, final_block) = pair(position);
            DivergedTransaction { position, stopped: stopped.cloned(), final_block: final_block.cloned() }
        });
        let (own, theirs) = (by_place(&self.writes), by_place(&other.writes));
        let places: BTreeSet<_> = own.keys().chain(theirs.keys()).copied().collect();
        let mut state = Vec::new();
        let mut state_count: usize = 0;
        for place in places {
            let (stopped, final_block) = (own.get(&place), theirs.get(&place));
            if stopped != final_block {
                state_count = state_count.saturating_add(1);
                let text = |value: Option<&&str>| value.map(|value| (*value).to_owned());
                let (stopped, final_block) = (text(stopped), text(final_block));
                state.push(DivergedState { address: place.0, slot: place.1, stopped, final_block });
            }
        }
        state.truncate(DIFFERENCES_MAX);
        Difference {
            hash: other.hash,
            header: fields(&self.header, &other.header),
            first_transaction,
            state,
            state_count,
        }
    }
}

/// The names of a header's fields that differ, by the header's own JSON form.
fn fields(one: &Header, two: &Header) -> Vec<String> {
    let object = |header: &Header| serde_json::to_value(header).ok()?.as_object().cloned();
    let (Some(one), Some(two)) = (object(one), object(two)) else { return Vec::new() };
    one.iter().filter(|(name, value)| two.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
}

fn by_place(writes: &[Written]) -> BTreeMap<(Address, Option<U256>), &str> {
    writes.iter().map(|written| ((written.address, written.slot), written.value.as_str())).collect()
}

fn written(changes: &StateChanges) -> Vec<Written> {
    let mut writes = Vec::new();
    for (address, change) in &changes.accounts {
        let address = *address;
        writes.push(Written { address, slot: None, value: account_text(change) });
        let slots = change.storage.iter();
        writes.extend(slots.map(|(slot, value)| Written { address, slot: Some(*slot), value: format!("{value:#x}") }));
    }
    writes
}

fn account_text(change: &AccountChange) -> String {
    let cleared = if change.storage_cleared { " storage cleared" } else { "" };
    match &change.account {
        None => "gone".to_owned(),
        Some(account) => {
            let (nonce, balance, code) = (account.nonce, account.balance, account.code_hash);
            format!("nonce {nonce} balance {balance} code {code}{cleared}")
        }
    }
}
