//! The ledger as a whole: crashes, damage, recovery, past states, verification.

mod chain;
mod crash;
mod ledger;
mod log;
mod verify;
mod votes;
