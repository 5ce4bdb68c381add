//! Bounds of this crate's own memory and messages; those shared with other crates stand in [`lian_types::limits`].

use lian_types::limits::WINDOW_MAX;

/// Most prepare certificates in a view-change: one for each height that can be open.
#[allow(clippy::cast_possible_truncation)] // 64 fits everywhere.
pub const PREPARED_MAX: usize = WINDOW_MAX as usize;

/// Most proposals in a new-view: the open heights and one that proves a cut.
pub const PROPOSALS_MAX: usize = PREPARED_MAX.saturating_add(1);

/// How many votes of different views are kept for each (height, phase, member): the current view's, those of a view
/// change under way and one of the view before. A member that floods views pushes out its own votes only.
pub const VIEWS_PER_SIGNER_MAX: usize = 4;

/// How many windows ahead of the final height messages are kept: a member that lags by one window misses nothing.
pub const WINDOWS_BUFFERED: u64 = 2;

/// How many windows of certificates below the final height are kept for members that lag a little; those that lag
/// more catch up by `sync`.
pub const CERTIFICATE_WINDOWS_KEPT: u64 = 2;

/// Empty blocks for a recovering voter, in windows beyond the first one asked for: as many as §3 makes it wait, and
/// one for what was open. Members that ask for more are ignored until the chain has grown.
pub const RECOVERY_WINDOWS_MAX: u64 = 3;

/// After how many further heights a member may ask for empty blocks again.
pub const RECOVERY_RENEWAL_HEIGHTS: u64 = 1_024;
