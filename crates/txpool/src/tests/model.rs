//! The pool against a naive model, which recomputes everything from plain lists after each step.

use super::*;
use crate::{DropReason, Finality, Skip, Standing};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const ACCOUNTS: u8 = 4;
const NONCES: u64 = 10;

/// A transaction is named by account, nonce and price.
type Name = (u8, u64, u128);

#[derive(Clone, Debug)]
enum Step {
    Admit { name: Name, local: bool },
    AddBody(Name),
    ProposeSelected { take: usize },
    ProposeOthers { names: Vec<Name> },
    Discard { open: usize },
    Finalize { others: Vec<Name> },
    Wait(u64),
}

fn name() -> impl Strategy<Value = Name> {
    (1..=ACCOUNTS, 0..NONCES, 0u128..3)
}

fn step() -> impl Strategy<Value = Step> {
    let names = || prop::collection::btree_set(name(), 0..4).prop_map(|names| names.into_iter().collect::<Vec<_>>());
    prop_oneof![
        12 => (name(), any::<bool>()).prop_map(|(name, local)| Step::Admit { name, local }),
        3 => name().prop_map(Step::AddBody),
        3 => (1usize..6).prop_map(|take| Step::ProposeSelected { take }),
        2 => names().prop_map(|names| Step::ProposeOthers { names }),
        1 => (0usize..4).prop_map(|open| Step::Discard { open }),
        3 => names().prop_map(|others| Step::Finalize { others }),
        2 => (1u64..400).prop_map(Step::Wait),
    ]
}

#[derive(Default)]
struct Model {
    now: u64,
    /// Pooled transactions by account and nonce, with the time since which they are ready.
    pooled: BTreeMap<(u8, u64), (Name, Option<u64>)>,
    /// Names whose bodies the pool has been given.
    bodies: BTreeSet<Name>,
    open: BTreeMap<u64, Vec<Name>>,
    finals: BTreeMap<u8, u64>,
    final_names: BTreeSet<Name>,
    height: u64,
    digests: u8,
}

impl Model {
    fn nonce(&self, account: u8) -> u64 {
        self.finals.get(&account).copied().unwrap_or(0)
    }

    fn promised(&self, account: u8, nonce: u64) -> bool {
        let mut open = self.open.values().flatten();
        open.any(|name| name.0 == account && name.1 == nonce && self.bodies.contains(name))
    }

    fn standing(&self, account: u8, nonce: u64) -> Standing {
        let filled = |n| self.pooled.contains_key(&(account, n)) || self.promised(account, n);
        if self.promised(account, nonce) {
            Standing::Proposed
        } else if (self.nonce(account)..nonce).all(filled) {
            Standing::Ready
        } else {
            Standing::Queued
        }
    }

    fn is_open(&self, name: &Name) -> bool {
        self.open.values().flatten().any(|open| open == name)
    }

    /// Updates since when transactions are ready.
    fn note_ready(&mut self) {
        let keys: Vec<_> = self.pooled.keys().copied().collect();
        for (account, nonce) in keys {
            let ready = self.standing(account, nonce) == Standing::Ready;
            let now = self.now;
            let since = &mut self.pooled.get_mut(&(account, nonce)).unwrap().1;
            *since = ready.then(|| since.unwrap_or(now));
        }
    }

