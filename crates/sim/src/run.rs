//! Running seeds.

use crate::{scenario::Scenario, world::World};
use lian_types::ConsensusKind;
use std::{
    any::Any,
    collections::BTreeMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// How a seed is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether the story of a failure is told; it is found by running the seed once more.
    pub explain: bool,
}

/// What became of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What did not hold, if something did not.
    pub failure: Option<Failure>,
    /// A hash over everything that happened: the same for every run of a seed.
    pub trace_hash: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// The greatest height that became final.
    pub blocks: u64,
    /// Transactions that became final.
    pub transactions: u64,
    /// The longest time in which no block became final although a transaction waited, in milliseconds.
    pub longest_pause_ms: u64,
    /// How long after faults had ended the first block became final, in milliseconds; nothing where none did.
    pub resumed_ms: Option<u64>,
    /// How often each kind of situation occurred.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// Whether everything held.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When, in simulated milliseconds.
    pub time_ms: u64,
    /// Which rule.
    pub invariant: &'static str,
    /// What happened instead.
    pub what: String,
    /// What led to it, line by line; empty unless [`Options::explain`] asks for it.
    pub story: String,
}

/// What became of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds that passed.
    pub passed: u64,
    /// The failed ones, by seed.
    pub failed: Vec<Outcome>,
    /// Simulated time of all together, in milliseconds.
    pub simulated_ms: u64,
    /// Blocks of all together.
    pub blocks: u64,
    /// Transactions of all together.
    pub transactions: u64,
    /// How often each kind of situation occurred in all together.
    pub counts: BTreeMap<&'static str, u64>,
    /// The hash of every seed's trace, in order of seeds, mixed.
    pub trace_hash: u64,
}

/// Runs the scenario of a seed.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Outcome {
    run_scenario(&Scenario::of_seed(seed), options)
}

/// Runs a scenario.
#[must_use]
pub fn run_scenario(scenario: &Scenario, options: &Options) -> Outcome {
    let (mut outcome, _) = simulate(scenario, false);
    if let Some(failure) = outcome.failure.as_mut().filter(|_| options.explain) {
        failure.story = simulate(scenario, true).1;
    }
    outcome
}

/// Tells a seed from its beginning to its end or failure: faults, views, blocks, crashes and recoveries.
#[must_use]
pub fn explain(seed: u64) -> String {
    explain_scenario(&Scenario::of_seed(seed))
}

/// As [`explain`], for any scenario.
#[must_use]
pub fn explain_scenario(scenario: &Scenario) -> String {
    let (outcome, story) = simulate(scenario, true);
    let end = match &outcome.failure {
        None => format!("passed: {} blocks, {} transactions", outcome.blocks, outcome.transactions),
        Some(failure) => format!("FAILED at {} ms: {}: {}", failure.time_ms, failure.invariant, failure.what),
    };
    let counts: Vec<_> = outcome.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    format!("{scenario}\n{story}\n{}\n{end}\n", counts.join(", "))
}

/// Runs seeds of groups of a kind on so many threads. `progress` hears of each one as it ends, in no particular order; once it returns
/// false no further seed is begun.
pub fn run_range(
    consensus: ConsensusKind,
    seeds: Range<u64>,
    jobs: usize,
    progress: &(dyn Fn(&Outcome) -> bool + Sync),
) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let goes_on = AtomicBool::new(true);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while goes_on.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run_scenario(&Scenario::of(consensus, seed), &Options::default());
                    if !progress(&outcome) {
                        goes_on.store(false, Ordering::Relaxed);
                    }
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, outcome);
                }
            });
        }
    });
    let mut summary = Summary::default();
    for (_, outcome) in outcomes.into_inner().unwrap_or_else(PoisonError::into_inner) {
        summary.add(outcome);
    }
    summary
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.simulated_ms += outcome.simulated_ms;
        self.blocks += outcome.blocks;
        self.transactions += outcome.transactions;
        self.trace_hash = crate::random::mix(self.trace_hash.rotate_left(7) ^ outcome.trace_hash);
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        if outcome.passed() {
            self.passed += 1;
        } else {
            self.failed.push(outcome);
        }
    }
}

fn simulate(scenario: &Scenario, tell: bool) -> (Outcome, String) {
    let failed = |time_ms, invariant, what| Failure { time_ms, invariant, what, story: String::new() };
    let mut outcome = Outcome {
        seed: scenario.seed,
        failure: None,
        trace_hash: 0,
        simulated_ms: 0,
        blocks: 0,
        transactions: 0,
        longest_pause_ms: 0,
        resumed_ms: None,
        counts: BTreeMap::new(),
    };
    let mut world = match World::new(scenario, tell) {
        Ok(world) => world,
        Err(error) => {
            outcome.failure = Some(failed(0, "simulator", error.to_string()));
            return (outcome, String::new());
        }
    };
    // A failed assertion in the code under test is a finding like any other.
    let broken = catch_unwind(AssertUnwindSafe(|| world.run()));
    let sim = world.sim;
    outcome.failure = match broken {
        Ok(broken) => broken.map(|broken| failed(broken.at.ms(), broken.invariant, broken.what)),
        Err(panic) => Some(failed(sim.now.ms(), "assertions", panic_text(panic.as_ref()))),
    };
    let mut trace = sim.trace;
    trace.add(sim.clients.answers.value());
    outcome.trace_hash = trace.value();
    outcome.simulated_ms = sim.now.ms();
    outcome.blocks = sim.oracle.blocks.height();
    outcome.transactions = sim.clients.finished();
    outcome.longest_pause_ms = sim.pauses.longest_ms;
    outcome.resumed_ms = sim.pauses.resumed_ms;
    outcome.counts = sim.counts;
    (outcome, sim.story.into_text())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}
