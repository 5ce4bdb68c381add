//! The verb `lian sim`.

use crate::run::{Options, Outcome, Summary, explain, run, run_range};
use std::{num::NonZeroUsize, ops::Range, thread::available_parallelism, time::Instant};

/// Simulate whole networks with faults and check what must always hold.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// Seeds to run, the last one excluded: `0..300`
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range, required_unless_present = "seed", conflicts_with = "seed")]
    pub seeds: Option<Range<u64>>,
    /// One seed to run
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Tell what happens in the seed, line by line
    #[arg(long, requires = "seed")]
    pub explain: bool,
    /// Seeds that run at once; as many as there are processors where absent
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<NonZeroUsize>,
    /// Begin no further seed after the first that fails
    #[arg(long, requires = "seeds")]
    pub first_failure: bool,
}

/// Runs the verb. Returns the exit code of the program: 0 where every seed passed, else 1.
#[must_use]
pub fn main(arguments: &SimArgs) -> i32 {
    match (arguments.seed, arguments.seeds.clone()) {
        (Some(seed), _) => one(seed, arguments.explain),
        (None, Some(seeds)) => many(seeds, arguments),
        (None, None) => 2,
    }
}

fn one(seed: u64, tell: bool) -> i32 {
    if tell {
        println!("{}", explain(seed));
    }
    let outcome = run(seed, &Options::default());
    report(&outcome);
    let (passed, failed) = if outcome.passed() { (1, 0) } else { (0, 1) };
    println!("{passed} passed, {failed} failed, 0 skipped");
    failed
}

fn many(seeds: Range<u64>, arguments: &SimArgs) -> i32 {
    let jobs = arguments.jobs.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let begun = Instant::now();
    let summary = run_range(seeds, jobs, &|outcome| {
        if !outcome.passed() {
            report(outcome);
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
    for (what, count) in &summary.counts {
        println!("{count:>12} {what}");
    }
    println!("{} passed, {} failed, 0 skipped", summary.passed, summary.failed.len());
}

fn report(outcome: &Outcome) {
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
            "seed {} FAILED at {} ms: {}: {}\n  lian sim --seed {} --explain",
            outcome.seed, failure.time_ms, failure.invariant, failure.what, outcome.seed
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
