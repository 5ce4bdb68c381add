//! Why a proposed transaction is not in its block.

use alloy_primitives::U256;
use revm::context_interface::result::InvalidTransaction;

/// Why a transaction cannot run here and now. It changes nothing, and its sender's nonce stays.
///
/// Every node comes to the same reason from the same state, so that a block's list of skipped transactions is part of
/// what is agreed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// The sender has sent a transaction with this nonce already.
    #[error("nonce too low: next nonce {state}, tx nonce {transaction}")]
    NonceTooLow {
        /// The transaction's nonce.
        transaction: u64,
        /// The nonce that the sender's next transaction must have.
        state: u64,
    },
    /// Transactions of the sender before this one are missing.
    #[error("nonce too high: next nonce {state}, tx nonce {transaction}")]
    NonceTooHigh {
        /// The transaction's nonce.
        transaction: u64,
        /// The nonce that the sender's next transaction must have.
        state: u64,
    },
    /// The nonce is the largest number there is (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// What is left of the block's gas limit is less than the transaction's gas limit.
    #[error("gas limit reached: {left} left in the block, tx gas limit {limit}")]
    BlockGasLimit {
        /// The transaction's gas limit, in units of gas.
        limit: u64,
        /// What is left in the block, in units of gas.
        left: u64,
    },
    /// The gas limit is above the largest that any transaction may have (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {limit})")]
    GasLimitAboveCap {
        /// The transaction's gas limit, in units of gas.
        limit: u64,
        /// The cap, in units of gas.
        cap: u64,
    },
    /// The gas limit does not pay for what every such transaction costs.
    #[error("intrinsic gas too low: gas {limit}, minimum needed {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit, in units of gas.
        limit: u64,
        /// What it needs before it begins, in units of gas.
        needed: u64,
    },
    /// The gas limit is below the price of the calldata (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {limit}, minimum needed {needed}")]
    FloorGas {
        /// The transaction's gas limit, in units of gas.
        limit: u64,
        /// The price of its calldata, in units of gas.
        needed: u64,
    },
    /// The sender does not own what the transaction would cost: on Lian's chains, the value that it moves.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {needed}")]
    InsufficientFunds {
        /// The sender's balance, in wei.
        balance: U256,
        /// What it would need, in wei.
        needed: U256,
    },
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa")]
    SenderHasCode,
    /// The creation code is too long (EIP-3860).
    #[error("max initcode size exceeded")]
    InitCodeSize,
    /// It was made for another chain.
    #[error("invalid chain id for signer")]
    ChainId,
    /// A type-4 transaction without any authorization (EIP-7702).
    #[error("EIP-7702 transaction with empty auth list")]
    EmptyAuthorizations,
    /// A rule that cannot be broken on Lian's chains, which have fees and forks of one kind only.
    #[error("{0}")]
    Other(String),
}

impl From<InvalidTransaction> for SkipReason {
    fn from(reason: InvalidTransaction) -> Self {
        match reason {
            InvalidTransaction::NonceTooLow { tx, state } => Self::NonceTooLow { transaction: tx, state },
            InvalidTransaction::NonceTooHigh { tx, state } => Self::NonceTooHigh { transaction: tx, state },
            InvalidTransaction::NonceOverflowInTransaction => Self::NonceMax,
            InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
                Self::GasLimitAboveCap { limit: gas_limit, cap }
            }
            InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::IntrinsicGas { limit: gas_limit, needed: initial_gas }
            }
            InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::FloorGas { limit: gas_limit, needed: gas_floor }
            }
            InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
                Self::InsufficientFunds { balance: *balance, needed: *fee }
            }
            InvalidTransaction::RejectCallerWithCode => Self::SenderHasCode,
            InvalidTransaction::CreateInitCodeSizeLimit => Self::InitCodeSize,
            InvalidTransaction::InvalidChainId | InvalidTransaction::MissingChainId => Self::ChainId,
            InvalidTransaction::EmptyAuthorizationList => Self::EmptyAuthorizations,
            other => Self::Other(other.to_string()),
        }
    }
}
