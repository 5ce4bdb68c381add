//! Between this crate's messages and the library's.

use crate::log::Log;
use crate::{Base, Body, Change, ChangeKind, Content, Entry, Envelope, codec::encode, store::snapshot};
use borsh::BorshDeserialize;
use lian_types::{BlockNumber, ConsensusKey, Proposal};
use raft::eraftpb::{ConfChange, ConfChangeType, Entry as RaftEntry, EntryType, Message as RaftMessage, MessageType};
use std::sync::Arc;

/// What a candidate that was asked to take over says.
const TRANSFER: &[u8] = b"CampaignTransfer";

/// The number by which the library knows a key: eight of its bytes, which are as good as random. Never 0, which means
/// nobody.
pub(crate) fn raft_id(key: &ConsensusKey) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(key.body()).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(bytes).max(1)
}

/// The library's form of a change.
pub(crate) fn conf_change(change: Change) -> ConfChange {
    let mut conf = ConfChange::default();
    conf.set_change_type(match change.kind {
        ChangeKind::AddLearner => ConfChangeType::AddLearnerNode,
        ChangeKind::AddVoter => ConfChangeType::AddNode,
        ChangeKind::Remove => ConfChangeType::RemoveNode,
    });
    conf.node_id = raft_id(&change.key);
    conf
}

/// The library's form of an entry. What a change says stands in the context, in this crate's bytes: the library reads
/// its own only where they are proposed.
pub(crate) fn to_raft_entry(entry: &Entry) -> RaftEntry {
    let data = Log::bytes_of(&entry.content).into();
    let mut raft = RaftEntry { term: entry.term, index: entry.index, data, ..RaftEntry::default() };
    if let Content::Change(change) = &entry.content {
        raft.set_entry_type(EntryType::EntryConfChange);
        raft.context = encode(change).into();
    }
    raft
}

/// An entry of the library's. What it holds was encoded on this node.
pub(crate) fn from_raft_entry(raft: &RaftEntry) -> Entry {
    let content = match raft.get_entry_type() {
        EntryType::EntryConfChange => Change::try_from_slice(&raft.context).map(Content::Change),
        EntryType::EntryNormal if !raft.data.is_empty() => {
            Proposal::try_from_slice(&raft.data).map(|proposal| Content::Proposal(Arc::new(proposal)))
        }
        EntryType::EntryNormal | EntryType::EntryConfChangeV2 => Ok(Content::Empty),
    };
    debug_assert!(content.is_ok(), "an entry that this node has encoded cannot be read");
    Entry { term: raft.term, index: raft.index, content: content.unwrap_or(Content::Empty) }
}

/// A message of the library's to a peer; none of the kinds that this crate does not use. `height` is the final one here,
/// and `log` has the entries.
pub(crate) fn from_raft(height: BlockNumber, log: &Log, message: &RaftMessage) -> Option<Envelope> {
    let entry = |raft: &RaftEntry| match log.get(raft.index).filter(|item| item.term == raft.term) {
        Some(item) => Entry { term: raft.term, index: raft.index, content: item.content.clone() },
        None => from_raft_entry(raft),
    };
    let (index, log_term, commit) = (message.index, message.log_term, message.commit);
    let (commit_term, refused) = (message.commit_term, message.reject);
    let body = match message.get_msg_type() {
        MessageType::MsgAppend => {
            Body::Append { index, log_term, commit, entries: message.entries.iter().map(entry).collect() }
        }
        MessageType::MsgAppendResponse => {
            Body::Appended { index, log_term, commit, refused, hint: message.reject_hint }
        }
        kind @ (MessageType::MsgRequestVote | MessageType::MsgRequestPreVote) => {
            let (pre, transfer) = (kind == MessageType::MsgRequestPreVote, message.context.as_ref() == TRANSFER);
            Body::AskVote { pre, index, log_term, commit, commit_term, transfer }
        }
        MessageType::MsgRequestVoteResponse => Body::Voted { pre: false, refused, commit, commit_term },
        MessageType::MsgRequestPreVoteResponse => Body::Voted { pre: true, refused, commit, commit_term },
        MessageType::MsgHeartbeat => Body::Heartbeat { commit },
        MessageType::MsgHeartbeatResponse => Body::Alive { commit },
        MessageType::MsgSnapshot => Body::Base(Base::try_from_slice(&message.get_snapshot().data).ok()?),
        MessageType::MsgTimeoutNow => Body::TakeOver,
        _ => return None,
    };
    Some(Envelope { height, term: message.term, body })
}

/// The library's form of a peer's message.
pub(crate) fn to_raft(from: u64, to: u64, envelope: &Envelope) -> RaftMessage {
    let mut message = RaftMessage::default();
    (message.from, message.to, message.term) = (from, to, envelope.term);
    match &envelope.body {
        Body::Append { index, log_term, commit, entries } => {
            message.set_msg_type(MessageType::MsgAppend);
            (message.index, message.log_term, message.commit) = (*index, *log_term, *commit);
            message.set_entries(entries.iter().map(to_raft_entry).collect::<Vec<_>>().into());
        }
        Body::Appended { index, log_term, commit, refused, hint } => {
            message.set_msg_type(MessageType::MsgAppendResponse);
            (message.index, message.log_term, message.commit) = (*index, *log_term, *commit);
            (message.reject, message.reject_hint) = (*refused, *hint);
        }
        Body::AskVote { pre, index, log_term, commit, commit_term, transfer } => {
            let kind = if *pre { MessageType::MsgRequestPreVote } else { MessageType::MsgRequestVote };
            message.set_msg_type(kind);
            (message.index, message.log_term) = (*index, *log_term);
            (message.commit, message.commit_term) = (*commit, *commit_term);
            if *transfer {
                message.context = TRANSFER.into();
            }
        }
        Body::Voted { pre, refused, commit, commit_term } => {
            let kind = if *pre { MessageType::MsgRequestPreVoteResponse } else { MessageType::MsgRequestVoteResponse };
            message.set_msg_type(kind);
            (message.reject, message.commit, message.commit_term) = (*refused, *commit, *commit_term);
        }
        Body::Heartbeat { commit } => {
            message.set_msg_type(MessageType::MsgHeartbeat);
            message.commit = *commit;
        }
        Body::Alive { commit } => {
            message.set_msg_type(MessageType::MsgHeartbeatResponse);
            message.commit = *commit;
        }
        Body::Base(base) => {
            message.set_msg_type(MessageType::MsgSnapshot);
            message.set_snapshot(snapshot(base));
        }
        Body::TakeOver => message.set_msg_type(MessageType::MsgTimeoutNow),
    }
    message
}
