//! The search: breadth first over what the three honest members can be together.
//!
//! *Why it is enough to go from one visible event of a member to its next.* Whatever was sent stays deliverable, so an
//! event of one member never takes anything from another: events of different members can be swapped unless the one
//! sends what the other takes. An event that sends and decides nothing (a *silent* one) can therefore be put off until
//! just before the next visible event of the same member, and left out where there is none. A *burst* is some silent events
//! of one member and a visible one. A burst is left out where its last event was visible already before its last but one
//! and the two lead to the same state in the other order too: then the shorter burst leads there. Every run can be turned
//! into one of bursts that are explored, with the same messages sent and the same decisions.
//!
//! *Why votes come in groups.* A vote changes a machine beyond its set of votes only together with others of the same
//! phase, view, height and proposal (a commit without a result, once its height is ordered, alone as well). So it can be
//! put off until the one that makes it count; what is tried is every set of votes of one group.

use crate::local::{Event, Local};
use crate::soup::{Group, Soup};
use crate::world::{Id, QUORUM, Scope, World};
use alloy_primitives::B256;
use lian_types::View;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

/// Hashes small keys of our own making.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// The number of a member's state.
type Number = u32;

/// Where a burst leads, and its events.
type Burst = (Number, Rc<[Event]>);

/// What all honest members are together.
pub(crate) type State = [Number; 3];

/// What an exploration found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    /// Bursts on the longest of the shortest ways to a state.
    pub(crate) depth: usize,
    pub(crate) member_states: usize,
    pub(crate) messages: usize,
    /// Whether every state of the scope was visited.
    pub(crate) complete: bool,
    /// What is wrong, and how it comes to it.
    pub(crate) violation: Option<String>,
}

pub(crate) struct Search {
    pub(crate) world: World,
    pub(crate) locals: Vec<Local>,
    numbers: HashMap<B256, Number>,
    /// The set of sent messages of each member's state.
    sent: Vec<u32>,
    sets: BTreeMap<BTreeSet<Id>, u32>,
    steps: Map<(Number, Event), Option<(Number, bool)>>,
    soups: Map<[u32; 3], Rc<Soup>>,
    bursts: Map<(Number, [u32; 3]), Rc<[Burst]>>,
    visited: Map<State, u32>,
    pub(crate) order: Vec<(State, u32)>,
    /// Two machines that were taken for equal although their whole texts differ.
    pub(crate) pairs: Vec<(Local, Local)>,
    text: String,
}

/// How many pairs of states taken for equal are kept.
const PAIRS_MAX: usize = 2_000;

impl Search {
    pub(crate) fn new(scope: Scope) -> Self {
        let mut search = Self {
            world: World::new(scope),
            locals: Vec::new(),
            numbers: HashMap::new(),
            sent: Vec::new(),
            sets: BTreeMap::new(),
            steps: Map::default(),
            soups: Map::default(),
            bursts: Map::default(),
            visited: Map::default(),
            order: Vec::new(),
            pairs: Vec::new(),
            text: String::new(),
        };
        let honest = search.world.honest();
        let start = honest.map(|index| {
            let local = Local::new(&mut search.world, index);
            search.number(local)
        });
        search.visited.insert(start, 0);
        search.order.push((start, 0));
        search
    }

    fn number(&mut self, local: Local) -> Number {
        let fingerprint = local.fingerprint(&self.world, &mut self.text);
        if let Some(number) = self.numbers.get(&fingerprint) {
            if self.pairs.len() < PAIRS_MAX {
                let known = &self.locals[*number as usize];
                if format!("{:?}", known.machine) != format!("{:?}", local.machine) {
                    self.pairs.push((known.clone(), local));
                }
            }
            return *number;
        }
        let number = Number::try_from(self.locals.len()).unwrap();
        let next = u32::try_from(self.sets.len()).unwrap();
        self.sent.push(*self.sets.entry(local.sent.clone()).or_insert(next));
        self.locals.push(local);
        self.numbers.insert(fingerprint, number);
        number
    }

