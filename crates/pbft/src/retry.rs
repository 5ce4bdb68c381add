//! Going on at a height where no result could gather a quorum (§7): what members say of it, and the plan that follows.
//!
//! All of it happens offline, with the nodes stopped: each member's vote log gives a [`Report`], a quorum of reports gives
//! a [`Plan`], and the plan is written into each vote log as a [`Retry`]. The functions are pure.

use crate::{Committee, Committees, Record, ResultLock, Rules, codec::read_vec, message::tagged};
use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::SignatureError;
use lian_types::{
    BlockNumber, ChainContext, Epoch, MemberIndex, Phase, ProposalDigest, Signature, View, limits::MEMBERS_MAX,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most results in a report: some views of every height that can be open.
pub const REPORTED_RESULTS_MAX: usize = 1_024;

/// What a member says of a height at which its group has stopped. From then on it signs nothing for that height and those
/// above before a plan of this attempt, or a later one, is installed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Report {
    /// The chain.
    pub context: ChainContext,
    /// The epoch of the height.
    pub epoch: Epoch,
    /// The height.
    pub height: BlockNumber,
    /// The proposal that is ordered there.
    pub digest: ProposalDigest,
    /// The hash of the header below, where that block is final at this member.
    pub parent: Option<B256>,
    /// The number of the retry that it is meant for, from 1.
    pub attempt: u64,
    /// The highest view promised or entered.
    pub view: View,
    /// The numbers of the earlier retries whose plans this member has installed, rising.
    #[borsh(deserialize_with = "read_vec::<_, _, REPORTED_RESULTS_MAX>")]
    pub installed: Vec<u64>,
    /// Every result of that height and above that this member has ever voted for, rising by attempt, height and proposal.
    #[borsh(deserialize_with = "read_vec::<_, _, REPORTED_RESULTS_MAX>")]
    pub results: Vec<VotedResult>,
}

/// A result that a member has voted for, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VotedResult {
    /// The retry whose plan was installed then; 0 before the first.
    pub attempt: u64,
    /// The result.
    pub lock: ResultLock,
}

impl Report {
    /// The bytes that are signed: a tag of its own and the whole report.
    #[must_use]
    pub fn signing_bytes(&self) -> Vec<u8> {
        tagged(b"lian/recovery-report/1", self)
    }
}

/// A report with its signer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedReport {
    /// What was signed.
    pub report: Report,
    /// Who signed, among the members of the height's epoch.
    pub signer: MemberIndex,
    /// The signature over [`Report::signing_bytes`].
    pub signature: Signature,
}

/// How a height is tried again, and the reports from which it follows.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plan {
    /// What each node does.
    pub retry: Retry,
    /// The proposal that is ordered at the height.
    pub digest: ProposalDigest,
    /// At least a quorum's reports, by rising member.
    #[borsh(deserialize_with = "read_vec::<_, _, MEMBERS_MAX>")]
    pub reports: Vec<SignedReport>,
}

/// A plan as it stands in the vote log.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Retry {
    /// The epoch of the height.
    pub epoch: Epoch,
    /// The height that is tried again.
    pub height: BlockNumber,
    /// The last height that may have been open when the group stopped: the rules of a retry hold up to it.
    pub until: BlockNumber,
    /// The number of the retry, from 1.
    pub attempt: u64,
    /// The view in which it starts: no vote of a lower one counts for a result.
    pub view: View,
    /// The results that may have been certified already, rising by height and proposal: no other is voted for.
    #[borsh(deserialize_with = "read_vec::<_, _, REPORTED_RESULTS_MAX>")]
    pub kept: Vec<ResultLock>,
}

impl Retry {
    /// Whether the rules of the retry hold at a height.
    #[must_use]
    pub fn covers(&self, height: BlockNumber) -> bool {
        height >= self.height && height <= self.until
    }
}

