//! Bounds of this crate's own memory and messages; those shared with other crates stand in [`lian_types::limits`].

use lian_types::limits::{MEMBERS_MAX, WINDOW_MAX};

/// Most entries in one append: more than a leader ever has open, with the changes of members between them.
#[allow(clippy::cast_possible_truncation)] // 64 fits everywhere.
pub const APPEND_ENTRIES_MAX: usize = 4 * WINDOW_MAX as usize;

/// The largest append in bytes, beside a single entry that is larger: so many hashes fill a frame to a sixteenth.
pub const APPEND_BYTES_MAX: u64 = 1024 * 1024;

/// Appends under way to one member: two windows, so that a slow answer does not stop a fast leader.
pub const APPENDS_IN_FLIGHT_MAX: usize = 128;

/// Appends that wait for the bodies of their proposals. The leader repeats what is dropped here.
pub const HELD_APPENDS_MAX: usize = 64;

/// Most nodes in a configuration: the members, those that are to come, and those that are to go.
pub const CONFIGURATION_MAX: usize = 3 * MEMBERS_MAX;

/// Windows of entries that are kept below the final height for members that lag a little. Those that lag more get the
/// log's base, and its blocks by `sync`.
pub const WINDOWS_KEPT: u64 = 2;

/// Windows above the final height whose votes and certificates are kept.
pub const WINDOWS_AHEAD: u64 = 2;

/// Heights of certificates below the final one that are kept for members that ask with an old vote.
pub const CERTIFICATES_KEPT: u64 = 64;

/// Milliseconds between repetitions of votes that are not final yet.
pub const RESEND_MS: u64 = 400;

/// How many entries a learner may lack when it becomes a voter: so few that it has them within a round or two.
pub const LEARNER_LAG_MAX: u64 = 16;