    /// The state of a member after an event; none where the event leads out of the scope.
    fn after(&mut self, from: Number, event: &Event) -> Option<Number> {
        self.step(from, event).map(|(to, _)| to)
    }

    /// The same, and whether some height reached a new stage.
    fn step(&mut self, from: Number, event: &Event) -> Option<(Number, bool)> {
        if let Some(known) = self.steps.get(&(from, event.clone())) {
            return *known;
        }
        let local = self.locals[from as usize].after(&mut self.world, event);
        let in_scope = local.machine.status().promised < View(self.world.scope.views);
        let progressed = local.progressed;
        let step = in_scope.then(|| (self.number(local), progressed));
        self.steps.insert((from, event.clone()), step);
        step
    }

    fn is_visible(&self, from: Number, to: Number) -> bool {
        !self.locals[from as usize].looks_like(&self.locals[to as usize])
    }

    fn soup(&mut self, key: [u32; 3], state: &State) -> Rc<Soup> {
        if let Some(soup) = self.soups.get(&key) {
            return Rc::clone(soup);
        }
        let sent = state.iter().flat_map(|number| self.locals[*number as usize].sent.iter().copied()).collect();
        let soup = Rc::new(Soup::new(&mut self.world, &sent));
        self.soups.insert(key, Rc::clone(&soup));
        soup
    }

    /// Explores until all is visited, something is wrong, or the scope's number of states is reached.
    pub(crate) fn run(&mut self) -> Outcome {
        let (mut next, mut level_end, mut depth) = (0, 1, 0);
        let mut violation = None;
        while next < self.order.len() && violation.is_none() && self.order.len() < self.world.scope.states_max {
            if next == level_end {
                level_end = self.order.len();
                depth += 1;
            }
            violation = self.expand(next);
            next += 1;
        }
        Outcome {
            states: self.order.len(),
            depth: depth + usize::from(self.order.len() > level_end),
            member_states: self.locals.len(),
            messages: self.world.messages.len(),
            complete: next == self.order.len() && violation.is_none(),
            violation,
        }
    }

    /// Visits what follows from a state in one burst.
    fn expand(&mut self, at: usize) -> Option<String> {
        let (state, _) = self.order[at];
        let key = state.map(|number| self.sent[number as usize]);
        let soup = self.soup(key, &state);
        if let Some(wrong) = soup.wrong.clone() {
            return Some(self.story(at, &wrong));
        }
        let crashes: u8 = state.iter().map(|number| self.locals[*number as usize].crashes).sum();
        for position in 0..3 {
            for (target, _) in self.bursts(state[position], key, &soup).iter() {
                let mut successor = state;
                successor[position] = *target;
                let local = &self.locals[*target as usize];
                let crashed = local.crashes - self.locals[state[position] as usize].crashes;
                if crashes + crashed > self.world.scope.crashes || self.visited.contains_key(&successor) {
                    continue;
                }
                let wrong = local.wrong.clone().or_else(|| self.disagreement(&successor));
                self.visited.insert(successor, u32::try_from(self.order.len()).unwrap());
                self.order.push((successor, u32::try_from(at).unwrap()));
                if let Some(wrong) = wrong {
                    return Some(self.story(self.order.len() - 1, &wrong));
                }
            }
        }
        None
    }

    /// Two members that decided differently.
    fn disagreement(&self, state: &State) -> Option<String> {
        let [a, b, c] = state.map(|number| &self.locals[number as usize]);
        for (one, two) in [(a, b), (a, c), (b, c)] {
            let ordered =
                one.ordered.iter().any(|(height, digest)| two.ordered.get(height).is_some_and(|d| d != digest));
            let finals = one.finals.iter().any(|(height, block)| two.finals.get(height).is_some_and(|b| b != block));
            if ordered || finals {
                return Some(format!("members {} and {} decided differently", one.index, two.index));
            }
        }
        None
    }

