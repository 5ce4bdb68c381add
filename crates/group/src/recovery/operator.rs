//! What operators do to a stopped node after a divergence (pbft §7). Each step makes its record durable first, and can be
//! done again after a crash at any point.

use super::{Evidence, EvidenceFiles, Kind};
use crate::{
    core::{DurableRecord, VoteRecord},
    driver::{decode_record, encode_record},
};
use alloy_primitives::B256;
use lian_crypto::ConsensusSecretKey;
use lian_ledger::{Condition, LogError, Storage, StorageError, VoteLog};
use lian_pbft::{Committees, Head, Plan, PlanError, Record, Rules, SignedReport, Standing};
use lian_types::{BlockNumber, ConsensusKind, Epoch, MemberIndex, ProposalDigest, View};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a step was refused. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The vote log cannot be read or written.
    #[error("vote log: {0}")]
    VoteLog(#[from] LogError),
    /// A record in it cannot be read: another version wrote it.
    #[error("the vote log has a record that this program cannot read: {0}")]
    VoteRecord(String),
    /// The evidence cannot be read or moved.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The evidence is not readable.
    #[error("{}: {reason}", path.display())]
    Evidence {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The plan does not hold.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is nothing to recover from.
    #[error("this node has not stopped for a divergence: {} does not exist", path.display())]
    NotDiverged {
        /// Where the evidence would be.
        path: PathBuf,
    },
    /// No height to report.
    #[error("this node has not stopped for a divergence; its ledger ends at block {0}: name the height to report")]
    NoHeight(BlockNumber),
    /// More than f members are faulty.
    #[error(
        "at height {0} two proofs order different proposals, so more than f members have signed what honest ones never \
         sign: this is no difference of results, and no retry can make the group safe again"
    )]
    TwoOrders(BlockNumber),
    /// The height is final here.
    #[error("block {height} is final on this node, whose ledger ends at block {head}: there is nothing to try again")]
    Final {
        /// The height.
        height: BlockNumber,
        /// The ledger's head.
        head: BlockNumber,
    },
    /// The node's own final block is not the certified one.
    #[error(
        "this node's own final block {0} contradicts a certificate: its ledger cannot be continued; remove its data, and \
         it catches up from the others"
    )]
    LedgerDiverged(BlockNumber),
    /// A certificate exists.
    #[error("block {height} is certified with header {hash}: the others go on, and this node follows after a clear")]
    Certified {
        /// The height.
        height: BlockNumber,
        /// The certified header's hash.
        hash: B256,
    },
    /// No certificate is known.
    #[error(
        "no certificate of block {0} is known here: as long as no node has one, the group needs a retry; only where the \
         others have gone on does this node follow them after a clear"
    )]
    NotCertified(BlockNumber),
    /// The certificate that this node holds is for a result that the plan does not keep.
    #[error("this node holds a certificate of block {height} with header {hash}, which the plan does not keep")]
    NotKept {
        /// The height.
        height: BlockNumber,
        /// The certified header's hash.
        hash: B256,
    },
    /// It voted for nothing there.
    #[error("this node has committed nothing at height {0}: it has nothing to report there")]
    NotVoted(BlockNumber),
    /// It does not know what it voted.
    #[error("this node has lost its vote log and does not know what it voted, so it cannot report")]
    LostLog,
    /// The group agrees by Raft.
    #[error(
        "the group agrees by Raft, which has no retries: every node whose result is wrong is cleared with `lian recover \
         clear`, and must no longer be needed for a majority"
    )]
    NoRetry,
    /// Not a member.
    #[error("this node is no member at height {0}, so it has nothing to report")]
    NoMember(BlockNumber),
    /// A plan of this attempt, or a later one, is installed.
    #[error("attempt {attempt} is over: on this node the next one is attempt {next}")]
    OldAttempt {
        /// The attempt asked for.
        attempt: u64,
        /// The next attempt here.
        next: u64,
    },
    /// The node has voted where the plan starts.
    #[error(
        "the plan starts in view {plan}, but this node has promised view {promised} already: its own result stands there"
    )]
    ViewPassed {
        /// The plan's view.
        plan: View,
        /// The view that this node has promised.
        promised: View,
    },
}

/// What applying a plan did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is installed now.
    Installed,
    /// It was installed before.
    Again,
}

