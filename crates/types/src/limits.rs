//! Every bound of the system, in one place. A bound names its unit last and says where its number comes from.

/// Largest encoded transaction, in bytes. geth refuses larger ones from its pool too (`txMaxSize`, 4 × 32 KiB).
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;

/// Most transactions in one proposal. At 6 µs an execution a full block takes 60 ms, well below a view timeout.
pub const PROPOSAL_TRANSACTIONS_MAX: usize = 10_000;

/// Largest sum of encoded transactions in one proposal, in bytes: 8 MiB cross a 1 Gbit/s link in 70 ms.
pub const PROPOSAL_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most members of one group. A few dozen institutions run one network; 128 leaves room and bounds every bitmap.
pub const MEMBERS_MAX: usize = 128;

/// Largest frame between nodes, in bytes: the largest proposal body with room for framing and certificates.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Heights that may be open at once (pbft §0: W), and the largest value that genesis may choose.
pub const WINDOW_DEFAULT: u64 = 8;
/// The largest window that genesis may choose; memory for open heights grows with it.
pub const WINDOW_MAX: u64 = 64;

/// Farthest ahead of a node's own clock that a proposal's time may be, in milliseconds.
/// Larger than any clock skew that NTP leaves, smaller than what a contract's deadline could notice.
pub const PROPOSAL_AHEAD_MS_MAX: u64 = 5_000;
/// Farthest behind a node's own clock that a first-time proposal's time may be, in milliseconds.
pub const PROPOSAL_BEHIND_MS_MAX: u64 = 30_000;

/// Default gas limit of a block, in units of gas: ten thousand token transfers of about 50,000 gas fit with room to spare.
pub const BLOCK_GAS_LIMIT_DEFAULT: u64 = 1_000_000_000;

/// Gas limit of one transaction, in units of gas (EIP-7825, Osaka: 2^24).
pub const TRANSACTION_GAS_LIMIT_MAX: u64 = 1 << 24;

/// Blocks whose states answer calls, traces and proofs by default.
pub const HISTORY_BLOCKS_DEFAULT: u64 = 1_024;