    /// The minimal bursts of a member.
    fn bursts(&mut self, from: Number, key: [u32; 3], soup: &Soup) -> Rc<[Burst]> {
        if let Some(known) = self.bursts.get(&(from, key)) {
            return Rc::clone(known);
        }
        let found = self.find_bursts(from, soup);
        let found: Rc<[Burst]> = found.into_iter().map(|(to, events)| (to, events.into())).collect();
        self.bursts.insert((from, key), Rc::clone(&found));
        found
    }

    fn find_bursts(&mut self, from: Number, soup: &Soup) -> BTreeMap<Number, Vec<Event>> {
        let mut found = BTreeMap::new();
        let mut paths: BTreeMap<Number, (usize, Vec<Event>)> = BTreeMap::from([(from, (0, vec![]))]);
        let mut before: BTreeMap<Number, Vec<(Number, Event)>> = BTreeMap::new();
        let mut level = vec![from];
        for depth in 1.. {
            let mut candidates = Vec::new();
            let mut deeper = Vec::new();
            for at in std::mem::take(&mut level) {
                for (event, to) in self.events(at, soup) {
                    if self.is_visible(at, to) {
                        candidates.push((at, event, to));
                    } else {
                        let path = [paths[&at].1.as_slice(), std::slice::from_ref(&event)].concat();
                        let known = paths.entry(to).or_insert_with(|| {
                            deeper.push(to);
                            (depth, path)
                        });
                        if known.0 == depth {
                            before.entry(to).or_default().push((at, event));
                        }
                    }
                }
            }
            for (at, event, to) in candidates {
                let earlier = before.get(&at).cloned().unwrap_or_default();
                if !earlier.iter().any(|(earlier, last)| self.commutes(*earlier, last, &event, to)) {
                    found.entry(to).or_insert_with(|| [paths[&at].1.as_slice(), &[event]].concat());
                }
            }
            if deeper.is_empty() {
                break;
            }
            level = deeper;
        }
        if self.world.scope.crashes > self.locals[from as usize].crashes {
            self.crash(from, &mut found, &paths);
        }
        found
    }

    /// Whether `event` is visible before `last` too, and the two then lead to the same state.
    fn commutes(&mut self, from: Number, last: &Event, event: &Event, to: Number) -> bool {
        self.after(from, event).is_some_and(|other| self.is_visible(from, other) && self.after(other, last) == Some(to))
    }

    /// A crash before anything, and during the last event of each burst at each of its persists.
    fn crash(
        &mut self,
        from: Number,
        found: &mut BTreeMap<Number, Vec<Event>>,
        paths: &BTreeMap<Number, (usize, Vec<Event>)>,
    ) {
        let mut all = vec![(from, vec![], Event::Crash(Box::new(Event::Tick), 0))];
        for events in found.values() {
            let (last, silent) = events.split_last().unwrap();
            let at = paths.iter().find(|(_, (_, path))| path == silent).map(|(at, _)| *at).unwrap();
            let target = self.locals[at as usize].persists(&mut self.world, last);
            for persists in 1..=target {
                all.push((at, silent.to_vec(), Event::Crash(Box::new(last.clone()), persists)));
            }
        }
        for (at, silent, event) in all {
            if let Some(to) = self.after(at, &event) {
                found.entry(to).or_insert_with(|| [silent.as_slice(), &[event]].concat());
            }
        }
    }

    /// What can happen to a member next and changes it: all of it where it is visible, and what may matter later.
    fn events(&mut self, at: Number, soup: &Soup) -> Vec<(Event, Number)> {
        let mut events = Vec::new();
        for event in std::iter::once(&Event::Tick).chain(&soup.singles) {
            if !self.locals[at as usize].may_take(&self.world, event) {
                continue;
            }
            if let Some(to) = self.after(at, event).filter(|to| *to != at) {
                events.push((event.clone(), to));
            }
        }
        for group in &soup.groups {
            self.group_events(at, group, &mut events);
        }
        events
    }