/// Why reports give no plan, or a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no report at all.
    #[error("there is no report")]
    Empty,
    /// It is meant for another chain.
    #[error(
        "the report of member {signer} is of chain {} group {} (genesis {}), this one is chain {} group {} (genesis {})",
        found.chain_id, found.group, found.genesis, expected.chain_id, expected.group, expected.genesis
    )]
    OtherChain {
        /// Who reported.
        signer: MemberIndex,
        /// The report's chain.
        found: Box<ChainContext>,
        /// This one.
        expected: Box<ChainContext>,
    },
    /// The height's members are those of another epoch, or not known.
    #[error("the report of member {signer} is for epoch {found}, which does not decide height {height}")]
    WrongEpoch {
        /// Who reported.
        signer: MemberIndex,
        /// The report's epoch.
        found: Epoch,
        /// The height.
        height: BlockNumber,
    },
    /// A signer is not a member.
    #[error("member {0} does not exist")]
    UnknownSigner(MemberIndex),
    /// A report was changed, or somebody else signed it.
    #[error("the report of member {signer} does not bear that member's signature: {source}")]
    Signature {
        /// Who is said to have reported.
        signer: MemberIndex,
        /// What is wrong.
        #[source]
        source: SignatureError,
    },
    /// One member reported twice, with different content.
    #[error("member {0} has made two different reports")]
    TwoReports(MemberIndex),
    /// The reports are not about the same.
    #[error("the report of member {signer} is for {what} {found}, that of member {first} for {expected}")]
    Mixed {
        /// Who reported something else.
        signer: MemberIndex,
        /// Whose report it was compared with.
        first: MemberIndex,
        /// In what they differ.
        what: &'static str,
        /// What the one says.
        found: String,
        /// What the other says.
        expected: String,
    },
    /// Results that cannot stand in a report.
    #[error("the report of member {signer} names a result of height {height} out of place")]
    MisplacedResult {
        /// Who reported.
        signer: MemberIndex,
        /// The result's height.
        height: BlockNumber,
    },
    /// Earlier retries that cannot stand in a report.
    #[error("the report of member {signer} names an earlier retry out of place")]
    MisplacedAttempt {
        /// Who reported.
        signer: MemberIndex,
    },
    /// Too few members have reported.
    #[error("{found} reports, a quorum is {quorum}")]
    TooFew {
        /// How many.
        found: usize,
        /// How many are needed.
        quorum: usize,
    },
    /// Either of two results may be certified already: more members must report.
    #[error(
        "results {first} and {second} of height {height} could each be certified already by members that have not \
         reported: more reports are needed"
    )]
    TwoResults {
        /// The height.
        height: BlockNumber,
        /// The one.
        first: B256,
        /// The other.
        second: B256,
    },
    /// There is no view above the ones promised.
    #[error("member {0} reports view {max}, above which there is none", max = u64::MAX)]
    NoView(MemberIndex),
    /// The plan is not what its reports give.
    #[error("the plan's {what} is not what its reports give")]
    Differs {
        /// In what it differs.
        what: &'static str,
    },
}

impl Plan {
    /// The one plan that follows from reports, which may come in any order.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn of(rules: &Rules, committees: &Committees, mut reports: Vec<SignedReport>) -> Result<Self, PlanError> {
        reports.sort_by_key(|signed| signed.signer);
        reports.dedup();
        let (first, committee) = check_reports(rules, committees, &reports)?;
        let members = &committee.members.members;
        if reports.len() < members.quorum() {
            return Err(PlanError::TooFew { found: reports.len(), quorum: members.quorum() });
        }
        let (height, attempt, epoch, digest) = (first.height, first.attempt, first.epoch, first.digest);
        let mut view = View::ZERO;
        for SignedReport { report, signer, .. } in &reports {
            view = view.max(report.view.0.checked_add(1).map(View).ok_or(PlanError::NoView(*signer))?);
        }
        let silent = members.len().saturating_sub(reports.len());
        let kept = kept(&reports, silent, members.quorum())?;
        let until = height.saturating_add(rules.window.saturating_sub(1)).min(committees.last_of(height));
        let retry = Retry { epoch, height, until, attempt, view, kept };
        Ok(Self { retry, digest, reports })
    }

    /// Makes the plan again from its reports.
    ///
    /// # Errors
    /// [`PlanError`] where a report does not hold or the plan is not what they give.
    pub fn check(&self, rules: &Rules, committees: &Committees) -> Result<(), PlanError> {
        let again = Self::of(rules, committees, self.reports.clone())?;
        let (mine, right) = (&self.retry, &again.retry);
        let differs = [
            ("height", mine.height != right.height || mine.until != right.until || mine.epoch != right.epoch),
            ("proposal", self.digest != again.digest),
            ("attempt", mine.attempt != right.attempt),
            ("view", mine.view != right.view),
            ("kept result", mine.kept != right.kept),
            ("order of reports", self.reports != again.reports),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((what, _)) => Err(PlanError::Differs { what }),
            None => Ok(()),
        }
    }
}

