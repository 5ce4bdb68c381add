//! From a scenario that breaks a rule to a shorter one that breaks the same.

use crate::{
    run::{Failure, Options, run_scenario},
    scenario::Scenario,
};
use std::time::{Duration, Instant};

/// How long shrinking goes on at most; the best so far counts then.
const SHRINKING_MAX: Duration = Duration::from_secs(60);
/// The shortest time for clients that is tried, in milliseconds.
const LOAD_MS_MIN: u64 = 2_000;
/// How long the shortened simulation goes on after clients have stopped, in milliseconds.
const REST_MS: u64 = 2_000;

/// A scenario that breaks the same rule as `scenario` does, with fewer faults and members, less load and a shorter time
/// where that can be found within a minute. Nothing where `scenario` breaks no rule.
#[must_use]
pub fn shrink(scenario: &Scenario) -> Option<(Scenario, Failure)> {
    let broken = run_scenario(scenario, &Options::default()).failure?;
    let end = Instant::now() + SHRINKING_MAX;
    shrink_by(scenario, broken, |candidate, invariant| {
        if Instant::now() >= end {
            return None;
        }
        let failure = run_scenario(candidate, &Options::default()).failure;
        failure.filter(|failure| failure.invariant == invariant)
    })
}

/// Takes the first simpler scenario that still breaks the rule, again and again. `check` says how a scenario breaks it.
fn shrink_by(
    scenario: &Scenario,
    mut failure: Failure,
    mut check: impl FnMut(&Scenario, &'static str) -> Option<Failure>,
) -> Option<(Scenario, Failure)> {
    let mut best = scenario.clone();
    loop {
        let found = simpler(&best, &failure).into_iter().find_map(|candidate| {
            let failure = check(&candidate, failure.invariant)?;
            Some((candidate, failure))
        });
        let Some((candidate, next)) = found else { return Some((best, failure)) };
        (best, failure) = (candidate, next);
    }
}

/// Scenarios that are one step simpler, the most promising first.
fn simpler(scenario: &Scenario, failure: &Failure) -> Vec<Scenario> {
    let mut found = Vec::new();
    let change = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        candidate
    };
    // What comes after the failure explains nothing.
    let end_ms = failure.time_ms.max(LOAD_MS_MIN);
    if scenario.faults.iter().any(|fault| fault.from_ms > end_ms) {
        found.push(change(&|it| it.faults.retain(|fault| fault.from_ms <= end_ms)));
    }
    for index in 0..scenario.faults.len() {
        found.push(change(&|it| {
            it.faults.remove(index);
        }));
    }
    for index in 0..scenario.byzantine.len() {
        // A twin's second machine may be named by faults, so that it goes after them.
        let named = |machine: usize| scenario.faults.iter().any(|fault| fault.fault.names(machine));
        if !(scenario.nodes()..scenario.machines()).any(named) {
            found.push(change(&|it| {
                it.byzantine.remove(index);
            }));
            if scenario.byzantine[index].twin.is_some() {
                found.push(change(&|it| it.byzantine[index].twin = None));
            }
        }
        for rule in 0..scenario.byzantine[index].rules.len() {
            found.push(change(&|it| {
                it.byzantine[index].rules.remove(rule);
            }));
        }
    }
    // Changes of members name the nodes.
    let nodes_may_go = scenario.byzantine.is_empty() && !scenario.has_changes();
    if scenario.observers > 0 && nodes_may_go {
        found.push(change(&|it| it.observers = 0));
    }
    if scenario.skews_ms.iter().any(|skew| *skew != 0) {
        found.push(change(&|it| it.skews_ms.clear()));
    }
    if scenario.members > 4 && nodes_may_go {
        found.push(change(&|it| it.members = 4));
    }
    found.extend(lighter(scenario));
    found
}

/// The same with less load, or shorter.
fn lighter(scenario: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    let load = scenario.load;
    if load.rivals_permille > 0 || load.copies_permille > 0 {
        let mut candidate = scenario.clone();
        (candidate.load.rivals_permille, candidate.load.copies_permille) = (0, 0);
        found.push(candidate);
    }
    if load.burst > 1 {
        let mut candidate = scenario.clone();
        candidate.load.burst = load.burst / 2;
        found.push(candidate);
    }
    let last = scenario.faults.iter().map(|fault| fault.until_ms.unwrap_or(fault.from_ms)).max().unwrap_or(0);
    let load_end_ms = (scenario.load_end_ms / 2).max(LOAD_MS_MIN);
    if load_end_ms < scenario.load_end_ms {
        let mut candidate = scenario.clone();
        candidate.load_end_ms = load_end_ms;
        candidate.heal_ms = candidate.heal_ms.min(last.max(load_end_ms));
        candidate.end_ms = load_end_ms.max(candidate.heal_ms).saturating_add(REST_MS).min(scenario.end_ms);
        found.push(candidate);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Byzantine, Down, Fault, Rule, Target, Trick};

    /// Breaks where node 2 is cut off and somebody sends other results; what else happens does not matter.
    fn artificial(scenario: &Scenario, invariant: &'static str) -> Option<Failure> {
        let is_cut = scenario.faults.iter().any(|fault| fault.fault.names(2));
        let lies = scenario.byzantine.iter().flat_map(|it| &it.rules).any(|rule| rule.trick == Trick::OtherResult);
        let failure = Failure { time_ms: 9_000, invariant, what: String::new(), story: String::new() };
        (is_cut && lies && scenario.load_end_ms >= 5_000).then_some(failure)
    }

    #[test]
    fn only_what_is_needed_remains() {
        let mute = |node| Fault::Mute { target: Target::Node(node), noticed: false };
        let rules = [Trick::Duplicate, Trick::OtherResult, Trick::Replay].map(Rule::always).to_vec();
        let scenario = Scenario::calm(1, 4, 60_000)
            .with(1_000, Some(2_000), mute(1))
            .with(3_000, Some(4_000), mute(2))
            .with(5_000, Some(6_000), Fault::CrashAll { down: Down::Kill })
            .with(30_000, None, mute(2))
            .with_byzantine(Byzantine { member: 3, twin: None, rules });
        let failure = artificial(&scenario, "artificial").unwrap();
        let (found, failure) = shrink_by(&scenario, failure, artificial).unwrap();
        assert_eq!(failure.invariant, "artificial");
        assert_eq!(found.faults.len(), 1, "{found}");
        assert_eq!(found.faults[0].from_ms, 3_000);
        assert_eq!(found.byzantine[0].rules, [Rule::always(Trick::OtherResult)]);
        assert!((5_000..10_000).contains(&found.load_end_ms), "{found}");
    }

    #[test]
    fn a_simulation_that_breaks_a_rule_is_shortened() {
        // More members are faulty than may be: progress ends.
        let cut = Fault::Partition { side: vec![0, 1], noticed: true };
        let other = Fault::Crash { target: Target::Node(3), down: Down::Kill };
        let scenario = Scenario::calm(1, 4, 60_000).with(3_000, None, cut).with(2_500, Some(2_600), other);
        let (found, failure) = shrink(&scenario).unwrap();
        assert_eq!(failure.invariant, "progress");
        assert_eq!(found.faults.len(), 1, "{found}");
        assert!(found.end_ms < scenario.end_ms, "{found}");
        assert!(shrink(&Scenario::calm(1, 4, 5_000)).is_none());
    }
}
