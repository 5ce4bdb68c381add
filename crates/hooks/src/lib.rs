//! Event hooks: a contract's event calls an institution's HTTP service.
//!
//! A hook is about one contract. It tells that contract's events to one URL, one after the other in the order of the
//! chain, each as a signed request by [Standard Webhooks](https://www.standardwebhooks.com), and the next only after the
//! one before was taken. What was told stands in a cursor on disk.
//!
//! Invariants of this crate:
//! - an event is told at least once, and for the first time only after all events before it;
//! - the cursor never stands behind an event that was not taken;
//! - nothing is passed over in silence: a hook that cannot know what was in a block ends and says so;
//! - a hook only reads the ledger, in a task of its own: whatever its service does, the chain and other hooks go on.
//!
//! [`Hook`] is one that was configured and found in order, [`Schedule`] says what it does next, as a machine without I/O,
//! and [`Hooks`] are those at work.

mod client;
mod cursor;
mod driver;
mod events;
mod hook;
mod message;
mod schedule;
mod section;
mod signature;

pub use client::{ClientError, DeliveryError};
pub use cursor::{Cursor, CursorError, CursorFile};
pub use driver::{Chain, Hooks};
pub use events::{EventError, Events};
pub use hook::{Fault, Hook, HookError, open};
pub use message::Message;
pub use schedule::{Action, End, Input, Notice, Scan, Schedule, Step};
pub use section::{HookSection, Start};
pub use signature::{SecretError, Secrets};