    /// The sets of votes of one group that make a difference beyond the set of votes.
    fn group_events(&mut self, at: Number, group: &Group, events: &mut Vec<(Event, Number)>) {
        let own = self.locals[at as usize].index;
        let mut counted = 0;
        let mut others = Vec::new();
        for (signer, id) in &group.votes {
            if usize::from(signer.0) == own {
                counted += 1;
            } else {
                match self.after(at, &Event::Deliver(vec![*id])) {
                    Some(to) if to == at => counted += 1,
                    Some(_) => others.push((*signer, *id)),
                    None => {}
                }
            }
        }
        let mut visible: Vec<(Vec<Id>, Number)> = Vec::new();
        for set in subsets(&others) {
            let Some((to, progressed)) = self.step(at, &Event::Deliver(set.clone())) else { continue };
            if self.is_visible(at, to) {
                let smaller = visible.iter().filter(|(smaller, _)| smaller.iter().all(|id| set.contains(id)));
                let smaller: Vec<_> = smaller.cloned().collect();
                let covered = smaller.iter().any(|(smaller, target)| {
                    let rest = set.iter().filter(|id| !smaller.contains(id)).copied().collect();
                    self.after(*target, &Event::Deliver(rest)) == Some(to)
                });
                if !covered {
                    events.push((Event::Deliver(set.clone()), to));
                    visible.push((set, to));
                }
            } else if to != at && (progressed || (!group.prepares && set.len() + counted >= QUORUM)) {
                events.push((Event::Deliver(set), to));
            }
        }
    }

    /// How it came to a state, event by event.
    fn story(&mut self, at: usize, wrong: &str) -> String {
        let mut chain = vec![at];
        while let Some(last) = chain.last().filter(|last| **last != 0) {
            chain.push(self.order[*last].1 as usize);
        }
        chain.reverse();
        let mut story = format!("{wrong}, after {} bursts:", chain.len() - 1);
        for pair in chain.windows(2) {
            let (from, to) = (self.order[pair[0]].0, self.order[pair[1]].0);
            let position = (0..3).find(|position| from[*position] != to[*position]).unwrap();
            let key = from.map(|number| self.sent[number as usize]);
            let bursts = &self.bursts[&(from[position], key)];
            let (_, events) = bursts.iter().find(|(target, _)| *target == to[position]).unwrap();
            let lines: Vec<String> = events.iter().map(|event| self.describe(event)).collect();
            story.push_str(&format!("\n  member {}: {}", self.locals[from[position] as usize].index, lines.join("; ")));
        }
        story
    }

    fn describe(&self, event: &Event) -> String {
        let name = |id: &Id| self.world.name(*id);
        match event {
            Event::Tick => "timers fire".to_owned(),
            Event::Deliver(ids) => format!("takes {}", ids.iter().map(name).collect::<Vec<_>>().join(" and ")),
            Event::CatchUp(id) => format!("catches up to {}", name(id)),
            Event::Crash(event, persists) => {
                format!("{}, but crashes after {persists} persists and restarts", self.describe(event))
            }
        }
    }
}

/// Every set of votes with at most one of each member, small ones first.
fn subsets(votes: &[(lian_types::MemberIndex, Id)]) -> Vec<Vec<Id>> {
    let mut sets: Vec<Vec<Id>> = Vec::new();
    for bits in 1_u32..1 << votes.len() {
        let chosen: Vec<_> =
            votes.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, vote)| vote).collect();
        let signers: BTreeSet<_> = chosen.iter().map(|(signer, _)| signer).collect();
        if signers.len() == chosen.len() {
            sets.push(chosen.iter().map(|(_, id)| *id).collect());
        }
    }
    sets.sort_by_key(Vec::len);
    sets
}
