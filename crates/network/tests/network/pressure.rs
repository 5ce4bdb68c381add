//! Slow links and slow consumers.

use crate::{
    fixture::{Certificates, Node, peer, soon},
    relay::{Link, Relay},
};
use bytes::Bytes;
use lian_network::{Class, NetworkEvent, SendOutcome};
use lian_types::GroupId;
use std::time::Duration;
use tokio::time::sleep;

const GROUP: GroupId = GroupId(0);

async fn pair(certificates: &Certificates) -> (Node, Node, Relay) {
    let (mut sender, mut receiver) = (certificates.start(0).await, certificates.start(1).await);
    let relay = Relay::to(receiver.handle.local_address()).await;
    receiver.handle.set_peers(vec![sender.as_silent_peer()]).unwrap();
    sender.handle.set_peers(vec![peer(1, relay.address)]).unwrap();
    sender.until_connected().await;
    receiver.until_connected().await;
    (sender, receiver, relay)
}

#[tokio::test]
async fn votes_overtake_a_body_on_a_slow_link() {
    let certificates = Certificates::new();
    let (sender, mut receiver, relay) = pair(&certificates).await;
    relay.set(Link::Slow(8 * 1024 * 1024));
    let body = Bytes::from(vec![1; Class::Body.bytes_max()]);
    for _ in 0..2 {
        assert_eq!(sender.handle.send(receiver.key(), GROUP, Class::Body, body.clone()), SendOutcome::Queued);
    }
    let begun = async {
        while sender.handle.peers()[0].queued >= 2 * body.len() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(begun).await;
    for _ in 0..10 {
        let vote = Bytes::from_static(b"vote");
        assert_eq!(sender.handle.send(receiver.key(), GROUP, Class::Consensus, vote), SendOutcome::Queued);
    }
    for _ in 0..10 {
        let event = receiver.until(|event| matches!(event, NetworkEvent::Message { .. })).await;
        assert!(matches!(event, NetworkEvent::Message { class: Class::Consensus, .. }), "a body came first");
    }
    let rest = sender.handle.peers()[0].queued;
    assert!(rest > body.len(), "the votes waited for the first body: {rest} bytes are left of two");
    for _ in 0..2 {
        receiver.until(|event| matches!(event, NetworkEvent::Message { class: Class::Body, .. })).await;
    }
}

/// A consumer that does not receive stops the bodies at their sender, and neither votes nor the session.
#[tokio::test]
async fn a_slow_consumer_stops_bodies_only() {
    let certificates = Certificates::new();
    let (sender, mut receiver, _relay) = pair(&certificates).await;
    let body = Bytes::from(vec![2; 4 * 1024 * 1024]);
    let mut queued = 0;
    // Full for good: what the window takes has left the queue, and the queue is full behind it.
    let filled = async {
        let mut stuck = 0;
        while stuck < 50 {
            match sender.handle.send(receiver.key(), GROUP, Class::Body, body.clone()) {
                SendOutcome::Queued => (queued, stuck) = (queued + 1, 0),
                SendOutcome::Full => {
                    stuck += 1;
                    sleep(Duration::from_millis(10)).await;
                }
                outcome => panic!("{outcome:?}"),
            }
        }
    };
    soon(filled).await;
    let bound = (16 + 24 + 4) / 4 + 1;
    assert!(queued <= bound, "{queued} bodies were taken, window and queue hold {bound}");
    let vote = Bytes::from_static(b"vote");
    assert_eq!(sender.handle.send(receiver.key(), GROUP, Class::Consensus, vote), SendOutcome::Queued);
    let first_vote = receiver.until(|event| matches!(event, NetworkEvent::Message { .. })).await;
    // What was complete before the vote came may be first, everything that waits at the sender is not.
    let mut bodies = usize::from(matches!(first_vote, NetworkEvent::Message { class: Class::Body, .. }));
    let mut votes = 1 - bodies;
    while bodies < queued || votes < 1 {
        match receiver.next().await {
            NetworkEvent::Message { class: Class::Body, bytes, .. } => {
                assert_eq!(bytes, body);
                bodies += 1;
            }
            NetworkEvent::Message { .. } => {
                assert!(bodies < queued, "the vote waited for all bodies");
                votes += 1;
            }
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(sender.handle.send(receiver.key(), GROUP, Class::Body, body), SendOutcome::Queued);
}

/// More than a window of every class, in both directions at once: credit flows back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_more_than_a_window_flows_both_ways() {
    let certificates = Certificates::new();
    let (left, right, _relay) = pair(&certificates).await;
    let (left_key, right_key) = (left.key(), right.key());
    let flood = |mut node: Node, to| async move {
        let message = Bytes::from(vec![3; 1024 * 1024]);
        let (mut sent, mut received) = ([0u32; 3], [0u32; 3]);
        while sent != [64; 3] || received != [64; 3] {
            for class in Class::ALL {
                // A full queue of consensus would drop.
                let fits = || class != Class::Consensus || node.handle.peers()[0].queued < 8 * 1024 * 1024;
                while sent[class as usize] < 64 && fits() {
                    match node.handle.send(to, GROUP, class, message.clone()) {
                        SendOutcome::Queued => sent[class as usize] += 1,
                        SendOutcome::Full => break,
                        outcome => panic!("{outcome:?}"),
                    }
                }
            }
            tokio::select! {
                event = node.events.recv() => match event {
                    Some(NetworkEvent::Message { class, .. }) => received[class as usize] += 1,
                    event => panic!("{event:?}"),
                },
                () = sleep(Duration::from_millis(1)) => {}
            }
        }
        node
    };
    soon(async { tokio::join!(flood(left, right_key), flood(right, left_key)) }).await;
}
