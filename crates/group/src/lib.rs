//! One chain on one node: consensus, pool, execution, ledger and network joined.
//!
//! Invariants of this crate:
//! - [`Core`] is pure: it reads no clock, disk or socket and starts no thread; the simulator runs the very same code;
//! - what stands behind a durable record in the core's effects leaves the node only when that record is on disk;
//! - clients hear of a block only when it is on disk;
//! - whatever cannot be made certain (a failed fsync, a diverging result, an unreadable state) stops the node through
//!   [`StopSignal`], with the reason.
//!
//! Main types: [`start`] and [`Node`] for programs, [`GroupHandle`] for servers, [`Core`] for the simulator.

mod clock;
pub mod core;
mod driver;
pub mod execution;
pub mod finality;
mod flow;
mod handle;
mod identity;
mod known_members;
mod node;
pub mod recovery;
mod status;
mod stop;
mod workers;

pub use self::core::Core;
pub use clock::SteadyClock;
pub use driver::{
    VOTE_LOG_RENEWAL, account_view, check_blocks, condition_of, decode_record, encode_live_record, encode_record,
    start_of,
};
pub use flow::{BLOCK_FLOWS_MAX, BlockFlow, FlowRecorder, TRANSACTION_FLOWS_MAX, TransactionFlow};
pub use handle::{ChainInfo, GroupEvent, GroupHandle, SubmitError};
pub use identity::{Identity, IdentityCertificate, KnownAuthority};
pub use known_members::{KnownMembers, SharedMembers, committees_of};
pub use node::{DataPolicy, Node, NodeSetup, StartError, note_new_key, start};
pub use status::{GroupStatus, PeerStatus, Role};
pub use stop::{StopReason, StopSignal};
