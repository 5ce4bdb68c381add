//! Scenarios by chance.

use lian_sim::run_range;
use lian_types::ConsensusKind;

/// The seeds that every change must pass.
const SEEDS: std::ops::Range<u64> = 0..300;

#[test]
fn no_seed_breaks_a_rule() {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let summary = run_range(ConsensusKind::Pbft, SEEDS, jobs, &|outcome| {
        if let Some(failure) = &outcome.failure {
            println!("seed {} at {} ms: {}: {}", outcome.seed, failure.time_ms, failure.invariant, failure.what);
        }
        true
    });
    let failed: Vec<_> = summary.failed.iter().map(|outcome| outcome.seed).collect();
    assert!(failed.is_empty(), "failed seeds: {failed:?}; `lian sim --seed N --explain` tells what happens in one");
    assert_eq!(summary.passed, SEEDS.end - SEEDS.start);
    assert!(summary.simulated_ms >= 60_000 * summary.passed, "every seed runs a minute at least");

    // A simulator in which nothing happens finds nothing.
    for (situation, least) in SITUATIONS {
        let found = summary.counts.get(situation).copied().unwrap_or(0);
        assert!(
            found >= *least,
            "`{situation}` occurred {found} times, must occur {least} times: {:?}",
            summary.counts
        );
    }
}

/// What must occur in these seeds, and how often at least.
const SITUATIONS: &[(&str, u64)] = &[
    ("accusations of Byzantine members", 100),
    ("blocks", 20_000),
    ("blocks caught up", 1_000),
    ("changes of members", 100),
    ("changes of members refused", 1),
    ("changes of parameters", 10),
    ("checkpoint certificates", 100),
    ("commit certificates", 20_000),
    ("commit certificates of later views", 1_000),
    ("crashes", 500),
    ("disks damaged", 10),
    ("disks emptied", 5),
    ("epochs begun", 100),
    ("flushes", 1_000),
    ("machines rewound", 10),
    ("messages lost", 1_000),
    ("messages refused", 1_000),
    ("stops for a bad disk", 5),
    ("torn block logs", 5),
    ("torn vote logs", 5),
    ("torn writes", 20),
    ("transactions skipped", 10),
    ("views rebuilt", 10),
    ("vote logs lost", 10),
    ("vote logs renewed", 20),
];
