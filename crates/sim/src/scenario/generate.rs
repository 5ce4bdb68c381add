//! Scenarios by chance.

use super::{CrashPoint, Down, Fault, Links, Load, Scenario, Target, TimedFault};
use crate::random::Random;
use lian_types::ConsensusKind;

/// The purpose of the random numbers that make a scenario.
const PURPOSE: u64 = 1;
/// The purpose of those that make a scenario of a Raft group.
const RAFT_PURPOSE: u64 = 9;
/// The purpose of those that damage a disk.
const DAMAGE_PURPOSE: u64 = 5;
/// The purpose of those that change members.
const MEMBERS_PURPOSE: u64 = 7;
/// How many of a thousand seeds change members.
const CHANGES_PERMILLE: u64 = 250;
/// When the first fault may begin: the network has made its first blocks by then.
const FIRST_FAULT_MS: u64 = 2_000;
/// When everything that heals has healed.
const HEAL_MS: u64 = 38_000;
/// When clients stop.
const LOAD_END_MS: u64 = 56_000;
/// Every simulation lasts at least a minute.
const END_MS: u64 = 60_000;
/// An hour, the most that a faulty clock is off.
const HOUR_MS: i64 = 3_600_000;

impl Scenario {
    /// The scenario of a seed, with PBFT.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self::of(ConsensusKind::Pbft, seed)
    }

    /// The scenario of a seed. In a Raft group nobody lies.
    #[must_use]
    pub fn of(consensus: ConsensusKind, seed: u64) -> Self {
        let (mut random, members) = match consensus {
            ConsensusKind::Pbft => {
                let mut random = Random::new(seed, PURPOSE);
                let members = random.choose([1, 4, 4, 4, 4, 4, 4, 4, 7, 7]);
                (random, members)
            }
            ConsensusKind::Raft => {
                let mut random = Random::new(seed, RAFT_PURPOSE);
                let members = random.choose([1, 3, 3, 4, 4, 5, 5, 5, 7]);
                (random, members)
            }
        };
        let mut scenario = Self {
            consensus,
            members,
            observers: usize::from(random.permille(150)),
            window: random.choose([1, 2, 4, 8, 8, 8, 16]),
            leader_term: random.choose([1, 3, 16, 1_024, 1_024]),
            view_timeout_ms: random.choose([(300, 2_000), (500, 4_000), (1_000, 8_000)]),
            censorship_timeout_ms: random.choose([2_000, 5_000]),
            links: links(&mut random),
            sync_us: random.choose([(100, 400), (500, 3_000), (500, 3_000), (5_000, 15_000)]),
            execution_us: random.choose([(100, 20), (200, 50), (2_000, 500)]),
            load: load(&mut random),
            patience_ms: super::CLIENTS_PATIENCE_MS,
            skews_ms: (0..members).map(|_| small_skew(&mut random)).collect(),
            heal_ms: HEAL_MS,
            load_end_ms: LOAD_END_MS,
            end_ms: END_MS,
            ..Self::calm(seed, members, END_MS)
        };
        scenario.fill(&mut random);
        scenario
    }

    /// Adds faults: passing ones of any number, lasting ones of as many members as may be faulty.
    fn fill(&mut self, random: &mut Random) {
        let mut faulty: Vec<usize> = Vec::new();
        while faulty.len() < self.faulty_max() && random.permille(350) {
            let node = random.index(self.members);
            if !faulty.contains(&node) {
                faulty.push(node);
                self.add_lasting(random, node);
            }
        }
        let passing = random.choose([0, 1, 2, 3, 3, 4, 6]);
        for _ in 0..passing {
            let from_ms = random.between((FIRST_FAULT_MS, HEAL_MS - 4_000));
            let length = random.choose([300, 1_000, 3_000, 8_000, 20_000]);
            let until_ms = from_ms.saturating_add(random.between((length / 2, length))).min(HEAL_MS);
            let fault = self.passing(random);
            self.faults.push(TimedFault { from_ms, until_ms: Some(until_ms), fault });
        }
        let mut changes = Random::new(self.seed, MEMBERS_PURPOSE);
        let has_changes = changes.permille(CHANGES_PERMILLE);
        if has_changes {
            self.observers = 1 + changes.index(8 - self.members);
        }
        if self.consensus == ConsensusKind::Pbft {
            self.add_byzantine(&mut faulty);
        }
        self.add_damage(&mut faulty);
        if has_changes {
            self.add_changes(&mut changes, &faulty);
        }
        self.faults.sort_by_key(|fault| fault.from_ms);
    }

    /// Damages the disk of one that may still be faulty: without its votes it is so for a while.
    fn add_damage(&mut self, faulty: &mut Vec<usize>) {
        let mut random = Random::new(self.seed, DAMAGE_PURPOSE);
        let node = random.index(self.members);
        if faulty.len() < self.faulty_max() && !faulty.contains(&node) && random.permille(250) {
            faulty.push(node);
            let from_ms = random.between((FIRST_FAULT_MS, HEAL_MS - 4_000));
            let until_ms = Some(from_ms.saturating_add(random.between((10, 4_000))));
            let fault = Fault::Damage { target: Target::Node(node), misdirected: random.permille(500) };
            self.faults.push(TimedFault { from_ms, until_ms, fault });
        }
    }

    /// Lets the operator change members, never so that more of them are faulty than may be, and parameters.
    fn add_changes(&mut self, random: &mut Random, faulty: &[usize]) {
        for _ in 0..random.choose([1, 2, 3, 4, 6]) {
            let from_ms = random.between((FIRST_FAULT_MS, HEAL_MS));
            let count = 1 + random.index(self.nodes());
            let mut sealers: Vec<usize> = (0..self.nodes()).collect();
            while sealers.len() > count {
                sealers.remove(random.index(sealers.len()));
            }
            let wrong = sealers.iter().filter(|node| faulty.contains(node)).count();
            if wrong <= (count - 1) / 3 {
                self.faults.push(TimedFault { from_ms, until_ms: Some(from_ms), fault: Fault::Members { sealers } });
            }
        }
        if random.permille(300) {
            let from_ms = random.between((FIRST_FAULT_MS, HEAL_MS));
            self.faults.push(TimedFault { from_ms, until_ms: Some(from_ms), fault: Fault::Parameters });
        }
    }

    fn add_lasting(&mut self, random: &mut Random, node: usize) {
        let target = Target::Node(node);
        let from_ms = random.between((FIRST_FAULT_MS, HEAL_MS));
        let noticed = random.permille(300);
        let fault = match random.below(9) {
            0 => Fault::Crash { target, down: down(random) },
            1 | 2 => Fault::Mute { target, noticed },
            3 => Fault::Deaf { target, noticed },
            4 => Fault::Freeze { target },
            5 => Fault::SlowDisk { target, extra_ms: random.choose([50, 400, 2_000]) },
            6 => {
                let until_ms = Some(from_ms.saturating_add(random.between((10, 4_000))).min(HEAL_MS));
                let fault = Fault::LoseVotes { target, gone: random.permille(500) };
                self.faults.push(TimedFault { from_ms, until_ms, fault });
                return;
            }
            7 => {
                let ms = i64::try_from(random.between((100, HOUR_MS.unsigned_abs()))).unwrap_or(HOUR_MS);
                Fault::ClockJump { target, ms: if ms % 2 == 0 { ms } else { -ms } }
            }
            _ => {
                if let Some(skew) = self.skews_ms.get_mut(node) {
                    *skew = if random.permille(500) { HOUR_MS } else { -HOUR_MS };
                }
                return;
            }
        };
        self.faults.push(TimedFault { from_ms, until_ms: None, fault });
    }

    fn passing(&self, random: &mut Random) -> Fault {
        let nodes = self.nodes();
        let target = if random.permille(450) { Target::Leader } else { Target::Node(random.index(nodes)) };
        let noticed = random.permille(400);
        let down_ms = random.choose([10, 100, 1_000, 6_000]);
        match random.below(21) {
            0 => Fault::Loss { permille: random.choose([10, 100, 300, 600]) },
            1 => Fault::Duplication { permille: random.choose([50, 500]) },
            2 => Fault::Delay { permille: random.choose([20, 300, 1_000]), extra_ms: (0, random.choose([20, 300])) },
            // Around the timeouts, where every race between going on and giving up is lost once.
            3 => {
                let timeout = self.view_timeout_ms.0;
                Fault::Delay { permille: random.choose([100, 500]), extra_ms: (timeout * 3 / 4, timeout * 5 / 4) }
            }
            4 => Fault::Mute { target, noticed },
            5 => Fault::Deaf { target, noticed },
            6 => Fault::Cut { from: random.index(nodes), to: random.index(nodes), noticed },
            7 | 8 => Fault::Partition { side: (0..nodes).filter(|_| random.permille(500)).collect(), noticed },
            9 | 10 => Fault::Crash { target, down: down(random) },
            11 => Fault::CrashAll { down: down(random) },
            12..=14 => {
                let point = random.choose([
                    CrashPoint::VoteSync,
                    CrashPoint::VoteDurable,
                    CrashPoint::Sending,
                    CrashPoint::Executed,
                    CrashPoint::BlockSync,
                    CrashPoint::BlockDurable,
                    CrashPoint::Renewal,
                ]);
                Fault::CrashAt { target, point, times: random.choose([1, 1, 3, 10]), down_ms }
            }
            15 | 16 => Fault::PowerLoss {
                target,
                operations: random.choose([0, 3, 20, 200]) + random.below(8),
                times: random.choose([1, 2, 5]),
                down_ms,
            },
            17 => Fault::Freeze { target },
            18 => Fault::SlowDisk { target, extra_ms: random.choose([20, 200, 1_500]) },
            19 => {
                if random.permille(500) {
                    Fault::DiskFull { target, free: random.below(100_000) }
                } else {
                    Fault::SyncFails { target, after: random.below(50) }
                }
            }
            _ => Fault::LoseView { target },
        }
    }
}

