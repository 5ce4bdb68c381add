//! Why a transaction is not taken.

use alloy_primitives::{Address, TxHash, U256};

/// Why a transaction was refused. The messages are geth's where it has one, since clients recognise them by their words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names another chain.
    #[error("invalid chain id: have {found}, want {expected}")]
    ChainId {
        /// The transaction's chain id.
        found: u64,
        /// The group's chain id.
        expected: u64,
    },
    /// Its gas limit is above what one transaction may have (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {found})")]
    GasAboveCap {
        /// The transaction's gas limit.
        found: u64,
        /// The largest gas limit.
        cap: u64,
    },
    /// Its gas limit is above that of a block.
    #[error("exceeds block gas limit: have {found}, block gas limit {limit}")]
    GasAboveBlock {
        /// The transaction's gas limit.
        found: u64,
        /// The block's gas limit.
        limit: u64,
    },
    /// Its gas limit does not even pay for the transaction itself (yellow paper §6.2, EIP-2930, EIP-3860, EIP-7702).
    #[error("intrinsic gas too low: have {found}, want {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        found: u64,
        /// What it needs at least.
        needed: u64,
    },
    /// Its gas limit is below the floor for its data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: have {found}, want {needed}")]
    FloorGas {
        /// The transaction's gas limit.
        found: u64,
        /// What it needs at least.
        needed: u64,
    },
    /// A creation with too much code (EIP-3860).
    #[error("max initcode size exceeded: code size {found}, limit {limit}")]
    InitcodeTooLong {
        /// The length of the code, in bytes.
        found: usize,
        /// The largest length, in bytes.
        limit: usize,
    },
    /// A transaction of type 4 that authorises nobody (EIP-7702).
    #[error("EIP-7702 transaction with empty auth list")]
    NoAuthorizations,
    /// The nonce cannot be raised any more (EIP-2681).
    #[error("nonce has max value: {0}")]
    NonceMax(u64),
    /// The account has used this nonce already.
    #[error("nonce too low: next nonce {next}, tx nonce {found}")]
    NonceTooLow {
        /// The account's nonce.
        next: u64,
        /// The transaction's nonce.
        found: u64,
    },
    /// The nonce is so far ahead that the gap could not be filled in this pool.
    #[error("nonce too high: nonce gap too large: next nonce {next}, tx nonce {found}, at most {ahead_max} ahead")]
    NonceGap {
        /// The account's nonce.
        next: u64,
        /// The transaction's nonce.
        found: u64,
        /// How far ahead it may be.
        ahead_max: u64,
    },
    /// This very transaction is in the pool.
    #[error("already known")]
    AlreadyKnown(TxHash),
    /// This very transaction is final.
    #[error("already known: transaction {0} is final")]
    AlreadyFinal(TxHash),
    /// Another transaction with this nonce waits, and this one's gas price is not higher by a tenth, or the other is in
    /// an open proposal.
    #[error("replacement transaction underpriced: {reason}")]
    Underpriced {
        /// The transaction that stays.
        existing: TxHash,
        /// Why it stays.
        reason: ReplacementReason,
    },
    /// The account cannot pay the value that it sends. Fees do not count: they are never charged.
    #[error("insufficient funds for gas * price + value: address {address} have {balance} want {value}")]
    InsufficientFunds {
        /// The sender.
        address: Address,
        /// Its balance, in wei.
        balance: U256,
        /// The value sent, in wei.
        value: U256,
    },
    /// A contract cannot send transactions (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderIsContract(Address),
    /// The account is frozen (0x2003): the transaction would use its nonce and revert.
    #[error("sender is frozen: {0}")]
    SenderFrozen(Address),
    /// The account has too many transactions in the pool.
    #[error("account limit exceeded: {address} has {limit} pooled transactions, the most that one account may have")]
    AccountFull {
        /// The sender.
        address: Address,
        /// The most that one account may have.
        limit: usize,
    },
    /// The account has too many transactions that wait for a gap to close.
    #[error(
        "account limit exceeded: {address} has {limit} transactions queued behind a nonce gap; send nonce {next} first"
    )]
    AccountQueueFull {
        /// The sender.
        address: Address,
        /// The most that one account may have.
        limit: usize,
        /// The nonce that closes the gap.
        next: u64,
    },
    /// The pool has no room.
    #[error("txpool is full: {transactions} transactions of {bytes} bytes wait; send it again later")]
    Full {
        /// Transactions in the pool.
        transactions: usize,
        /// Their encoded length, in bytes.
        bytes: usize,
    },
    /// The pool has room, but the group has no time for it now. The words are those of a full pool, which clients know.
    #[error(
        "txpool is full: {waiting} transactions are proposed or ready, the first for {waited_ms} ms; send it again later"
    )]
    Behind {
        /// Transactions that are proposed or can be.
        waiting: usize,
        /// How long the first has waited, in milliseconds.
        waited_ms: u64,
    },
    /// A body that no open proposal asks for.
    #[error("transaction {0} is not wanted by an open proposal")]
    NotWanted(TxHash),
    /// The bodies of open proposals exceed what valid proposals can need.
    #[error("bodies of {bytes} bytes exceed what {proposals} open proposals may hold")]
    ProposalsTooLarge {
        /// The bodies' encoded length, in bytes.
        bytes: usize,
        /// Open proposals.
        proposals: usize,
    },
}

/// Why an earlier transaction with the same sender and nonce stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementReason {
    /// The new gas price is too low.
    #[error("new tx gas price {found} < {needed} queued + 10%")]
    Price {
        /// The new transaction's gas price (or fee cap), in wei.
        found: u128,
        /// What it must be at least, in wei.
        needed: u128,
    },
    /// The nonce is promised by an open proposal.
    #[error("the earlier transaction with this nonce is being ordered")]
    Proposed,
}
