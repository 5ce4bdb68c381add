//! What nodes tell each other of themselves, for people to read. Nothing is decided by it.

use super::{Core, Effect, GroupMessage, Recipient};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_types::{BlockNumber, ConsensusKey, DecodeError, Millis, View, decode_exact, read_text};

/// The largest report in bytes: its numbers and an address of 200 characters.
const REPORT_BYTES_MAX: usize = 256;
/// How often a node reports at most, in milliseconds: twice as often as a person looks.
const REPORT_MS: u64 = 1_000;

/// What a node tells the others of itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NodeReport {
    /// Its final height.
    pub height: BlockNumber,
    /// Its view.
    pub view: View,
    /// How many other nodes are connected to it.
    pub peers: u32,
    /// Transactions of its pool that could be proposed.
    pub pending: u32,
    /// The address of its JSON-RPC, printable ASCII; empty where it does not publish one.
    #[borsh(deserialize_with = "read_text::<_, REPORT_BYTES_MAX>")]
    pub rpc: String,
}

impl NodeReport {
    /// Reads a report that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else, and for an address with other characters than an address has.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let report: Self = decode_exact("report", bytes, REPORT_BYTES_MAX)?;
        if report.rpc.bytes().any(|byte| !byte.is_ascii_graphic()) {
            let reason = format!("the address {:?} is not printable", report.rpc);
            return Err(DecodeError::Malformed { what: "report", reason });
        }
        Ok(report)
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REPORT_BYTES_MAX);
        // Writing to a vector fails only when memory does, which ends the process anyway.
        let written = self.serialize(&mut bytes);
        debug_assert!(written.is_ok());
        bytes
    }
}

/// A peer's last report.
#[derive(Clone, Debug)]
pub struct PeerReport {
    /// What it said.
    pub report: NodeReport,
    /// How many blocks it was behind the highest height known here when it said so.
    pub lag: u64,
    /// When it reported.
    pub at: Millis,
}

/// When this node reports.
#[derive(Default)]
pub(super) struct Reporting {
    /// What the others know.
    last: Option<NodeReport>,
    /// Not before this time.
    not_before: Millis,
}

impl Core {
    pub(super) fn on_report(&mut self, now: Millis, from: ConsensusKey, report: NodeReport) {
        let lag = self.best_height().0.saturating_sub(report.height.0);
        self.reports.insert(from, PeerReport { report, lag, at: now });
    }

    /// The highest final height known here: this node's own, or one that a peer reported.
    #[must_use]
    pub fn best_height(&self) -> BlockNumber {
        let reported = self.reports.values().map(|peer| peer.report.height).max().unwrap_or_default();
        reported.max(self.machine.status().height)
    }

    /// A new peer knows nothing yet, so everybody is told again.
    pub(super) fn report_again(&mut self) {
        self.reporting.last = None;
    }

    pub(super) fn report_deadline(&self) -> Option<Millis> {
        let is_news = !self.connected.is_empty() && self.reporting.last.as_ref() != Some(&self.own_report());
        is_news.then_some(self.reporting.not_before)
    }

    pub(super) fn send_report(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.report_deadline().is_none_or(|due| due > now) {
            return;
        }
        let report = self.own_report();
        self.reporting = Reporting { last: Some(report.clone()), not_before: now.saturating_add(REPORT_MS) };
        effects.push(Effect::Send { to: Recipient::All, message: GroupMessage::Report(report) });
    }

    fn own_report(&self) -> NodeReport {
        let pbft = self.machine.status();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        NodeReport {
            height: pbft.height,
            view: pbft.view,
            peers: count(self.connected.len()),
            pending: count(self.pool_counts().pending),
            rpc: self.config.rpc.clone(),
        }
    }
}