/// A stopped node in an operator's hands.
pub struct Operator<'a> {
    rules: Rules,
    committees: &'a Committees,
    key: &'a ConsensusSecretKey,
    head: Head,
    log: VoteLog,
    records: Vec<Record>,
    /// The greatest height whose header it has signed in a Raft group.
    signed: Option<BlockNumber>,
    is_lost: bool,
    files: EvidenceFiles,
    evidence: Option<Evidence>,
}

impl<'a> Operator<'a> {
    /// Opens the vote log and the evidence of a group's folder. `head` is the ledger's; the node must not run.
    ///
    /// # Errors
    /// [`RecoverError`] where something cannot be read.
    pub fn open(
        storage: Arc<dyn Storage>,
        folder: &Path,
        rules: Rules,
        committees: &'a Committees,
        key: &'a ConsensusSecretKey,
        head: Head,
    ) -> Result<Self, RecoverError> {
        let files = EvidenceFiles::new(Arc::clone(&storage), folder);
        let evidence = files.read()?;
        let (log, entries, condition) = VoteLog::open(storage, folder, false)?;
        let decode = |bytes: &Vec<u8>| decode_record(rules.suite, bytes).map(|durable| durable.record);
        let records = entries.iter().map(decode).collect::<Result<Vec<_>, _>>().map_err(RecoverError::VoteRecord)?;
        let signed = records.iter().filter_map(|record| match record {
            VoteRecord::Raft { record: lian_raft::Record::Vote(signed), .. } => Some(signed.vote.height),
            _ => None,
        });
        let signed = signed.max();
        let records = records.into_iter().filter_map(VoteRecord::into_pbft).collect();
        let is_lost = matches!(condition, Condition::Damaged { .. });
        Ok(Self { rules, committees, key, head, log, records, signed, is_lost, files, evidence })
    }

