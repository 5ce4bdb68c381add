//! What surrounds a running system contract.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolError, SolEvent};
use lian_crypto::Suite;

/// Gas of [`Host::credit`], in units of gas: between what the EVM takes for changing a slot (5,000) and for a new one
/// (22,100), and a batch of payments fits a transaction.
pub const CREDIT_GAS: u64 = 10_000;

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
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// The version of the protocol that acts in it.
    pub protocol: u64,
}

/// The state and the meter of a call. Every operation is charged as the EVM charges its own of the same kind, before it
/// happens.
pub trait Host {
    /// Reads a slot of a system contract.
    ///
    /// # Errors
    /// [`Halt`].
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt>;

    /// Writes a slot of the contract that is called, or entered last.
    ///
    /// # Errors
    /// [`Halt`].
    fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt>;

    /// Adds an amount to a slot of the contract that is called. The contract does not learn what stands there: neither is
    /// it told, nor does the price depend on it, which is [`CREDIT_GAS`] always, without refund. So two transactions that
    /// credit one slot do not depend on each other, and the order in which they do so makes no difference.
    ///
    /// It is the hook for executing such transactions in parallel: a host may record the amount alone and add it up when the
    /// results are put together. In the same transaction, the slot then counts as accessed, and [`Self::load`] gives the sum.
    ///
    /// Who credits sees to it that the sum fits 256 bits, whatever else may be credited.
    ///
    /// # Errors
    /// [`Halt`]; [`Halt::State`] where the sum does not fit, which only a broken state can bring about.
    fn credit(&mut self, slot: U256, amount: U256) -> Result<(), Halt>;

    /// Emits an event of the contract that is called, or entered last.
    ///
    /// # Errors
    /// [`Halt`].
    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), Halt>;

    /// Charges gas for work that is none of the above.
    ///
    /// # Errors
    /// [`Halt::OutOfGas`].
    fn charge(&mut self, gas: u64) -> Result<(), Halt>;

    /// The code of an account; nothing where there is none.
    ///
    /// # Errors
    /// [`Halt`].
    fn code(&mut self, account: Address) -> Result<Bytes, Halt>;

    /// Makes an account a contract with this code, whatever coins it has. False where it is a contract already, or has sent
    /// transactions.
    ///
    /// # Errors
    /// [`Halt`].
    fn create(&mut self, account: Address, code: Bytes) -> Result<bool, Halt>;

    /// One system contract calls another: from now on it is this one's storage and events. [`within`] sees to it that it is
    /// left again.
    fn enter(&mut self, contract: Address);

    /// Goes back to the contract before, and undoes all that was stored, emitted and refunded since unless it is kept.
    fn leave(&mut self, is_kept: bool);
}

/// Does something as another system contract, which is undone where it fails.
pub(crate) fn within<T, E>(
    host: &mut dyn Host,
    contract: Address,
    part: impl FnOnce(&mut dyn Host) -> Result<T, E>,
) -> Result<T, E> {
    host.enter(contract);
    let outcome = part(host);
    host.leave(outcome.is_ok());
    outcome
}

/// Emits a contract's event.
pub(crate) fn emit(host: &mut dyn Host, event: &impl SolEvent) -> Result<(), Failure> {
    let data = event.encode_log_data();
    host.log(data.topics().to_vec(), data.data.clone())?;
    Ok(())
}

/// The sum of a slot's value and what is credited to it.
///
/// # Errors
/// [`Halt::State`] where it does not fit 256 bits.
pub fn credited(slot: U256, value: U256, amount: U256) -> Result<U256, Halt> {
    let overflow = || Halt::State(format!("a credit of {amount} to slot {slot:#x} with {value} does not fit 256 bits"));
    value.checked_add(amount).ok_or_else(overflow)
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
