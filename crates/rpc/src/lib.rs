//! JSON-RPC for Ethereum's clients, over HTTP and WebSocket on one port.
//!
//! Invariants of this crate:
//! - it decides nothing: it reads the ledger and the pool, and passes transactions on;
//! - whatever a client sends is answered or refused with a code and a message, and every queue, list and duration that a
//!   client could grow has a bound in [`RpcLimits`];
//! - threads that serve sockets never execute contracts and never read a disk; `workers` do that;
//! - wire formats live here and nowhere below: the rest of Lian knows no JSON.
//!
//! The way of a request: `front` (connection, origin, path, time) → `gate` (method, rights) → `methods` (parameters,
//! work) → `convert` (JSON). Main types: [`RpcServer`], [`RpcConfig`], [`RpcLimits`].

mod block_id;
mod caller;
mod chain;
mod convert;
mod criteria;
mod error;
mod evm;
mod filters;
mod front;
mod gate;
mod limits;
mod methods;
mod origin;
mod parameters;
mod quantity;
mod registry;
mod routes;
mod server;
mod workers;

pub use error::{CallError, RpcError};
pub use limits::RpcLimits;
pub use origin::Origins;
#[doc(hidden)]
pub use parameters::read_as_everything;
pub use server::{RpcConfig, RpcServer, RpcServerHandle};