fn links(random: &mut Random) -> Links {
    match random.below(5) {
        0 | 1 => Links { delay_us: (100, 500), jitter_us: 200 },
        2 => Links { delay_us: (1_000, 5_000), jitter_us: 2_000 },
        3 => Links { delay_us: (20_000, 80_000), jitter_us: 10_000 },
        _ => Links { delay_us: (500, 20_000), jitter_us: 50_000 },
    }
}

fn load(random: &mut Random) -> Load {
    let (interval_ms, burst) = random.choose([(100, 1), (100, 1), (500, 6), (1_000, 15), (100, 4)]);
    Load {
        interval_ms,
        burst,
        rivals_permille: random.choose([0, 20, 100]),
        copies_permille: random.choose([0, 50, 300]),
    }
}

/// What NTP leaves on an ordinary machine, or a little more.
fn small_skew(random: &mut Random) -> i64 {
    let bound = random.choose([0, 5, 400]);
    i64::try_from(random.below(2 * bound + 1)).unwrap_or(0) - i64::try_from(bound).unwrap_or(0)
}

fn down(random: &mut Random) -> Down {
    if random.permille(500) { Down::Kill } else { Down::PowerLoss }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_keep_to_their_bounds() {
        for seed in 0..2_000 {
            let scenario = Scenario::of_seed(seed);
            assert!(scenario.end_ms >= 60_000, "every seed runs a minute");
            let rate = scenario.load.burst * 1_000 / scenario.load.interval_ms;
            assert!(rate >= 10, "seed {seed}: {rate} transactions a second");
            let lasting = scenario.faults.iter().filter(|fault| fault.until_ms.is_none());
            let lasts = |fault: &&TimedFault| matches!(fault.fault, Fault::LoseVotes { .. } | Fault::Damage { .. });
            let lost = scenario.faults.iter().filter(lasts);
            let wrong = scenario.skews_ms.iter().filter(|skew| skew.abs() >= HOUR_MS).count();
            let faulty = lasting.count() + lost.count() + wrong + scenario.byzantine.len();
            assert!(faulty <= scenario.faulty_max(), "seed {seed}: {faulty} of {} are faulty", scenario.members);
            for fault in &scenario.faults {
                assert!(fault.until_ms.is_none_or(|until| until <= scenario.heal_ms && until >= fault.from_ms));
            }
        }
    }

    #[test]
    fn every_kind_of_fault_occurs() {
        let kinds: std::collections::BTreeSet<_> = (0..600)
            .flat_map(|seed| Scenario::of_seed(seed).faults)
            .map(|fault| format!("{:?}", fault.fault).split([' ', '{']).next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds.len(), 22, "{kinds:?}");
    }
}
