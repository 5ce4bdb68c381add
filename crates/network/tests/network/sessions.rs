//! Sessions begin, end, and are replaced.

use crate::{
    fixture::{Certificates, Node, by_key, peer, soon},
    relay::{Link, Relay},
};
use bytes::Bytes;
use lian_network::{Class, DisconnectReason, NetworkEvent, pki::Validity};
use lian_types::GroupId;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// Two nodes, the first of which dials the second over a relay; the second never dials.
async fn over_relay(certificates: &Certificates, dialler: u8, other: u8) -> (Node, Node, Relay) {
    let (dialler, other) = (start(certificates, dialler).await, start(certificates, other).await);
    let relay = Relay::to(other.handle.local_address()).await;
    other.handle.set_peers(vec![dialler.as_silent_peer()]).unwrap();
    dialler.handle.set_peers(vec![peer(other.index, relay.address)]).unwrap();
    (dialler, other, relay)
}

/// A node that dials again at once and is patient otherwise.
async fn start(certificates: &Certificates, index: u8) -> Node {
    let mut config = certificates.config(index);
    config.limits.backoff_min = Duration::from_millis(1);
    config.limits.backoff_max = Duration::from_millis(20);
    // Silence proves nothing within a test's time, unless the test says so.
    config.limits.ping_period = Duration::from_secs(1_000);
    config.limits.silence_max = Duration::from_secs(4_000);
    Node::start(config, index).await
}

async fn expect_message(from: &Node, to: &mut Node) {
    let outcome = from.handle.send(to.key(), GroupId(0), Class::Consensus, Bytes::from_static(b"hello"));
    assert!(outcome.is_queued(), "{outcome:?}");
    to.until(|event| matches!(event, NetworkEvent::Message { .. })).await;
}

#[tokio::test]
async fn a_cut_connection_is_made_again() {
    let certificates = Certificates::new();
    let (mut left, mut right, relay) = over_relay(&certificates, 0, 1).await;
    left.until_connected().await;
    right.until_connected().await;
    for _ in 0..3 {
        relay.set(Link::Cut);
        left.until_disconnected().await;
        right.until_disconnected().await;
        relay.set(Link::Open);
        left.until_connected().await;
        right.until_connected().await;
        expect_message(&left, &mut right).await;
        expect_message(&right, &mut left).await;
    }
}

#[tokio::test]
async fn silence_ends_a_session_on_both_sides() {
    let certificates = Certificates::new();
    let mut nodes = Vec::new();
    for index in 0..2 {
        let mut config = certificates.config(index);
        config.limits.ping_period = Duration::from_millis(50);
        config.limits.silence_max = Duration::from_millis(400);
        nodes.push(Node::start(config, index).await);
    }
    let (mut right, mut left) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let relay = Relay::to(right.handle.local_address()).await;
    right.handle.set_peers(vec![left.as_silent_peer()]).unwrap();
    left.handle.set_peers(vec![peer(1, relay.address)]).unwrap();
    left.until_connected().await;
    right.until_connected().await;
    relay.set(Link::Frozen);
    assert_eq!(left.until_disconnected().await, DisconnectReason::Silent { ms: 400 });
    assert_eq!(right.until_disconnected().await, DisconnectReason::Silent { ms: 400 });
}

/// The restarted process is let in at once although the old connection has not been noticed dead, whoever dialled it.
#[tokio::test]
async fn a_restarted_node_replaces_its_dead_session() {
    let certificates = Certificates::new();
    let (small, large) = by_key(0, 1);
    for (stays, restarts) in [(small, large), (large, small)] {
        let (mut stays, mut old, relay) = over_relay(&certificates, stays, restarts).await;
        stays.until_connected().await;
        old.until_connected().await;
        relay.set(Link::Frozen);
        let mut new = start(&certificates, restarts).await;
        new.handle.set_peers(vec![stays.as_peer()]).unwrap();
        assert_eq!(stays.until_disconnected().await, DisconnectReason::Replaced);
        stays.until_connected().await;
        new.until_connected().await;
        expect_message(&stays, &mut new).await;
    }
}

