//! When a proposal is decided.

use crate::interfaces::ICommittee::Tally;
use lian_types::limits::{COMMITTEE_APPROVAL_MIN, PER_CENT_MAX};

/// What a proposal needs, in per cent of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Of all weight, so much must have voted: 1 to 100.
    pub participation: u8,
    /// Of what has voted, so much must approve: 51 to 100, so that of two proposals that contradict each other the same
    /// votes never accept both.
    pub approval: u8,
}

/// What votes say of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More votes may come.
    Undecided,
    /// It is accepted.
    Accepted,
    /// It is not.
    Defeated,
}

impl Thresholds {
    /// Whether both are in their ranges.
    #[must_use]
    pub fn are_valid(self) -> bool {
        (1..=PER_CENT_MAX).contains(&self.participation)
            && (COMMITTEE_APPROVAL_MIN..=PER_CENT_MAX).contains(&self.approval)
    }

    /// What a tally decides; `is_over` says that no more votes can come. Before that it decides what no further vote could
    /// change any more.
    #[must_use]
    pub fn decide(self, tally: &Tally, is_over: bool) -> Verdict {
        let Tally { approving, rejecting, total } = *tally;
        let cast = approving.saturating_add(rejecting);
        let has_participation = reaches(cast, self.participation, total);
        // Whoever has not voted may still reject.
        if has_participation && reaches(approving, self.approval, total) {
            return Verdict::Accepted;
        }
        // Or approve, which is the most that can still become of it.
        if !reaches(total.saturating_sub(rejecting), self.approval, total) {
            return Verdict::Defeated;
        }
        match is_over {
            false => Verdict::Undecided,
            true if has_participation && reaches(approving, self.approval, cast) => Verdict::Accepted,
            true => Verdict::Defeated,
        }
    }
}

/// Whether a part is at least so many per cent of a whole that is not nothing.
fn reaches(part: u64, percent: u8, whole: u64) -> bool {
    whole > 0 && u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}
