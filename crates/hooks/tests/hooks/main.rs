//! Hooks against services that fail and machines that crash.
#![allow(clippy::unwrap_used, clippy::panic)] // This crate is tests only.

mod crashes;