/// Both dial at the same moment, again and again: one session remains, and both mean the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_dials_leave_one_session() {
    let certificates = Certificates::new();
    for _ in 0..8 {
        let (mut left, mut right) = (start(&certificates, 0).await, start(&certificates, 1).await);
        left.handle.set_peers(vec![right.as_peer()]).unwrap();
        right.handle.set_peers(vec![left.as_peer()]).unwrap();
        left.until_connected().await;
        right.until_connected().await;
        let settled = async {
            loop {
                let (one, two) = (left.handle.peers().remove(0), right.handle.peers().remove(0));
                let both = one.connected_since.is_some() && two.connected_since.is_some();
                // Messages in both directions and one ping prove the session alive on both sides.
                if both && one.dialled != two.dialled && one.rtt_ms.is_some() && two.rtt_ms.is_some() {
                    return;
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        soon(settled).await;
        soon(repeat_message(&left, &mut right)).await;
        soon(repeat_message(&right, &mut left)).await;
        soon(left.handle.shutdown()).await;
        soon(right.handle.shutdown()).await;
    }
}

/// Sends until something arrives: what was sent over a session that gives way to the other one of a pair is lost with it.
async fn repeat_message(from: &Node, to: &mut Node) {
    loop {
        let _ = from.handle.send(to.key(), GroupId(0), Class::Consensus, Bytes::from_static(b"hello"));
        let arrives = to.until(|event| matches!(event, NetworkEvent::Message { .. }));
        if tokio::time::timeout(Duration::from_millis(500), arrives).await.is_ok() {
            return;
        }
    }
}

#[tokio::test]
async fn misbehaving_and_removed_peers_are_out() {
    let certificates = Certificates::new();
    let (mut left, mut right) = (start(&certificates, 0).await, start(&certificates, 1).await);
    left.handle.set_peers(vec![right.as_silent_peer()]).unwrap();
    right.handle.set_peers(vec![left.as_peer()]).unwrap();
    left.until_connected().await;
    right.until_connected().await;
    assert!(!left.handle.report_misbehaviour(right.key(), 40));
    assert!(left.handle.report_misbehaviour(right.key(), 70));
    assert_eq!(left.until_disconnected().await, DisconnectReason::Banned);
    assert_eq!(right.until_disconnected().await.to_string(), "closed by the peer: banned for misbehaviour");
    assert!(left.handle.peers()[0].banned);

    let mut third = start(&certificates, 2).await;
    left.handle.set_peers(vec![right.as_silent_peer(), third.as_peer()]).unwrap();
    third.handle.set_peers(vec![left.as_silent_peer()]).unwrap();
    left.until_connected().await;
    third.until_connected().await;
    left.handle.set_peers(vec![right.as_silent_peer()]).unwrap();
    assert_eq!(left.until_disconnected().await, DisconnectReason::Removed);
    third.until_disconnected().await;
    assert_eq!(left.handle.peers().len(), 1);
}

/// A session does not outlive the certificate that it was opened with; the rules of the handshake go on.
#[tokio::test]
async fn a_session_ends_with_its_certificate() {
    let certificates = Certificates::new();
    let now = SystemTime::now();
    let validity = Validity { from: now - Duration::from_secs(60), until: now + Duration::from_secs(3) };
    let (mut watching, mut expiring) = (certificates.config(0), certificates.config(1));
    watching.limits.ping_period = Duration::from_millis(20);
    expiring.identity = certificates.identity_valid("node1", validity);
    let (mut left, mut right) = (Node::start(watching, 0).await, Node::start(expiring, 1).await);
    left.handle.set_peers(vec![right.as_silent_peer()]).unwrap();
    right.handle.set_peers(vec![left.as_peer()]).unwrap();
    left.until_connected().await;
    right.until_connected().await;
    assert_eq!(left.until_disconnected().await, DisconnectReason::Expired);
    assert_eq!(right.until_disconnected().await.to_string(), "closed by the peer: the certificate has expired");
}

/// New certificates serve new sessions while the node runs, and the old authority is no longer enough.
#[tokio::test]
async fn certificates_are_replaced_while_running() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let (mut left, mut right) = (start(&old, 0).await, start(&new, 1).await);
    left.handle.set_peers(vec![right.as_peer()]).unwrap();
    right.handle.set_peers(vec![left.as_peer()]).unwrap();
    left.handle.set_trust(&new.trust()).unwrap();
    left.handle.set_identity(&new.identity("node0")).unwrap();
    left.until_connected().await;
    right.until_connected().await;
}
