//! What a vote log gives back, and what it takes when it is written anew (§3).

use super::{Config, Machine, Own, clock::Clock};
use crate::log::{Log, Tip};
use crate::store::Store;
use crate::wire::{raft_id, to_raft_entry};
use crate::{Base, HardState, Head, LogCondition, Record, Schedule, limits};
use lian_types::{BlockNumber, Millis, SignedVote};
use raft::RawNode;
use std::collections::{BTreeMap, VecDeque};

/// What the records of a vote log amount to.
struct Restored {
    log: Log,
    hard: HardState,
    votes: BTreeMap<BlockNumber, SignedVote>,
    abstains: bool,
    cleared: BlockNumber,
    /// Whether an entry is missing. The base that follows may make up for it: old segments go before new ones.
    has_gap: bool,
}

impl Restored {
    fn take(&mut self, record: Record) {
        match record {
            Record::Base(base) => {
                if self.log.term(base.index) == Some(base.term) && !self.has_gap {
                    self.log.compact(base.index);
                } else {
                    self.log.reset(base);
                    self.has_gap = false;
                }
            }
            Record::Entry(entry) => {
                // What is written anew is there already.
                let is_known = entry.index <= self.log.base().index || self.log.term(entry.index) == Some(entry.term);
                if entry.index > self.log.last_index().saturating_add(1) {
                    self.has_gap = true;
                } else if !is_known {
                    self.log.put(entry);
                }
            }
            Record::HardState(hard) => self.hard = hard,
            Record::Vote(signed) => {
                self.votes.insert(signed.vote.height, signed);
            }
            Record::Cleared { through } => self.cleared = self.cleared.max(through),
            Record::Abstains => self.abstains = true,
        }
    }
}

/// The log of a node that knows no other: that of the first members begins with a configuration, others' wait for one.
fn first_base(config: &Config) -> Base {
    let is_first = config.first_members.contains(&config.key);
    let voters = if is_first { config.first_members.clone() } else { Vec::new() };
    let place = u64::from(is_first);
    Base { index: place, term: place, height: BlockNumber::ZERO, digest: config.genesis, voters, learners: Vec::new() }
}

pub(super) fn restart(
    config: Config,
    schedule: Schedule,
    head: Head,
    records: Vec<Record>,
    condition: LogCondition,
) -> Machine {
    let Some(members) = schedule.at(head.height.next()).cloned() else {
        unreachable!("no members are known for the height above {}", head.height)
    };
    let mut log = Log::new(config.suite, first_base(&config));
    let hard = HardState { term: log.base().term, vote: 0, commit: log.base().index };
    let mut restored =
        Restored { log, hard, votes: BTreeMap::new(), abstains: false, cleared: BlockNumber::ZERO, has_gap: false };
    records.into_iter().for_each(|record| restored.take(record));
    // What is committed was in the log before that was written down.
    restored.has_gap |= restored.hard.commit > restored.log.last_index();
    let is_lost = condition == LogCondition::Lost || restored.has_gap;
    // Alone, nobody remembers what this node has forgotten: it goes on with what was written since, or else from what is
    // final.
    let is_alone = members.members.len() == 1 && members.members.index_of(&config.key).is_some();
    if is_lost && is_alone && (restored.has_gap || restored.log.tip().height < head.height) {
        let (height, digest) = (head.height, head.digest);
        restored.log.reset(Base { index: 1, term: 1, height, digest, voters: vec![config.key], learners: Vec::new() });
        restored.hard = HardState { term: 1, vote: 0, commit: 1 };
        restored.votes.clear();
    }
    restored.abstains = (restored.abstains || is_lost) && !is_alone;
    log = restored.log;
    let mut hard = restored.hard;
    hard.commit = hard.commit.clamp(log.base().index, log.last_index());
    let mut machine = assemble(config, schedule, head, log, hard);
    machine.abstains = restored.abstains;
    machine.cleared = restored.cleared;
    let above = restored.votes.into_iter().filter(|(height, _)| *height > machine.head.height);
    machine.own = above.map(|(height, signed)| (height, Own::Sent(signed))).collect();
    for (height, own) in &machine.own {
        if let Own::Sent(signed) = own {
            machine.votes.entry(*height).or_default().insert(signed.signer, *signed);
        }
    }
    if is_lost {
        let records = if is_alone { machine.live_records() } else { vec![Record::Abstains] };
        machine.push(crate::Effect::Persist(records));
    }
    machine
}

fn assemble(config: Config, schedule: Schedule, head: Head, log: Log, hard: HardState) -> Machine {
    let base = log.base().clone();
    let mut store = Store::new(base.clone(), hard);
    log.entries().for_each(|entry| store.put(to_raft_entry(&entry)));
    let node = node(&config, &base, store);
    let mut keys: BTreeMap<_, _> = base.nodes().map(|key| (raft_id(key), *key)).collect();
    let members = [schedule.at(head.height.next()), schedule.latest()].into_iter().flatten();
    for (_, member) in members.flat_map(|members| members.members.iter()) {
        keys.insert(raft_id(&member.key), member.key);
    }
    Machine {
        clock: Clock::new(config.timing.election_ms, &config.key),
        config,
        schedule,
        node,
        now: Millis::ZERO,
        committed: base.index,
        ordered: Tip { height: base.height, digest: base.digest },
        log,
        certified: head.height,
        recent: head.certificate.iter().map(|one| (head.height, one.clone())).collect(),
        head,
        running: BTreeMap::new(),
        results: BTreeMap::new(),
        bodies: BTreeMap::new(),
        held: VecDeque::new(),
        held_base: None,
        votes: BTreeMap::new(),
        own: BTreeMap::new(),
        certificates: BTreeMap::new(),
        keys,
        connected: BTreeMap::new(),
        pool_ready: false,
        allow_empty: false,
        wanted: None,
        told: (0, 0),
        behind: None,
        resend_at: Millis::ZERO,
        abstains: false,
        cleared: BlockNumber::ZERO,
        handing_over: false,
        halted: false,
        started: false,
        out: Vec::new(),
    }
}

/// The library's part: pre-vote, check-quorum, its own clock replaced by this crate's.
fn node(config: &Config, base: &Base, store: Store) -> RawNode<Store> {
    let raft = raft::Config {
        id: raft_id(&config.key),
        election_tick: usize::from(super::clock::ELECTION_TICKS),
        heartbeat_tick: usize::from(super::clock::HEARTBEAT_TICKS),
        applied: base.index,
        max_size_per_msg: limits::APPEND_BYTES_MAX,
        max_inflight_msgs: limits::APPENDS_IN_FLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        ..raft::Config::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    match RawNode::new(&raft, store, &logger) {
        Ok(node) => node,
        Err(error) => unreachable!("the library refuses a log that was checked: {error}"),
    }
}

impl Machine {
    /// Every record that is still needed, so that a log may be written anew and older ones be dropped.
    #[must_use]
    pub fn live_records(&self) -> Vec<Record> {
        if self.abstains {
            return vec![Record::Abstains];
        }
        let mut records = vec![Record::Base(self.log.base().clone()), Record::HardState(self.node.store().hard())];
        records.extend(self.log.entries().map(Record::Entry));
        if self.cleared > self.head.height {
            records.push(Record::Cleared { through: self.cleared });
        }
        records.extend(self.own.values().filter_map(|own| match own {
            Own::Sent(signed) => Some(Record::Vote(*signed)),
            Own::Signing(_) => None,
        }));
        records
    }
}
