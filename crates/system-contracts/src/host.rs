//! What surrounds a running system contract.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolError;
use lian_crypto::Suite;

/// A call of a system contract.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Who calls: never whoever signed the transaction, unless it calls directly.
    pub caller: Address,
    /// Coins sent along, in wei.
    pub value: U256,
    /// Selector and arguments.
    pub input: &'a [u8],
    /// Whether nothing may be changed (`STATICCALL`).
    pub is_static: bool,
    /// The chain's algorithms.
    pub suite: Suite,
    /// The height of the block that is being made.
    pub block: u64,
}

/// The state and the meter of a call. Every operation is charged as the EVM charges its own of the same kind, before it
/// happens.
pub trait Host {
    /// Reads a slot of a system contract.
    ///
    /// # Errors
    /// [`Halt`].
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt>;

    /// Writes a slot of the contract that is called.
    ///
    /// # Errors
    /// [`Halt`].
    fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt>;

    /// Emits an event of the contract that is called.
    ///
    /// # Errors
    /// [`Halt`].
    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), Halt>;

    /// Charges gas for work that is none of the above.
    ///
    /// # Errors
    /// [`Halt::OutOfGas`].
    fn charge(&mut self, gas: u64) -> Result<(), Halt>;
}

/// The call ends here and all its gas is gone, or the node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The gas is used up.
    #[error("out of gas")]
    OutOfGas,
    /// A static call tried to change something.
    #[error("state change in a static call")]
    Static,
    /// State cannot be read: never the call's fault, so the block cannot be made.
    #[error("state cannot be read: {0}")]
    State(String),
}

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It reverts with a Solidity error; the rest of the gas goes back.
    Revert(Bytes),
    /// It halts.
    Halt(Halt),
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl Failure {
    /// Reverts with a typed error.
    #[must_use]
    pub fn revert(error: &impl SolError) -> Self {
        Self::Revert(error.abi_encode().into())
    }
}