/// Checks each report by itself and against the first.
fn check_reports<'a>(
    rules: &Rules,
    committees: &'a Committees,
    reports: &[SignedReport],
) -> Result<(Report, &'a Committee), PlanError> {
    let SignedReport { report: first, signer: first_signer, .. } = reports.first().ok_or(PlanError::Empty)?;
    let mut seen = BTreeSet::new();
    let mut parent: Option<(MemberIndex, B256)> = None;
    for signed in reports {
        let (report, signer) = (&signed.report, signed.signer);
        check_report(rules, committees, signed)?;
        if !seen.insert(signer) {
            return Err(PlanError::TwoReports(signer));
        }
        let pairs = [
            ("height", report.height.to_string(), first.height.to_string()),
            ("proposal", report.digest.to_string(), first.digest.to_string()),
            ("attempt", report.attempt.to_string(), first.attempt.to_string()),
        ];
        if let Some((what, found, expected)) = pairs.into_iter().find(|(_, found, expected)| found != expected) {
            return Err(PlanError::Mixed { signer, first: *first_signer, what, found, expected });
        }
        match (parent, report.parent) {
            (Some((first, expected)), Some(found)) if expected != found => {
                let (found, expected) = (found.to_string(), expected.to_string());
                return Err(PlanError::Mixed { signer, first, what: "parent", found, expected });
            }
            (None, Some(found)) => parent = Some((signer, found)),
            _ => {}
        }
    }
    let committee = committees.at(first.height).ok_or(PlanError::WrongEpoch {
        signer: *first_signer,
        found: first.epoch,
        height: first.height,
    })?;
    Ok((first.clone(), committee))
}

fn check_report(rules: &Rules, committees: &Committees, signed: &SignedReport) -> Result<(), PlanError> {
    let SignedReport { report, signer, signature } = signed;
    let (signer, height) = (*signer, report.height);
    if report.context != rules.context {
        let (found, expected) = (Box::new(report.context), Box::new(rules.context));
        return Err(PlanError::OtherChain { signer, found, expected });
    }
    let committee = committees.at(height).filter(|committee| committee.epoch() == report.epoch);
    let Some(committee) = committee else { return Err(PlanError::WrongEpoch { signer, found: report.epoch, height }) };
    let member = committee.members.members.get(signer).ok_or(PlanError::UnknownSigner(signer))?;
    let signed = rules.suite.verify(&member.key, &report.signing_bytes(), signature);
    signed.map_err(|source| PlanError::Signature { signer, source })?;
    let mut below = None;
    for VotedResult { attempt, lock } in &report.results {
        let place = Some((*attempt, lock.height, lock.digest));
        let known = *attempt == 0 || report.installed.contains(attempt);
        if lock.height < height || place <= below || !known {
            return Err(PlanError::MisplacedResult { signer, height: lock.height });
        }
        below = place;
    }
    let rises = report.installed.is_sorted_by(|one, two| one < two);
    let bounds = report.installed.first().is_none_or(|first| *first > 0);
    if !rises || !bounds || report.installed.last().is_some_and(|last| *last >= report.attempt) {
        return Err(PlanError::MisplacedAttempt { signer });
    }
    Ok(())
}

/// The results that may be certified: those that the members who voted for them and all that are silent could have
/// certified together, in the views of one attempt. Of one proposal there can be one only, as long as at most f members are
/// silent; where two attempts could have certified different ones, the later one shows that the earlier did not (§7).
fn kept(reports: &[SignedReport], silent: usize, quorum: usize) -> Result<Vec<ResultLock>, PlanError> {
    let attempts: BTreeSet<u64> = reports.iter().flat_map(|signed| &signed.report.installed).copied().collect();
    let mut kept: BTreeMap<(BlockNumber, ProposalDigest), ResultLock> = BTreeMap::new();
    for attempt in std::iter::once(0).chain(attempts) {
        for (place, results) in votes_of(reports, attempt) {
            let mut possible = results.into_iter().filter(|(_, count)| count.saturating_add(silent) >= quorum);
            let Some(((parent, hash), _)) = possible.next() else { continue };
            let (height, digest) = place;
            if let Some(((_, second), _)) = possible.next() {
                return Err(PlanError::TwoResults { height, first: hash, second });
            }
            kept.insert(place, ResultLock { height, digest, parent, hash });
        }
    }
    Ok(kept.into_values().collect())
}

