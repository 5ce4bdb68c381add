//! Reasons that decisions are given: every contract bounds them alike, and says so by the same error.

use crate::{Failure, interfaces::ICommittee::ReasonTooLong};
use alloy_primitives::U256;
use lian_types::limits::REASON_BYTES_MAX;

/// Refuses a reason that is too long. The error is that of every interface with reasons: all define it alike.
pub(crate) fn check_reason(reason: &str) -> Result<(), Failure> {
    if reason.len() <= REASON_BYTES_MAX {
        return Ok(());
    }
    let (length, limit) = (U256::from(reason.len()), U256::from(REASON_BYTES_MAX));
    Err(Failure::revert(&ReasonTooLong { length, limit }))
}
