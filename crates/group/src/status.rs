//! What a node says about a group.

use lian_types::{BlockNumber, ConsensusKey, Epoch, GroupId, Millis, View};
use serde::Serialize;

/// What this node does in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It proposes and votes.
    Sealer,
    /// It follows and serves.
    Observer,
    /// It may connect and catch up, and is about to become more.
    Candidate,
}

/// What this node knows about another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Its consensus key.
    pub key: ConsensusKey,
    /// What it does in the group.
    pub role: Role,
    /// Whether a session is open.
    pub connected: bool,
    /// The height it reported last.
    pub height: Option<BlockNumber>,
    /// How many blocks it was behind the highest height known here when it reported.
    pub lag: Option<u64>,
    /// The view it reported last.
    pub view: Option<View>,
    /// The name of the member that leads its next height in its view.
    pub leader: Option<String>,
    /// How many other nodes are connected to it.
    pub peers: Option<u32>,
    /// Transactions in its pool that could be proposed.
    pub pending: Option<u32>,
    /// The address of its JSON-RPC, where it publishes one.
    pub rpc: Option<String>,
    /// When it last reported, in milliseconds since 1970.
    pub reported: Option<Millis>,
    /// In how many days the first certificate of its chain expires; none without a session.
    pub certificate_days: Option<u64>,
}

/// The state of a group on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// Its chain id.
    pub chain_id: u64,
    /// This node's name.
    pub node: String,
    /// How the group agrees: `pbft` or `raft`.
    pub consensus: &'static str,
    /// The address of its JSON-RPC, where it publishes one.
    pub rpc: Option<String>,
    /// What this node does in it.
    pub role: Role,
    /// The last final block.
    pub height: BlockNumber,
    /// The oldest block whose transactions and receipts this node has, beside block 0.
    pub oldest: BlockNumber,
    /// How many blocks this node is behind the highest height it has heard of.
    pub lag: u64,
    /// The epoch of the members.
    pub epoch: Epoch,
    /// The current view; the term of Raft.
    pub view: View,
    /// The name of the member that leads the next height.
    pub leader: String,
    /// How many voting members there are.
    pub members: usize,
    /// How many other nodes are connected.
    pub peers: usize,
    /// Transactions in the pool that could be proposed.
    pub pending: usize,
    /// Transactions in the pool that wait for an earlier nonce.
    pub queued: usize,
    /// Whether this node sends no votes, because it does not know all that it has voted for (pbft §3).
    pub abstains: bool,
    /// Why the group has stopped on this node, if it has.
    pub halted: Option<String>,
    /// In how many days the first certificate of this node's own chain expires; none for a node that is alone.
    pub certificate_days: Option<u64>,
    /// Why peers refuse this node's certificate, if they do.
    pub certificate_refused: Option<String>,
    /// The other nodes.
    pub nodes: Vec<PeerStatus>,
}