/// How many members each result may have had in the views of an attempt: a member votes there by the last plan that it has
/// installed up to then.
#[allow(clippy::type_complexity)] // By height and proposal, then by the hashes of the parent and of the header.
fn votes_of(
    reports: &[SignedReport],
    attempt: u64,
) -> BTreeMap<(BlockNumber, ProposalDigest), BTreeMap<(B256, B256), usize>> {
    let mut votes: BTreeMap<(BlockNumber, ProposalDigest), BTreeMap<(B256, B256), usize>> = BTreeMap::new();
    for report in reports.iter().map(|signed| &signed.report) {
        let by = report.installed.iter().rev().find(|installed| **installed <= attempt).copied().unwrap_or(0);
        for VotedResult { lock, .. } in report.results.iter().filter(|voted| voted.attempt == by) {
            let count =
                votes.entry((lock.height, lock.digest)).or_default().entry((lock.parent, lock.hash)).or_default();
            *count = count.saturating_add(1);
        }
    }
    votes
}

/// What a vote log says about its owner's part in a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The highest view promised or entered in the epoch asked for, or that an installed plan asks for.
    pub view: View,
    /// The height and attempt of a report that no plan has answered yet.
    pub reported: Option<(BlockNumber, u64)>,
    /// The highest attempt reported for, answered or not.
    pub reported_attempt: u64,
    /// The plan installed last, if any.
    pub retry: Option<Retry>,
    /// The numbers of the retries whose plans were installed.
    pub installed: BTreeSet<u64>,
    /// The results that it has voted for, by the retry installed then.
    pub results: BTreeMap<(u64, BlockNumber, ProposalDigest), ResultLock>,
    /// The proposal that it committed, checkpointed or stood for last, by height.
    pub voted: BTreeMap<BlockNumber, ProposalDigest>,
    /// Whether it abstains because an earlier log was lost.
    pub abstains: bool,
}

impl Standing {
    /// Reads it from a log's records, in their order.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>, epoch: Epoch) -> Self {
        let mut standing = Self::default();
        for record in records {
            standing.take(record, epoch);
        }
        standing
    }

    fn take(&mut self, record: &Record, epoch: Epoch) {
        match record {
            Record::ViewPromise(message) if message.signed.change.epoch == epoch => {
                self.view = self.view.max(message.signed.change.view);
            }
            Record::NewView(signed) if signed.new_view.epoch == epoch => {
                self.view = self.view.max(signed.new_view.view);
            }
            Record::ResultLock(lock) => {
                let attempt = self.retry.as_ref().map_or(0, |retry| retry.attempt);
                self.results.insert((attempt, lock.height, lock.digest), *lock);
                self.voted.insert(lock.height, lock.digest);
            }
            Record::Vote(signed) if signed.vote.phase != Phase::Prepare => {
                self.voted.insert(signed.vote.height, signed.vote.digest);
            }
            Record::Abstains(now) => self.abstains = *now,
            Record::Reported { height, attempt } => {
                self.reported = Some((*height, *attempt));
                self.reported_attempt = self.reported_attempt.max(*attempt);
            }
            Record::Retry(retry) => {
                self.installed.insert(retry.attempt);
                if retry.epoch == epoch {
                    self.view = self.view.max(retry.view);
                }
                self.reported = None;
                self.retry = Some(retry.clone());
            }
            Record::Cleared { .. } => self.reported = None,
            Record::PrePrepare(_)
            | Record::Vote(_)
            | Record::Prepared { .. }
            | Record::ViewPromise(_)
            | Record::NewView(_) => {}
        }
    }

    /// The number of the next retry: above all plans installed, and not below what was reported for.
    #[must_use]
    pub fn next_attempt(&self) -> u64 {
        let installed = self.installed.last().copied().unwrap_or(0);
        installed.saturating_add(1).max(self.reported_attempt)
    }

    /// The greatest height that it may have voted a result for.
    #[must_use]
    pub fn highest_result(&self) -> BlockNumber {
        self.results.keys().map(|(_, height, _)| *height).max().unwrap_or(BlockNumber::ZERO)
    }

    /// What it reports of a height for a retry with a number that is not below [`Standing::next_attempt`].
    #[must_use]
    pub fn report(
        &self,
        context: ChainContext,
        epoch: Epoch,
        height: BlockNumber,
        digest: ProposalDigest,
        parent: Option<B256>,
        attempt: u64,
    ) -> Report {
        let results = self.results.iter().filter(|((_, at, _), _)| *at >= height);
        let results = results.map(|((attempt, ..), lock)| VotedResult { attempt: *attempt, lock: *lock }).collect();
        let installed = self.installed.iter().copied().collect();
        Report { context, epoch, height, digest, parent, attempt, view: self.view, installed, results }
    }
}
