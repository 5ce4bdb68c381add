//! What the nodes of a group send each other, and its bytes.

use super::report::NodeReport;
use lian_network::Class;
use lian_pbft::Message;
use lian_sync::{SnapshotMessage, SyncMessage};
use lian_txpool::PoolMessage;
use lian_types::{DecodeError, limits};

/// A message between nodes, by rising size and falling urgency.
#[derive(Clone, Debug)]
pub enum GroupMessage {
    /// Consensus by PBFT.
    Consensus(Message),
    /// Consensus by Raft.
    Raft(lian_raft::Message),
    /// Transactions.
    Pool(PoolMessage),
    /// Catch-up.
    Sync(SyncMessage),
    /// What a node tells of itself.
    Report(NodeReport),
    /// Snapshots, for nodes without blocks. The core has no part in them.
    Snapshot(SnapshotMessage),
}

/// The first byte of a message of [`Class::Sync`].
const SYNC: u8 = 0;
const REPORT: u8 = 1;
const SNAPSHOT: u8 = 2;

impl GroupMessage {
    /// How the network carries it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Consensus(_) | Self::Raft(_) => Class::Consensus,
            Self::Pool(_) => Class::Body,
            Self::Sync(_) | Self::Report(_) | Self::Snapshot(_) => Class::Sync,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Consensus(message) => message.encode(),
            Self::Raft(message) => message.encode(),
            Self::Pool(message) => message.encode(),
            Self::Sync(message) => tagged(SYNC, &message.encode()),
            Self::Report(report) => tagged(REPORT, &report.encode()),
            Self::Snapshot(message) => tagged(SNAPSHOT, &message.encode()),
        }
    }

    /// Reads a message that fills `bytes` exactly. Its signatures are still to be checked.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one message of this class within its bounds.
    pub fn decode(class: Class, bytes: &[u8]) -> Result<Self, DecodeError> {
        match class {
            Class::Consensus if bytes.first() == Some(&lian_raft::Message::TAG) => {
                lian_raft::Message::decode(bytes).map(Self::Raft)
            }
            Class::Consensus => Message::decode(bytes).map(Self::Consensus),
            Class::Body => PoolMessage::decode(bytes).map(Self::Pool),
            Class::Sync => match bytes.split_first() {
                Some((&SYNC, rest)) => SyncMessage::decode(rest).map(Self::Sync),
                Some((&REPORT, rest)) => NodeReport::decode(rest).map(Self::Report),
                Some((&SNAPSHOT, rest)) => SnapshotMessage::decode(rest).map(Self::Snapshot),
                Some((kind, _)) => Err(unknown(format!("unknown kind {kind}"))),
                None => Err(unknown("no bytes".to_owned())),
            },
        }
    }
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rest.len().saturating_add(1).min(limits::FRAME_BYTES_MAX));
    bytes.push(tag);
    bytes.extend_from_slice(rest);
    bytes
}

const fn unknown(reason: String) -> DecodeError {
    DecodeError::Malformed { what: "message of the group", reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lian_types::{BlockNumber, View};
    use proptest::prelude::*;

    #[test]
    fn a_report_survives_its_bytes_and_nothing_else_passes_for_one() {
        let report = NodeReport {
            height: BlockNumber(7),
            view: View(2),
            peers: 3,
            pending: 40,
            rpc: "http://127.0.0.1:8545".to_owned(),
        };
        let bytes = GroupMessage::Report(report.clone()).encode();
        assert!(
            matches!(GroupMessage::decode(Class::Sync, &bytes), Ok(GroupMessage::Report(found)) if found == report)
        );
        let error = |bytes: &[u8]| GroupMessage::decode(Class::Sync, bytes).unwrap_err().to_string();
        assert!(error(&[]).contains("no bytes"));
        assert!(error(&[9]).contains("unknown kind 9"));
        let long = NodeReport { rpc: "x".repeat(300), ..report.clone() };
        assert!(error(&GroupMessage::Report(long).encode()).contains("report"));
        let odd = NodeReport { rpc: "http://a\u{1b}[2J".to_owned(), ..report };
        assert!(error(&GroupMessage::Report(odd).encode()).contains("address"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for class in Class::ALL {
                if let Ok(message) = GroupMessage::decode(class, &bytes) {
                    prop_assert_eq!(message.class(), class);
                    prop_assert_eq!(message.encode(), &bytes[..]);
                }
            }
        }
    }
}