    /// The evidence, if the node has stopped for a divergence.
    #[must_use]
    pub const fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// Reports for the next retry, or a later one: from a height that is named, else from the lowest that is not final
    /// here, if the node has stopped. That it noticed the divergence higher up does not say that lower results can win: it
    /// stopped before all votes for them were in. The record that silences this node from that height on is durable before
    /// the signature is made.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn report(&self, height: Option<BlockNumber>, attempt: Option<u64>) -> Result<SignedReport, RecoverError> {
        self.refuse_two_orders()?;
        self.refuse_raft()?;
        let stopped = self.evidence.as_ref().map(|evidence| (evidence.height, evidence.proposal));
        let lowest = stopped.map(|(height, _)| height.min(self.head.height.next()));
        let height = height.or(lowest).ok_or(RecoverError::NoHeight(self.head.height))?;
        self.refuse_final(height)?;
        if let Some(hash) = self.certified(height) {
            return Err(RecoverError::Certified { height, hash });
        }
        let (epoch, signer) = self.member(height).ok_or(RecoverError::NoMember(height))?;
        let standing = self.standing(epoch);
        if self.is_lost || standing.abstains {
            return Err(RecoverError::LostLog);
        }
        let digest = stopped.filter(|(at, _)| *at == height).map(|(_, digest)| digest);
        let digest: ProposalDigest =
            digest.or_else(|| standing.voted.get(&height).copied()).ok_or(RecoverError::NotVoted(height))?;
        let next = standing.next_attempt();
        let attempt = attempt.unwrap_or(next);
        if attempt < next {
            return Err(RecoverError::OldAttempt { attempt, next });
        }
        let parent = (self.head.height.next() == height).then_some(self.head.hash);
        let report = standing.report(self.rules.context, epoch, height, digest, parent, attempt);
        if standing.reported != Some((height, attempt)) {
            self.append(Record::Reported { height, attempt }.into())?;
        }
        let signature = self.key.sign(&report.signing_bytes());
        Ok(SignedReport { report, signer, signature })
    }

    /// Checks a plan from its reports on, installs it, and lets the node start again.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn apply(&self, plan: &Plan) -> Result<Applied, RecoverError> {
        self.refuse_two_orders()?;
        self.refuse_raft()?;
        plan.check(&self.rules, self.committees)?;
        let retry = &plan.retry;
        let standing = self.standing(retry.epoch);
        if standing.retry.as_ref() == Some(retry) && standing.reported.is_none() {
            self.resolve()?;
            return Ok(Applied::Again);
        }
        self.refuse_final(retry.height)?;
        if let Some(hash) = self.certified(retry.height)
            && !retry.kept.iter().any(|kept| kept.height == retry.height && kept.hash == hash)
        {
            return Err(RecoverError::NotKept { height: retry.height, hash });
        }
        if retry.attempt < standing.next_attempt() {
            return Err(RecoverError::OldAttempt { attempt: retry.attempt, next: standing.next_attempt() });
        }
        if standing.view >= retry.view {
            return Err(RecoverError::ViewPassed { plan: retry.view, promised: standing.view });
        }
        self.append(Record::Retry(retry.clone()).into())?;
        self.resolve()?;
        Ok(Applied::Installed)
    }

    /// Marks a divergence of this node alone as dealt with: it follows the others, and votes again above the heights for
    /// which it has voted a result. `settled` says that the others have gone on although no certificate is known here.
    /// Returns the height that must be final before it votes.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn clear(&self, settled: bool) -> Result<BlockNumber, RecoverError> {
        self.refuse_two_orders()?;
        let missing = || RecoverError::NotDiverged { path: self.files.path() };
        let evidence = self.evidence.as_ref().ok_or_else(missing)?;
        let height = evidence.height;
        if height <= self.head.height {
            return Err(RecoverError::LedgerDiverged(height));
        }
        if evidence.certificate.is_none() && !settled {
            return Err(RecoverError::NotCertified(height));
        }
        let epoch = self.committees.at(height).map_or(Epoch::ZERO, lian_pbft::Committee::epoch);
        let through = self.standing(epoch).highest_result().max(self.signed.unwrap_or_default()).max(height);
        let record = match self.consensus() {
            ConsensusKind::Pbft => Record::Cleared { through }.into(),
            ConsensusKind::Raft => {
                let record = lian_raft::Record::Cleared { through };
                VoteRecord::Raft { record, made_at: self.head.height }
            }
        };
        self.append(record)?;
        self.resolve()?;
        Ok(through)
    }

    /// What the vote log says.
    #[must_use]
    pub fn standing(&self, epoch: Epoch) -> Standing {
        Standing::of(&self.records, epoch)
    }

    /// This node among the members of a height, and their epoch.
    fn member(&self, height: BlockNumber) -> Option<(Epoch, MemberIndex)> {
        let committee = self.committees.at(height)?;
        Some((committee.epoch(), committee.members.members.index_of(&self.key.public())?))
    }

    fn refuse_two_orders(&self) -> Result<(), RecoverError> {
        match self.evidence.as_ref().filter(|evidence| evidence.kind == Kind::Order) {
            Some(evidence) => Err(RecoverError::TwoOrders(evidence.height)),
            None => Ok(()),
        }
    }

    /// How the group agrees.
    fn consensus(&self) -> ConsensusKind {
        self.committees.at(self.head.height.next()).map_or(ConsensusKind::Pbft, |committee| committee.members.consensus)
    }

    fn refuse_raft(&self) -> Result<(), RecoverError> {
        if self.consensus() == ConsensusKind::Raft { Err(RecoverError::NoRetry) } else { Ok(()) }
    }

    fn refuse_final(&self, height: BlockNumber) -> Result<(), RecoverError> {
        let head = self.head.height;
        if height <= head { Err(RecoverError::Final { height, head }) } else { Ok(()) }
    }

    /// The certified result of a height, where the evidence has it.
    fn certified(&self, height: BlockNumber) -> Option<B256> {
        let evidence = self.evidence.as_ref().filter(|evidence| evidence.height == height)?;
        evidence.certificate.as_ref().map(|certificate| certificate.hash)
    }

    fn append(&self, record: VoteRecord) -> Result<(), RecoverError> {
        let (height, bytes) = encode_record(&DurableRecord { record, bodies: Vec::new() });
        Ok(self.log.append(&[(height, &bytes)])?)
    }

    fn resolve(&self) -> Result<(), RecoverError> {
        match &self.evidence {
            Some(evidence) => Ok(self.files.resolve(evidence.height)?),
            None => Ok(()),
        }
    }
}
