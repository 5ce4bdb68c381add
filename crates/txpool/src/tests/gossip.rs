//! Who is sent what.

use super::*;
use crate::Gossip;
use lian_types::{ConsensusKey, limits};

const A: ConsensusKey = ConsensusKey([1; 33]);
const B: ConsensusKey = ConsensusKey([2; 33]);

fn batch(gossip: &mut Gossip, peer: ConsensusKey, bytes: usize, count: usize) -> Vec<TxHash> {
    gossip.next_batch(&peer, bytes, count).iter().map(|transaction| transaction.hash()).collect()
}

#[test]
fn a_body_goes_to_each_peer_once() {
    let mut gossip = Gossip::new();
    let all: Vec<_> = (0..5).map(|nonce| transfer(1, nonce, 0)).collect();
    let hash = |i: usize| all[i].hash();
    gossip.connected(A, &all[..1]);
    gossip.connected(B, &[]);
    // B has the third from another client already, and the fourth while it waits.
    gossip.note_received(&B, [hash(2)]);
    for transaction in &all[1..] {
        gossip.enqueue(transaction);
        gossip.enqueue(transaction);
    }
    gossip.note_received(&B, [hash(3)]);
    assert_eq!(gossip.peers_waiting().collect::<Vec<_>>(), [A, B]);
    let length = all[0].transaction().encoded().len();
    assert_eq!(batch(&mut gossip, A, 2 * length, 9), [hash(0), hash(1)]);
    assert_eq!(batch(&mut gossip, A, usize::MAX, 1), [hash(2)]);
    assert_eq!(batch(&mut gossip, A, 0, 9), [hash(3)], "one goes, however large");
    assert_eq!(batch(&mut gossip, A, usize::MAX, 9), [hash(4)]);
    assert_eq!(batch(&mut gossip, A, usize::MAX, 9), NONE);
    assert_eq!(batch(&mut gossip, B, usize::MAX, 9), [hash(1), hash(4)]);
    gossip.enqueue(&all[0]);
    assert_eq!(batch(&mut gossip, A, usize::MAX, 9), NONE);
    assert_eq!(batch(&mut gossip, B, usize::MAX, 9), [hash(0)]);
    // What the leader seems to lack is relayed to it alone; again if it waits for long, but not twice at a time.
    let late = transfer(1, 5, 0);
    for _ in 0..2 {
        gossip.relay(&B, &late);
        gossip.relay(&B, &late);
        assert_eq!(batch(&mut gossip, A, usize::MAX, 9), NONE);
        assert_eq!(batch(&mut gossip, B, usize::MAX, 9), [late.hash()]);
    }
    // The leader may have dropped what it sent itself, unless it has sent it again meanwhile.
    gossip.note_received(&B, [hash(2)]);
    gossip.relay(&B, &all[2]);
    assert_eq!(batch(&mut gossip, B, usize::MAX, 9), [hash(2)]);
    gossip.relay(&B, &all[2]);
    gossip.note_received(&B, [hash(2)]);
    assert_eq!(batch(&mut gossip, B, usize::MAX, 9), NONE);
    // A new session starts over with what still waits in the pool.
    gossip.disconnected(&A);
    assert_eq!(batch(&mut gossip, A, usize::MAX, 9), NONE);
    gossip.connected(A, &all[3..]);
    assert_eq!(batch(&mut gossip, A, usize::MAX, 9), [hash(3), hash(4)]);
}

#[test]
fn a_slow_peer_costs_bounded_memory() {
    let mut gossip = Gossip::new();
    gossip.connected(A, &[]);
    let count = limits::GOSSIP_QUEUE_MAX + 10;
    let all: Vec<_> = (0..count).map(|nonce| transfer(1, nonce as u64, 0)).collect();
    for transaction in &all {
        gossip.enqueue(transaction);
    }
    let sent = batch(&mut gossip, A, usize::MAX, usize::MAX);
    assert_eq!((sent.len(), sent[0]), (limits::GOSSIP_QUEUE_MAX, all[10].hash()), "the oldest are left out");
}