    fn check(&self, pool: &Pool) {
        pool.assert_sound();
        for ((account, nonce), (name, _)) in &self.pooled {
            let hash = hash(name);
            assert!(pool.contains(&hash), "{name:?} is lost");
            assert_eq!(pool.standing(&hash), Some(self.standing(*account, *nonce)), "{name:?}");
        }
        let queued = self.pooled.keys().filter(|(a, n)| self.standing(*a, *n) == Standing::Queued).count();
        let counts = pool.counts();
        assert_eq!((counts.pending + counts.queued, counts.queued), (self.pooled.len(), queued));
        let ready = self.pooled.values().filter_map(|(name, since)| since.map(|_| hash(name)));
        let selected = pool.select(ALL);
        assert_eq!(
            ready.collect::<BTreeSet<_>>(),
            selected.iter().copied().collect(),
            "exactly the ready are selected"
        );
        let mut next = BTreeMap::new();
        for hash in &selected {
            let body = pool.get(hash).unwrap();
            let nonce = body.transaction().nonce();
            assert!(next.insert(body.sender(), nonce) < Some(nonce), "an account's nonces rise, none twice");
        }
        let oldest = self.pooled.values().filter_map(|(_, since)| *since).min();
        assert_eq!(pool.eligible_since(), oldest.map(Millis));
        let pending = self.pooled.iter().filter(|((a, n), _)| self.standing(*a, *n) != Standing::Queued);
        // Whatever has become final: all that waits has waited for no time.
        let found = pool.overdue(Millis(u64::MAX), 0, usize::MAX);
        assert_eq!(
            found.iter().map(|one| one.hash()).collect::<BTreeSet<_>>(),
            pending.map(|(_, (name, _))| hash(name)).collect(),
            "what is not queued can be relayed"
        );
        assert_eq!(pool.overdue_at(0).is_some(), !found.is_empty());
        for name in self.open.values().flatten().filter(|name| self.bodies.contains(*name)) {
            assert!(pool.get(&hash(name)).is_some(), "the body of {name:?} is needed");
        }
    }

    fn run(&mut self, pool: &mut Pool, step: Step) {
        match step {
            Step::Admit { name, local } => self.admit(pool, name, local),
            Step::AddBody(name) => {
                let expected = self.is_open(&name);
                assert_eq!(pool.add_body(Millis(self.now), body(&name)).is_ok(), expected);
                if expected {
                    self.bodies.insert(name);
                }
            }
            Step::ProposeSelected { take } => {
                let selected = pool.select(SelectLimits { count: take, ..ALL });
                let find = |hash: &TxHash| self.pooled.values().find(|(name, _)| self::hash(name) == *hash).unwrap().0;
                let names = selected.iter().map(find).collect();
                self.propose(pool, names);
            }
            Step::ProposeOthers { names } => self.propose(pool, names),
            Step::Discard { open } => {
                let from = self.height + 1 + open as u64;
                pool.unproposed(Millis(self.now), height(from));
                self.open.split_off(&from);
            }
            Step::Finalize { others } => self.finalize(pool, others),
            Step::Wait(time) => {
                self.now += time;
                for dropped in pool.expire(Millis(self.now)) {
                    assert!(matches!(dropped.reason, DropReason::ExpiredReady | DropReason::ExpiredQueued));
                    self.drop(dropped.hash);
                }
            }
        }
        let open: BTreeSet<_> = self.open.values().flatten().copied().collect();
        self.bodies.retain(|name| open.contains(name) || pool.get(&hash(name)).is_some());
        self.note_ready();
    }

    fn drop(&mut self, hash: TxHash) {
        let before = self.pooled.len();
        self.pooled.retain(|_, (name, _)| self::hash(name) != hash);
        assert_eq!(self.pooled.len() + 1, before, "what is dropped was pooled");
    }

    fn admit(&mut self, pool: &mut Pool, name: Name, local: bool) {
        let (account, nonce_, price) = name;
        let origin = if local { Origin::Local } else { Origin::Peer };
        let result = pool.admit(Millis(self.now), body(&name), origin, &nonce(self.nonce(account)));
        let existing = self.pooled.get(&(account, nonce_)).map(|(name, _)| *name);
        match result {
            Ok(admitted) => {
                assert!(nonce_ >= self.nonce(account) && !self.final_names.contains(&name));
                assert_eq!(admitted.replaced, existing.map(|old| hash(&old)));
                assert!(existing.is_none_or(|old| price > old.2 && !self.promised(account, nonce_)));
                for dropped in admitted.dropped {
                    self.drop(dropped.hash);
                }
                let since = self.pooled.get(&(account, nonce_)).and_then(|(_, since)| *since);
                self.pooled.insert((account, nonce_), (name, since));
                self.bodies.insert(name);
                assert_eq!(admitted.standing, self.standing(account, nonce_));
            }
            Err(Refusal::NonceTooLow { .. }) => assert!(nonce_ < self.nonce(account)),
            Err(Refusal::AlreadyFinal(_)) => assert!(self.final_names.contains(&name)),
            Err(Refusal::AlreadyKnown(_)) => assert_eq!(existing, Some(name)),
            Err(Refusal::Underpriced { .. }) => {
                assert!(existing.is_some_and(|old| price <= old.2 || self.promised(account, nonce_)));
            }
            Err(Refusal::AccountQueueFull { .. }) => {
                let behind = |n: &u64| self.standing(account, *n) == Standing::Queued;
                let queued = self.pooled.keys().filter(|(a, n)| *a == account && behind(n)).count();
                assert!(queued >= 3 && behind(&nonce_));
            }
            Err(Refusal::AccountFull { .. }) => {
                assert!(self.pooled.keys().filter(|(a, _)| *a == account).count() >= 6);
            }
            Err(Refusal::Full { .. }) => assert!(self.pooled.len() >= 14),
            Err(other) => panic!("{other}"),
        }
    }

