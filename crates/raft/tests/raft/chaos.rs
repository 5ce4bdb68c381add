//! Many seeds of everything at once: loss, delay, reordering, islands, crashes at every persist point, restarts.

use crate::network::{Chance, ELECTION_MS, Network, Weather};
use std::collections::BTreeSet;

/// One story: faults for some seconds, then fair weather, in which every node must reach a common height.
fn story(seed: u64) {
    let mut chance = Chance(seed ^ 0xfeed);
    let nodes = [3, 4, 5, 5, 7][usize::try_from(chance.below(5)).unwrap()];
    let mut network = Network::new(seed, nodes, nodes);
    for _ in 0..8 {
        let slow = [5, 40, ELECTION_MS, ELECTION_MS * 3 / 2][usize::try_from(chance.below(4)).unwrap()];
        let island: BTreeSet<_> = match chance.below(3) {
            0 => (0..nodes).filter(|_| chance.below(2) == 0).collect(),
            1 => network.leader().into_iter().collect(),
            _ => BTreeSet::new(),
        };
        network.weather = Weather {
            loss_permille: [0, 20, 300][usize::try_from(chance.below(3)).unwrap()],
            delay_ms: (1, slow),
            island,
        };
        network.crash_permille = [0, 0, 5, 40][usize::try_from(chance.below(4)).unwrap()];
        network.is_busy = chance.below(4) > 0;
        if chance.below(3) == 0 {
            let down = usize::try_from(chance.below(nodes as u64)).unwrap();
            network.crash(down);
            network.run(300 + chance.below(1_500));
            if network.nodes[down].machine.is_none() {
                network.start(down);
            }
        }
        network.run(300 + chance.below(1_500));
    }
    network.weather = Weather::default();
    network.crash_permille = 0;
    network.is_busy = true;
    let best = network.chain.keys().last().copied().unwrap_or(0);
    network.until(20_000, &format!("progress (seed {seed})"), |network| {
        (0..nodes).all(|node| network.height(node) >= best + 10)
    });
    for node in 0..nodes {
        assert_eq!(network.nodes[node].halted, None, "seed {seed}: n{node}");
    }
}

#[test]
fn no_story_forks_or_stands_still() {
    (0..40).for_each(story);
}

/// The same seed gives the same blocks: nothing in the machine, nor in the library under it, is left to chance.
#[test]
fn a_seed_replays_identically() {
    let chain = |seed| {
        let mut network = Network::new(seed, 5, 5);
        network.weather = Weather { loss_permille: 100, delay_ms: (1, 60), island: BTreeSet::from([0]) };
        network.crash_permille = 10;
        network.run(4_000);
        (network.chain, network.nodes.iter().map(|node| node.disk.votes.clone()).collect::<Vec<_>>())
    };
    assert_eq!(chain(5), chain(5));
    assert_ne!(chain(5).0, chain(6).0);
}
