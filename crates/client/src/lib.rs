//! A client of a Lian node: what the command line's verbs and other programs use.
//!
//! Invariants of this crate:
//! - it speaks only Ethereum's and Lian's JSON-RPC, so every verb works against any node that serves these;
//! - a secret key never appears in an error, a log line or `Debug` output;
//! - nothing is sent before every argument was checked.
//!
//! Main types: [`RpcClient`], [`Sender`], [`FunctionCall`], [`Artifact`], [`AccountStore`].

mod account_store;
mod artifact;
mod function_call;
mod rpc_client;
mod sender;
mod table;

pub use account_store::{AccountStore, AccountStoreError, development_account, random_account};
pub use artifact::{Artifact, ArtifactError};
pub use function_call::{FunctionCall, FunctionCallError, encode_constructor, selector};
pub use rpc_client::{ClientError, RpcClient};
pub use sender::{SendRequest, Sender};
pub use table::Table;
