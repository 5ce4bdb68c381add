//! Lian's blocks, transactions and receipts in the form of Ethereum's JSON-RPC.

mod block;
mod receipt;
mod transaction;

pub(crate) use block::{block_bytes, rpc_block, rpc_header};
pub(crate) use receipt::{block_logs, block_receipts, one_receipt};
pub(crate) use transaction::{Place, rpc_transaction};

/// What everybody pays for a unit of gas here. Fees are neither charged nor checked, and saying so by the number zero is
/// what makes every wallet show a cost of zero.
pub(crate) const GAS_PRICE: u128 = 0;
