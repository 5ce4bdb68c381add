//! What transactions do: the EVM over a chain's state.
//!
//! Invariants of this crate:
//! - it does no I/O, reads no clock and knows no network: state comes in through [`StateReader`], changes go out as
//!   [`StateChanges`];
//! - the same rules, state and transactions give the same result on every node, byte for byte;
//! - a transaction that is invalid where it stands is skipped with a [`SkipReason`] and changes nothing; only a state
//!   that cannot be read stops a block;
//! - fees are neither charged nor checked on Lian's chains ([`Fees::Free`]): prices are zero, the proposer earns
//!   nothing, and only the value that a transaction moves must be owned.
//!
//! Main functions: [`execute_proposal`], [`genesis_block`], [`execute_transactions`].

mod authorities;
mod call;
mod database;
mod evm;
mod gate;
mod genesis;
mod governance;
mod history;
mod parallel;
mod proposal;
mod replay;
mod rules;
mod serial;
mod simulate;
mod skip;
mod state;
pub mod statetest;
mod system;
mod threads;
mod trace;
mod transaction;

pub use authorities::{authorities, authorities_version};
pub use call::{
    CallError, CallOutcome, CallResult, CallSite, EstimateError, ExplainedVerdict, OverrideError, Overrides,
    RequestError, access_list, call, estimate_gas, explain_permission, halt_message,
};
pub use gate::{Question, Verdict, is_frozen_sender};
pub use genesis::{GenesisBlockError, genesis_block};
pub use governance::{Governance, GovernanceError, members_at, schedule};
pub use parallel::execute_transactions_parallel;
pub use proposal::{ExecutedBlock, Parent, execute_proposal, transactions_root};
pub use replay::execute_block;
pub use revm::context_interface::result::{HaltReason, OutOfGasError};
pub use revm::primitives::hardfork::SpecId;
pub use rules::{BlockEnvironment, Fees, Rules};
pub use serial::{ExecutionError, Outcome, execute_transactions};
pub use simulate::{SimulateError, SimulatedBlock, SimulationSite, simulate};
pub use skip::SkipReason;
pub use state::{
    AccountChange, AccountState, LayeredState, MemoryAccount, MemoryState, StateChanges, StateError, StateReader,
};
pub use threads::Threads;
pub use trace::{BlockTrace, TraceError, trace_block, trace_call, trace_transaction};