    fn propose(&mut self, pool: &mut Pool, names: Vec<Name>) {
        let next = self.height + 1 + self.open.len() as u64;
        let next = if next > self.height + 3 { self.height + 1 } else { next };
        self.digests = self.digests.wrapping_add(1);
        let hashes: Vec<_> = names.iter().map(hash).collect();
        pool.proposed(Millis(self.now), height(next), digest(self.digests), &hashes);
        self.open.insert(next, names);
        let missing = pool.missing(&hashes);
        let lacking: Vec<_> = self.open[&next].iter().filter(|name| !self.bodies.contains(*name)).map(hash).collect();
        assert_eq!(missing, lacking);
    }

    /// Executes the next open proposal, or other transactions as if catching up, by the rule of nonces.
    fn finalize(&mut self, pool: &mut Pool, others: Vec<Name>) {
        self.height += 1;
        let names = self.open.remove(&self.height).unwrap_or(others);
        let (mut included, mut skipped) = (Vec::new(), Vec::new());
        let mut nonces = BTreeMap::new();
        for name in names {
            let next = self.nonce(name.0);
            match name.1.cmp(&next) {
                std::cmp::Ordering::Less => skipped.push((hash(&name), Skip::NonceTooLow)),
                std::cmp::Ordering::Greater => skipped.push((hash(&name), Skip::NonceTooHigh)),
                std::cmp::Ordering::Equal => {
                    included.push(hash(&name));
                    self.final_names.insert(name);
                    self.finals.insert(name.0, next + 1);
                    nonces.insert(Address::repeat_byte(name.0), next + 1);
                }
            }
        }
        let nonces: Vec<_> = nonces.into_iter().collect();
        let block = Finality { height: height(self.height), included: &included, skipped: &skipped, nonces: &nonces };
        let dropped: BTreeSet<_> =
            pool.finalized(Millis(self.now), &block).iter().map(|dropped| dropped.hash).collect();
        let mut expected = BTreeSet::new();
        let finals = &self.finals;
        let final_names = &self.final_names;
        self.pooled.retain(|(account, nonce), (name, _)| {
            let stays = *nonce >= finals.get(account).copied().unwrap_or(0);
            if !stays && !final_names.contains(name) {
                expected.insert(hash(name));
            }
            stays
        });
        assert_eq!(dropped, expected, "overtaken ones are dropped, all others stay or are final");
    }
}

fn body(name: &Name) -> Arc<VerifiedTransaction> {
    transfer(name.0, name.1, name.2)
}

fn hash(name: &Name) -> TxHash {
    body(name).hash()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_does_what_the_model_says(steps in prop::collection::vec(step(), 1..80)) {
        let mut pool = Pool::new(PoolConfig {
            account_transactions_max: 6,
            account_queued_max: 3,
            transactions_max: 16,
            ready_max: Millis(1_000),
            queued_max: Millis(300),
            ..PoolConfig::new(LIMITS)
        });
        let mut model = Model::default();
        for step in steps {
            model.run(&mut pool, step);
            model.check(&pool);
        }
    }
}
