//! A seed always gives the same run.

use lian_sim::{Options, Scenario, run, run_range, run_scenario};
use lian_types::ConsensusKind;

#[test]
fn a_seed_replays_identically() {
    for seed in [3, 11, 20] {
        let first = run(seed, &Options::default());
        let again = run(seed, &Options { explain: true });
        assert_eq!(first.trace_hash, again.trace_hash, "seed {seed}");
        assert_eq!((first.blocks, first.transactions, first.counts), (again.blocks, again.transactions, again.counts));
    }
    assert_ne!(run(3, &Options::default()).trace_hash, run(4, &Options::default()).trace_hash);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let seeds = 100..108;
    let [one, four] = [1, 4].map(|jobs| run_range(ConsensusKind::Pbft, seeds.clone(), jobs, &|_| true));
    assert_eq!(one, four);
}

#[test]
fn telling_the_story_changes_nothing() {
    let scenario = Scenario::of_seed(5);
    let outcome = run_scenario(&scenario, &Options::default());
    let story = lian_sim::explain_scenario(&scenario);
    assert!(story.contains(&format!("{} blocks, {} transactions", outcome.blocks, outcome.transactions)), "{story}");
    assert!(story.contains("makes final block 1 "), "{story}");
}
