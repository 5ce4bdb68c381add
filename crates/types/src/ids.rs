//! Newtypes for numbers and digests that must not be confused with one another.

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
            Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The smallest value, zero.
            pub const ZERO: Self = Self(0);

            /// The value plus `n`, or the largest value where that does not fit.
            #[must_use]
            pub const fn saturating_add(self, n: $inner) -> Self {
                Self(self.0.saturating_add(n))
            }

            /// The value minus `n`, or zero where that would be negative.
            #[must_use]
            pub const fn saturating_sub(self, n: $inner) -> Self {
                Self(self.0.saturating_sub(n))
            }

            /// The value plus one, or the largest value where that does not fit.
            #[must_use]
            pub const fn next(self) -> Self {
                self.saturating_add(1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// The height of a block; the genesis block has height 0.
    BlockNumber(u64)
}
number! {
    /// A view of PBFT within one epoch; views start again at 0 with every epoch.
    View(u64)
}
number! {
    /// The number of a set of members; 0 from the genesis block on, one more with every change of members.
    Epoch(u64)
}
number! {
    /// A group: one chain with its own consensus, data and chain id. The first group is 0.
    GroupId(u32)
}
number! {
    /// Milliseconds, of time since 1970-01-01T00:00:00Z or of duration.
    Millis(u64)
}
number! {
    /// Units of gas, Ethereum's measure of computation.
    Gas(u64)
}

impl Millis {
    /// Whole seconds, rounded down: what contracts see as `block.timestamp`.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The time from `earlier` to `self`, zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// The digest of a [`crate::Proposal`]: what is ordered, before its result is known. It has no view in it.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProposalDigest(pub B256);

impl fmt::Debug for ProposalDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProposalDigest({})", self.0)
    }
}

impl fmt::Display for ProposalDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
