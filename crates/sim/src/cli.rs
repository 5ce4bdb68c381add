//! The verb `lian sim`.

use crate::{
    run::{Options, Outcome, Summary, explain_scenario, run_range, run_scenario},
    scenario::Scenario,
    shrink::shrink,
};
use lian_types::ConsensusKind;
use std::{num::NonZeroUsize, ops::Range, thread::available_parallelism, time::Instant};

/// The unit of the processor time that Linux tells: hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Simulate whole networks with faults and check what must always hold.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// Seeds to run, the last one excluded: `0..300`
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range, required_unless_present = "seed", conflicts_with = "seed")]
    pub seeds: Option<Range<u64>>,
    /// One seed to run
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// How the simulated groups agree
    #[arg(long, value_name = "KIND", default_value = "pbft")]
    pub consensus: Consensus,
    /// Tell what happens in the seed, line by line; one that fails is first made as short as can be found in a minute
    #[arg(long, requires = "seed")]
    pub explain: bool,
    /// Seeds that run at once; as many as there are processors where absent
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<NonZeroUsize>,
    /// Begin no further seed after the first that fails
    #[arg(long, requires = "seeds")]
    pub first_failure: bool,
}

/// A kind of consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Consensus {
    /// Parallel PBFT, with Byzantine members
    Pbft,
    /// Raft, where nobody lies
    Raft,
}

impl From<Consensus> for ConsensusKind {
    fn from(consensus: Consensus) -> Self {
        match consensus {
            Consensus::Pbft => Self::Pbft,
            Consensus::Raft => Self::Raft,
        }
    }
}

/// Runs the verb. Returns the exit code of the program: 0 where every seed passed, else 1.
#[must_use]
pub fn main(arguments: &SimArgs) -> i32 {
    match (arguments.seed, arguments.seeds.clone()) {
        (Some(seed), _) => one(arguments.consensus.into(), seed, arguments.explain),
        (None, Some(seeds)) => many(seeds, arguments),
        (None, None) => 2,
    }
}

fn one(consensus: ConsensusKind, seed: u64, tell: bool) -> i32 {
    let scenario = Scenario::of(consensus, seed);
    if tell {
        let shortened = shrink(&scenario);
        if shortened.is_some() {
            println!("The shortest scenario found that breaks the same rule:");
        }
        println!("{}", explain_scenario(shortened.as_ref().map_or(&scenario, |(scenario, _)| scenario)));
    }
    let outcome = run_scenario(&scenario, &Options::default());
    report(consensus, &outcome);
    let (passed, failed) = if outcome.passed() { (1, 0) } else { (0, 1) };
    println!("{passed} passed, {failed} failed, 0 skipped");
    failed
}

fn many(seeds: Range<u64>, arguments: &SimArgs) -> i32 {
    let jobs = arguments.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let begun = Instant::now();
    let summary = run_range(arguments.consensus.into(), seeds, jobs, &|outcome| {
        if !outcome.passed() {
            report(arguments.consensus.into(), outcome);
        }
        outcome.passed() || !arguments.first_failure
    });
    tell_summary(&summary, begun.elapsed().as_secs_f64());
    i32::from(!summary.failed.is_empty())
}

fn tell_summary(summary: &Summary, seconds: f64) {
    let Summary { simulated_ms, blocks, transactions, trace_hash, .. } = summary;
    println!(
        "{} s simulated in {seconds:.0} s: {blocks} blocks, {transactions} transactions; trace {trace_hash:016x}",
        simulated_ms / 1_000
    );
    if let Some(rate) = hours_per_minute(*simulated_ms, cpu_seconds()) {
        println!("{rate:.2} simulated hours per processor minute");
    }
    for (what, count) in &summary.counts {
        println!("{count:>12} {what}");
    }
    println!("{} passed, {} failed, 0 skipped", summary.passed, summary.failed.len());
}

/// Processor time of this process so far, in seconds; nothing where the system does not tell.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses and may hold anything; user and system time are the 12th and 13th after it.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: f64 = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// Simulated hours per minute of processor time.
fn hours_per_minute(simulated_ms: u64, cpu_seconds: Option<f64>) -> Option<f64> {
    let minutes = cpu_seconds.filter(|seconds| *seconds > 0.0)? / 60.0;
    let hours = std::time::Duration::from_millis(simulated_ms).as_secs_f64() / 3_600.0;
    Some(hours / minutes)
}

fn report(consensus: ConsensusKind, outcome: &Outcome) {
    match &outcome.failure {
        None => println!(
            "seed {} passed: {} s simulated, {} blocks, {} transactions, trace {:016x}",
            outcome.seed,
            outcome.simulated_ms / 1_000,
            outcome.blocks,
            outcome.transactions,
            outcome.trace_hash
        ),
        Some(failure) => println!(
            "seed {} FAILED at {} ms: {}: {}\n  lian sim --consensus {} --seed {} --explain",
            outcome.seed,
            failure.time_ms,
            failure.invariant,
            failure.what,
            consensus.name(),
            outcome.seed
        ),
    }
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds; an example: 0..300");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = from.trim().parse().map_err(|_| wrong())?;
    let to = to.trim().parse().map_err(|_| wrong())?;
    if from < to { Ok(from..to) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("3..7"), Ok(3..7));
        for wrong in ["", "3", "7..3", "3..3", "a..b", "-1..2"] {
            assert!(parse_range(wrong).unwrap_err().contains("no range"), "{wrong}");
        }
    }
}
