//! A node of the genesis file that does not vote: it listens to everything that members say to all.

use crate::{
    network::{NODES, Network, OBSERVER},
    votes::Votes,
};
use alloy_primitives::B256;
use lian_network::{Class, Network as P2p, NetworkEvent, NetworkEvents, NetworkHandle};
use lian_pbft::Message;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// The running observer. It speaks the nodes' own protocol, with a key and a certificate of its own.
pub(crate) struct Observer {
    _handle: NetworkHandle,
    task: JoinHandle<()>,
}

impl Observer {
    pub(crate) async fn start(network: &Network) -> Self {
        let mut config = network.speak_as(OBSERVER, network.p2p_port(OBSERVER));
        config.peers = (0..NODES).map(|node| network.peer(node, network.p2p_port(node))).collect();
        let (handle, events) = P2p::start(config).await.unwrap();
        let task = tokio::spawn(listen(events, Arc::clone(&network.votes)));
        Self { _handle: handle, task }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut events: NetworkEvents, votes: Arc<Mutex<Votes>>) {
    // Only proposals of height 1 name block 0, and checking them does not look at it.
    let (rules, committees) = votes.lock().unwrap().checking(B256::ZERO);
    while let Some(event) = events.recv().await {
        let NetworkEvent::Message { class: Class::Consensus, bytes, .. } = event else { continue };
        if let Ok(message) = lian_raft::Message::decode(&bytes) {
            let members_at = |height| committees.at(height).map(|one| Arc::clone(&one.members));
            let checked = lian_raft::verify(rules.suite, &rules.context, &members_at, message);
            match checked.map(lian_crypto::Verified::into_inner) {
                Ok(lian_raft::Message::Vote(signed) | lian_raft::Message::Question(signed)) => {
                    votes.lock().unwrap().heard_signature(&signed);
                }
                Ok(_) => {}
                Err(_) => votes.lock().unwrap().refused(),
            }
            continue;
        }
        let checked =
            Message::decode(&bytes).ok().and_then(|message| lian_pbft::verify(&rules, &committees, message).ok());
        let mut votes = votes.lock().unwrap();
        match checked {
            Some(message) => votes.heard(&message),
            None => votes.refused(),
        }
    }
}
