//! Divergence and what follows (pbft §7): the evidence that a node leaves when it stops, what keeps it from starting again,
//! and what operators do then.

mod chain;
mod evidence;
mod file;
mod operator;

pub use chain::{Chain, has_never_run};
pub use evidence::{
    CertificateText, Difference, DivergedState, DivergedTransaction, Evidence, Kind, KnownResult, Own, Ran, Written,
};
pub use file::{FileError, plan_from_json, plan_to_json, report_from_json, report_to_json};
pub use operator::{Applied, Operator, RecoverError};

use crate::{core::DurableRecord, node::StartError};
use lian_executor::ExecutedBlock;
use lian_ledger::{Storage, StorageError, read_whole, write_whole};
use lian_pbft::{Record, Standing};
use lian_types::{BlockNumber, Epoch};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The evidence of a divergence that nobody has dealt with, in the group's folder.
const FILE: &str = "divergence.json";
/// Evidence of one height that is kept at most; divergences of one height beyond that replace the last.
const KEPT_MAX: u32 = 99;

/// Where a group's evidence lies.
#[derive(Clone)]
pub struct EvidenceFiles {
    storage: Arc<dyn Storage>,
    folder: PathBuf,
}

impl EvidenceFiles {
    /// The files in a group's folder.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, folder: &Path) -> Self {
        Self { storage, folder: folder.to_owned() }
    }

    /// The evidence that keeps the node from starting.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Writes evidence down, durably. What is there already stays: the first divergence is the one to look at.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn write(&self, evidence: &Evidence) -> Result<(), StorageError> {
        let path = self.path();
        if read_whole(self.storage.as_ref(), &path)?.is_some() {
            return Ok(());
        }
        write_whole(self.storage.as_ref(), &path, &to_json(evidence))
    }

    /// The evidence that keeps the node from starting, if there is some.
    ///
    /// # Errors
    /// [`RecoverError::Evidence`] where it is not readable.
    pub fn read(&self) -> Result<Option<Evidence>, RecoverError> {
        let path = self.path();
        let Some(bytes) = read_whole(self.storage.as_ref(), &path)? else { return Ok(None) };
        #[derive(serde::Deserialize)]
        struct Versioned {
            version: u32,
        }
        let evidence = || {
            // First the version: the rest may look different in another one.
            let Versioned { version } = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            if version != Evidence::VERSION {
                return Err(format!("its form is version {version}, this program knows {}", Evidence::VERSION));
            }
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        };
        evidence().map(Some).map_err(|reason| RecoverError::Evidence { path, reason })
    }

    /// Renames the evidence, so that the node starts again; it stays as `divergence-HEIGHT-resolved.json`.
    pub(super) fn resolve(&self, height: BlockNumber) -> Result<(), StorageError> {
        let names = self.storage.list(&self.folder)?;
        let name = |number: u32| match number {
            1 => format!("divergence-{height}-resolved.json"),
            more => format!("divergence-{height}-resolved-{more}.json"),
        };
        let free = (1..KEPT_MAX).find(|number| !names.contains(&name(*number)));
        self.storage.rename(&self.path(), &self.folder.join(name(free.unwrap_or(KEPT_MAX))))
    }

    /// Refuses to start a node that has stopped for a divergence, or that has reported for a retry whose plan is missing.
    ///
    /// # Errors
    /// [`StartError::Diverged`] and [`StartError::Reported`], with what to do.
    pub fn check_start(&self, records: &[DurableRecord], epoch: Epoch) -> Result<(), StartError> {
        let path = self.path();
        match self.read() {
            Ok(None) => {}
            Ok(Some(evidence)) => {
                let advice = advice(evidence.kind);
                return Err(StartError::Diverged { path, summary: evidence.summary(), advice });
            }
            Err(error) => {
                let advice = "move it away once the cause is known";
                return Err(StartError::Diverged { path, summary: error.to_string(), advice });
            }
        }
        let records: Vec<Record> = records.iter().filter_map(|durable| durable.record.clone().into_pbft()).collect();
        match Standing::of(&records, epoch).reported {
            Some((height, attempt)) => Err(StartError::Reported { height, attempt }),
            None => Ok(()),
        }
    }

    /// Resolved evidence of heights that are not final yet, which can be completed when they are.
    #[must_use]
    pub fn unexplained(&self, head: BlockNumber) -> Unexplained {
        let names = self.storage.list(&self.folder).unwrap_or_default();
        let resolved = |name: &&String| name.starts_with("divergence-") && name.ends_with(".json");
        let read = |name: &String| {
            let path = self.folder.join(name);
            let bytes = read_whole(self.storage.as_ref(), &path).ok()??;
            let evidence: Evidence = serde_json::from_slice(&bytes).ok()?;
            let open = evidence.height > head && evidence.own.is_some() && evidence.difference.is_none();
            open.then_some((path, evidence))
        };
        let waiting = names.iter().filter(resolved).filter_map(read).collect();
        Unexplained { storage: Arc::clone(&self.storage), waiting }
    }
}

/// Evidence that waits for the block that becomes final at its height.
pub struct Unexplained {
    storage: Arc<dyn Storage>,
    waiting: Vec<(PathBuf, Evidence)>,
}

impl Unexplained {
    /// A block is about to be final: completes the evidence of its height. Returns the files written. What cannot be
    /// written is left out: nothing depends on it.
    pub fn explain(&mut self, executed: &ExecutedBlock) -> Vec<PathBuf> {
        let height = executed.block.header.number;
        let mut written = Vec::new();
        for (path, evidence) in &mut self.waiting {
            if evidence.height.0 == height && evidence.proposal == executed.digest {
                evidence.explain(executed);
                match write_whole(self.storage.as_ref(), path, &to_json(evidence)) {
                    Ok(()) => written.push(path.clone()),
                    Err(error) => tracing::warn!(%error, "evidence of a divergence cannot be completed"),
                }
            }
        }
        self.waiting.retain(|(_, evidence)| evidence.height.0 > height);
        written
    }
}

/// What a node that stops says: what happened, and where it is written down.
#[must_use]
pub fn stop_reason(evidence: &Evidence, written: Result<PathBuf, &StorageError>) -> String {
    let summary = evidence.summary();
    match written {
        Ok(path) => {
            format!("results diverge: {summary}; the evidence is in {}; {}", path.display(), advice(evidence.kind))
        }
        Err(error) => format!("results diverge: {summary}; the evidence could not be written: {error}"),
    }
}

/// What to do after a divergence.
const fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Result | Kind::Execution => "remove the cause, then run `lian recover clear`",
        Kind::NoQuorum => "remove the cause, then run `lian recover report`, `plan` and `apply`",
        Kind::Order => "more than f members are faulty, which `lian recover` cannot mend",
    }
}

fn to_json(evidence: &Evidence) -> Vec<u8> {
    // Numbers, texts and lists of them always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(evidence).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
