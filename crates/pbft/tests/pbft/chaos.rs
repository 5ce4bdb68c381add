//! Networks under load and faults: agreement always, progress after healing.

use crate::network::{Faults, Network, rules};

#[test]
fn a_network_of_any_size_makes_progress() {
    for n in [1, 2, 3, 4, 5, 7] {
        let mut network = Network::new(n, 1);
        network.connect();
        network.reach(0..n, 50, 10_000);
        network.nobody_halted();
        assert!(network.nodes.iter().all(|node| node.left.is_empty()), "n = {n}: a view was left without reason");
    }
}

#[test]
fn a_seed_replays_identically() {
    let run = |seed| {
        let mut network = Network::new(4, seed);
        network.faults = Faults { loss_permille: 50, crash_permille: 2, ..Faults::default() };
        network.connect();
        network.run_for(5_000);
        network.trace
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn chaos_never_forks_and_heals() {
    for seed in 0..36 {
        for n in [1, 4, 7] {
            let term = [1, 3, 1_000][seed as usize % 3];
            let window = [1, 3, 8][seed as usize / 3 % 3];
            let mut network = Network::with(n, n, seed, rules(window, term));
            network.pace_ms = 25;
            network.connect();
            network.faults = Faults {
                loss_permille: [0, 30, 200][seed as usize % 3],
                duplication_permille: 50,
                delay_ms: (1, [5, 40, 300][seed as usize / 2 % 3]),
                crash_permille: [0, 3, 10][seed as usize / 4 % 3],
                ..Faults::default()
            };
            network.run_for(6_000);
            network.faults = Faults::default();
            network.run_for(2_000);
            let reached = (0..n).map(|node| network.height(node)).max().unwrap();
            println!("seed {seed}, n {n}: height {reached}, {:?}", network.sent);
            network.reach(0..n, reached + 5, 30_000);
            network.nobody_halted();
        }
    }
}
