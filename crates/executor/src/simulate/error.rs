//! Why a simulation ended early.

use crate::{CallError, OverrideError, SkipReason};
use alloy_rpc_types_eth::simulate::MAX_SIMULATE_BLOCKS;

/// Why a simulation ended early.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A block does not come after the one before.
    #[error("block numbers must be in order: {number} <= {parent}")]
    NumberOrder {
        /// The block's number.
        number: u64,
        /// The number of the one before.
        parent: u64,
    },
    /// A block is not later than the one before.
    #[error("block timestamps must be in order: {time} <= {parent}")]
    TimeOrder {
        /// The block's time, in seconds.
        time: u64,
        /// The time of the one before, in seconds.
        parent: u64,
    },
    /// More blocks than may be simulated at once, those between the named ones included.
    #[error("too many blocks: at most {MAX_SIMULATE_BLOCKS} may be simulated at once")]
    TooManyBlocks,
    /// A call asks for more gas than is left in its block.
    #[error("block gas limit reached: {left} left in the block, call gas limit {limit}")]
    BlockGasLimit {
        /// The call's gas limit, in units of gas.
        limit: u64,
        /// What is left in the block, in units of gas.
        left: u64,
    },
    /// A call is not a valid transaction.
    #[error("{0}")]
    Invalid(SkipReason),
    /// Overrides contradict themselves.
    #[error(transparent)]
    Overrides(#[from] OverrideError),
    /// The trie could not be updated.
    #[error("state root cannot be computed: {0}")]
    Trie(#[source] lian_trie::TrieError),
    /// A call could not be run.
    #[error(transparent)]
    Call(CallError),
}

impl SimulateError {
    /// The JSON-RPC code that execution-apis names for it; `None` where it names none.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        Some(match self {
            Self::Invalid(SkipReason::NonceTooLow { .. }) => -38_010,
            Self::Invalid(SkipReason::NonceTooHigh { .. }) => -38_011,
            Self::Invalid(SkipReason::IntrinsicGas { .. } | SkipReason::FloorGas { .. }) => -38_013,
            Self::Invalid(SkipReason::InsufficientFunds { .. }) => -38_014,
            Self::BlockGasLimit { .. } | Self::Invalid(SkipReason::BlockGasLimit { .. }) => -38_015,
            Self::NumberOrder { .. } => -38_020,
            Self::TimeOrder { .. } => -38_021,
            Self::Overrides(OverrideError::NotAPrecompile(_)) => -32_000,
            Self::Overrides(OverrideError::AlreadyOverridden(_)) => -38_023,
            Self::Invalid(SkipReason::SenderHasCode) => -38_024,
            Self::Invalid(SkipReason::InitCodeSize) => -38_025,
            Self::TooManyBlocks => -38_026,
            Self::Invalid(_) | Self::Overrides(_) => -32_602,
            Self::Trie(_) | Self::Call(_) => return None,
        })
    }
}
