//! Nodes find each other and exchange messages.

use crate::fixture::{Certificates, Node, peer, soon};
use bytes::Bytes;
use lian_network::{BroadcastOutcome, Class, Network, NetworkError, NetworkEvent, SendOutcome};
use lian_types::GroupId;
use std::{collections::BTreeSet, time::Duration};

/// Starts nodes that all know each other.
async fn mesh(certificates: &Certificates, count: u8) -> Vec<Node> {
    let mut nodes = Vec::new();
    for index in 0..count {
        nodes.push(certificates.start(index).await);
    }
    let peers: Vec<_> = nodes.iter().map(Node::as_peer).collect();
    for node in &nodes {
        node.handle.set_peers(peers.clone()).unwrap();
    }
    for node in &mut nodes {
        let mut seen = BTreeSet::new();
        while seen.len() + 1 < peers.len() {
            match node.next().await {
                NetworkEvent::Connected { peer, name, .. } => {
                    assert!(peers.iter().any(|known| known.key == peer && known.name == name));
                    seen.insert(peer);
                }
                NetworkEvent::Disconnected { peer, .. } => {
                    seen.remove(&peer);
                }
                NetworkEvent::Message { .. } => panic!("nobody has sent anything"),
            }
        }
    }
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_exchange_messages_of_every_class() {
    let certificates = Certificates::new();
    let mut nodes = mesh(&certificates, 4).await;
    let group = GroupId(3);
    for node in &nodes {
        for class in Class::ALL {
            let text = Bytes::from(format!("{} {}", node.index, class.name()));
            let expected = BroadcastOutcome { queued: 3, ..BroadcastOutcome::default() };
            assert_eq!(node.handle.broadcast(group, class, text), expected);
        }
    }
    let keys: Vec<_> = nodes.iter().map(Node::key).collect();
    for node in &mut nodes {
        let mut received = BTreeSet::new();
        while received.len() < 9 {
            let NetworkEvent::Message { peer, group: found, class, bytes } = node.next().await else { continue };
            let sender = keys.iter().position(|key| *key == peer).unwrap();
            assert_eq!((found, bytes), (group, Bytes::from(format!("{sender} {}", class.name()))));
            assert!(received.insert((sender, class)), "each message comes once");
        }
        let status = node.handle.peers();
        assert_eq!(status.len(), 3);
        assert!(status.iter().all(|peer| peer.connected_since.is_some() && peer.bytes_in > 0 && peer.bytes_out > 0));
    }
}

#[tokio::test]
async fn messages_of_any_size_arrive_whole_and_in_order() {
    let certificates = Certificates::new();
    let mut nodes = mesh(&certificates, 2).await;
    let (mut receiver, sender) = (nodes.remove(0), nodes.remove(0));
    let fragment = lian_types::limits::FRAGMENT_BYTES_MAX;
    let sizes = [0, 1, fragment - 1, fragment, fragment + 1, 3 * fragment, Class::Sync.bytes_max()];
    let message = |size: usize| -> Bytes { (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect() };
    for size in sizes {
        let outcome = sender.handle.send(receiver.key(), GroupId(0), Class::Sync, message(size));
        assert_eq!(outcome, SendOutcome::Queued, "{size}");
    }
    for size in sizes {
        let event = receiver.until(|event| matches!(event, NetworkEvent::Message { .. })).await;
        let NetworkEvent::Message { bytes, .. } = event else { unreachable!() };
        assert!(bytes == message(size), "{size} bytes were sent, {} came", bytes.len());
    }
    let limit = Class::Body.bytes_max();
    let outcome = sender.handle.send(receiver.key(), GroupId(0), Class::Body, Bytes::from(vec![0; limit + 1]));
    assert_eq!(outcome, SendOutcome::TooLarge { limit });
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let certificates = Certificates::new();
    let node = certificates.start(0).await;
    let mut config = certificates.config(1);
    config.listen = node.handle.local_address();
    let error = Network::start(config).await.unwrap_err();
    assert!(matches!(error, NetworkError::Listen { .. }));
    assert!(error.to_string().contains(&node.handle.local_address().to_string()), "{error}");
}

/// Nothing that waits holds up a shutdown: neither a peer that never dials nor one that nobody can reach.
#[tokio::test]
async fn shutdown_does_not_wait_for_absent_peers() {
    let certificates = Certificates::new();
    let mut config = certificates.config(0);
    config.limits.backoff_min = Duration::from_secs(3_600);
    config.limits.backoff_max = Duration::from_secs(3_600);
    config.peers = vec![peer(1, ""), peer(2, "127.0.0.1:1")];
    let mut node = Node::start(config, 0).await;
    soon(node.handle.shutdown()).await;
    assert_eq!(soon(node.events.recv()).await, None);
}

#[tokio::test]
async fn shutdown_says_goodbye_and_frees_the_port() {
    let certificates = Certificates::new();
    let mut nodes = mesh(&certificates, 2).await;
    let (mut left, mut right) = (nodes.remove(0), nodes.remove(0));
    let address = left.handle.local_address();
    soon(left.handle.shutdown()).await;
    let reason = right.until_disconnected().await;
    assert_eq!(reason.to_string(), "closed by the peer: the node is stopping");
    let outcome = right.handle.send(left.key(), GroupId(0), Class::Body, Bytes::new());
    assert_eq!(outcome, SendOutcome::NotConnected);
    while soon(left.events.recv()).await.is_some() {}
    let mut config = certificates.config(0);
    config.listen = address;
    config.peers = vec![right.as_silent_peer()];
    let _again = Node::start(config, 0).await;
    right.until_connected().await;
}
