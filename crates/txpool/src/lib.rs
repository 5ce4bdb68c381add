//! The transactions that wait to be ordered, and how they travel between members.
//!
//! Invariants of this crate:
//! - pure: no clock, no randomness, no I/O, no threads; hash maps are only looked up in, never walked, except to answer
//!   a query, where the result is sorted;
//! - a transaction that [`Pool::select`] returns continues its account's nonces: every nonce between the account's and
//!   its own is pooled or promised by an open proposal, and its own nonce is not promised;
//! - a body that an open proposal names is never forgotten, so that the proposal can always be executed;
//! - everything is bounded by [`PoolConfig`] and [`lian_types::limits`]; what does not fit is refused with the reason.
//!
//! Main types: [`Pool`], [`Refusal`], [`check_static`], [`Gossip`], [`PoolMessage`].

mod account;
mod gossip;
mod message;
mod pool;
mod queues;
mod refusal;
mod static_rules;

pub use gossip::Gossip;
pub use message::{Body, PoolMessage};
pub use pool::{
    AccountView, Admitted, Counts, DropReason, Dropped, Finality, Pool, PoolConfig, PoolContent, SelectLimits, Skip,
};
pub use queues::{Origin, Standing};
pub use refusal::Refusal;
pub use static_rules::{Limits, check_static, floor_gas, intrinsic_gas};

#[cfg(test)]
mod tests;
