//! Re-checking a stopped node's whole ledger: every checksum, hash, signature, root and result, and the view against
//! the log. Nothing is changed.
//!
//! A log that begins with a later block than block 0 is checked from there on: its first blocks but for their execution,
//! then, from the oldest snapshot on, in full.
//!
//! The state of all accounts and its trie are held in memory meanwhile.

mod base;
mod block;
mod heads;
mod view;

use crate::ledger::{LedgerConfig, LedgerError, SnapshotChain, ViewKind, chain_context, log_options, open_for_reading};
use crate::log::{Log, LogError, LogOptions, Tail};
use crate::storage::Storage;
use crate::vote_log;
use alloy_primitives::B256;
use block::Checker;
pub(crate) use block::check_roots;
use lian_crypto::Suite;
use lian_types::{BlockNumber, Genesis, GroupGenesis};
use std::fmt;
use std::sync::Arc;

/// Most problems that are listed; one damage often shows in many places.
const PROBLEMS_MAX: usize = 100;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The block that it concerns, if it is one.
    pub block: Option<BlockNumber>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(f, "block {block}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What was checked and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest block in the log; `None` if there is none.
    pub head: Option<BlockNumber>,
    /// Its hash.
    pub hash: B256,
    /// Its state root.
    pub state_root: B256,
    /// Blocks checked.
    pub blocks: u64,
    /// Transactions checked.
    pub transactions: u64,
    /// Pruned blocks whose header, extension and certificate were checked.
    pub heads: u64,
    /// Snapshots in the ledger's folder that hold.
    pub snapshots: u64,
    /// The block that the view is at; `None` if it is empty.
    pub view: Option<BlockNumber>,
    /// The end of the block log. What a start would cut off is not a problem: it was never acknowledged.
    pub tail: Tail,
    /// What is wrong, in the order found; at most 100.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, block: Option<BlockNumber>, what: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { block, what: what.into() });
        }
    }
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Blocks checked.
    pub blocks: u64,
    /// Blocks in the log.
    pub total: u64,
}

/// Checks the ledger in a folder that no process has open. `progress` is called after each block.
///
/// # Errors
/// [`LedgerError`] if the folder cannot be checked at all: in use, of another chain, without blocks, unreadable.
/// Whatever is wrong with its content is in the [`Report`].
pub fn verify(
    config: &LedgerConfig,
    storage: &Arc<dyn Storage>,
    suite: Suite,
    genesis: &Genesis,
    group: &GroupGenesis,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, LedgerError> {
    let chain = chain_context(suite, genesis, group);
    let options = log_options(config);
    let _lock = open_for_reading(&**storage, &config.folder, &options.folder, suite, &chain)?;
    let mut report = Report {
        head: None,
        hash: B256::ZERO,
        state_root: B256::ZERO,
        blocks: 0,
        transactions: 0,
        heads: 0,
        snapshots: 0,
        view: None,
        tail: Tail::Fresh,
        problems: Vec::new(),
    };
    let history = LogOptions { folder: config.folder.join("history"), purpose: *b"history\0", ..options.clone() };
    for (name, options) in [("past states", history), ("votes", vote_log::options(&config.folder))] {
        check_log(storage, options, name, &mut report)?;
    }
    let log = match Log::open_read_only(Arc::clone(storage), options) {
        Ok((log, tail)) => {
            report.tail = tail;
            if let Some(archive) = &config.archive {
                log.attach_archive(archive)?;
            }
            Arc::new(log)
        }
        Err(error @ LogError::Damaged { .. }) => {
            report.add(None, error.to_string());
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    let view = match &config.view {
        ViewKind::Memory(view) => Ok(Some(Arc::clone(view) as Arc<dyn crate::View>)),
        // A backup has none: the next start builds it.
        ViewKind::Disk if !config.folder.join("view").exists() => Ok(None),
        ViewKind::Disk => crate::FjallView::open_existing(&config.folder.join("view"))
            .map(|view| Some(Arc::new(view) as Arc<dyn crate::View>)),
    };
    if let Err(error) = &view {
        report.add(None, error.to_string());
    }
    let whole = SnapshotChain { suite, genesis, group };
    let mut base = base::find(whole, storage, &config.folder, &log, &mut report)?;
    heads::check(whole, storage, &config.folder, log.first_sequence(), base.as_mut(), &mut report)?;
    let mut checker = Checker::new(suite, chain, genesis, group, base, view.ok().flatten())?;
    checker.run(&log, &mut report, progress)?;
    Ok(report)
}

/// Checks the checksums of a log whose content cannot be checked further.
fn check_log(
    storage: &Arc<dyn Storage>,
    options: LogOptions,
    name: &str,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let check = || -> Result<(), LogError> {
        let (log, _) = Log::open_read_only(Arc::clone(storage), options)?;
        let mut cursor = Arc::new(log).cursor();
        while cursor.next()?.is_some() {}
        Ok(())
    };
    match check() {
        Ok(()) => Ok(()),
        Err(error @ LogError::Damaged { .. }) => {
            report.add(None, format!("{name}: {error}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
