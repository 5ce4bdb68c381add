//! One account's transactions, by nonce.

use crate::queues::{Pending, Queues, Standing};
use lian_types::Millis;
use std::collections::VecDeque;

/// One nonce of an account, of which the pool knows a transaction or a promise.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) nonce: u64,
    /// How many open proposals hold a transaction with this nonce, whether it is the pooled one or another.
    pub(crate) promises: u32,
    pub(crate) pending: Option<Pending>,
}

/// The transactions of one account and the nonces that open proposals promise for it.
///
/// Invariants: slots rise by nonce, none below `final_nonce`; each has a transaction or a promise; the slots from
/// `final_nonce` up to `ready_end` are without gap, and there is none at `ready_end`.
#[derive(Debug)]
pub(crate) struct Account {
    /// The nonce at the final state.
    pub(crate) final_nonce: u64,
    /// Whether `final_nonce` came from the state. An account known from a proposal alone is taken to start with the
    /// lowest nonce promised.
    pub(crate) known: bool,
    /// The first nonce that is neither pooled nor promised: what the account's next transaction should have.
    pub(crate) ready_end: u64,
    /// How many transactions are pooled.
    pub(crate) pooled: usize,
    /// How many of them are queued behind a gap.
    pub(crate) queued: usize,
    slots: VecDeque<Slot>,
}

/// Whether the standing of an account's other transactions may have changed, so that [`Account::settle`] must run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Settled {
    Yes,
    No,
}

impl Account {
    pub(crate) const fn new(final_nonce: u64, known: bool) -> Self {
        Self { final_nonce, known, ready_end: final_nonce, pooled: 0, queued: 0, slots: VecDeque::new() }
    }

    /// Whether nothing is known that is worth remembering.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slot of a nonce.
    pub(crate) fn slot(&self, nonce: u64) -> Option<&Slot> {
        self.position(nonce).ok().and_then(|position| self.slots.get(position))
    }

    /// All slots by rising nonce.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// How a transaction with a nonce would stand.
    pub(crate) fn standing_of(&self, nonce: u64) -> Standing {
        if self.slot(nonce).is_some_and(|slot| slot.promises > 0) {
            Standing::Proposed
        } else if nonce <= self.ready_end {
            Standing::Ready
        } else {
            Standing::Queued
        }
    }

    /// Adds a transaction whose nonce has none, with `promises` for its very hash, and returns how it stands.
    pub(crate) fn insert(&mut self, now: Millis, mut pending: Pending, promises: u32, queues: &mut Queues) -> Standing {
        let nonce = pending.transaction.transaction().nonce();
        self.pooled = self.pooled.saturating_add(1);
        let position = self.position(nonce);
        let promised = position.ok().and_then(|position| self.slots.get(position)).map_or(0, |slot| slot.promises);
        let promises = promised.saturating_add(promises);
        pending.standing = match nonce.cmp(&self.ready_end) {
            _ if promises > 0 => Standing::Proposed,
            std::cmp::Ordering::Greater => Standing::Queued,
            _ => Standing::Ready,
        };
        if pending.standing == Standing::Queued {
            self.queued = self.queued.saturating_add(1);
        }
        queues.enter(&pending);
        let standing = pending.standing;
        match position {
            Ok(position) => {
                if let Some(slot) = self.slots.get_mut(position) {
                    slot.pending = Some(pending);
                    slot.promises = promises;
                }
            }
            Err(position) => {
                let last = position == self.slots.len();
                self.slots.insert(position, Slot { nonce, promises, pending: Some(pending) });
                if nonce == self.ready_end && last {
                    self.ready_end = nonce.saturating_add(1);
                } else if nonce == self.ready_end {
                    self.settle(now, queues);
                }
            }
        }
        standing
    }

    /// Exchanges the transaction of a nonce for another, which takes its place in line. Returns the old one.
    pub(crate) fn replace(&mut self, mut new: Pending, queues: &mut Queues) -> Option<Pending> {
        let position = self.position(new.transaction.transaction().nonce()).ok()?;
        let slot = self.slots.get_mut(position)?;
        let old = slot.pending.take()?;
        queues.leave(&old);
        new.standing = old.standing;
        new.sequence = old.sequence;
        new.since = old.since;
        new.waiting_since = old.waiting_since;
        queues.enter(&new);
        slot.pending = Some(new);
        Some(old)
    }

    /// Takes the transaction of a nonce out. The caller settles the account.
    pub(crate) fn remove(&mut self, nonce: u64, queues: &mut Queues) -> Option<Pending> {
        let position = self.position(nonce).ok()?;
        let slot = self.slots.get_mut(position)?;
        let pending = slot.pending.take()?;
        if slot.promises == 0 {
            self.slots.remove(position);
        }
        self.forget(&pending, queues);
        Some(pending)
    }

    /// Notes that an open proposal holds a transaction with this nonce.
    pub(crate) fn promise(&mut self, nonce: u64, promises: u32, queues: &mut Queues) -> Settled {
        if nonce < self.final_nonce {
            if self.known {
                return Settled::Yes;
            }
            self.final_nonce = nonce;
        }
        match self.position(nonce) {
            Ok(position) => {
                let Some(slot) = self.slots.get_mut(position) else { return Settled::Yes };
                slot.promises = slot.promises.saturating_add(promises);
                match &mut slot.pending {
                    Some(pending) if pending.standing == Standing::Ready => {
                        queues.leave(pending);
                        pending.standing = Standing::Proposed;
                        queues.enter(pending);
                        Settled::Yes
                    }
                    Some(pending) if pending.standing == Standing::Queued => Settled::No,
                    _ => Settled::Yes,
                }
            }
            Err(position) => {
                self.slots.insert(position, Slot { nonce, promises, pending: None });
                Settled::No
            }
        }
    }

    /// Takes one promise of a nonce back.
    pub(crate) fn release(&mut self, nonce: u64) -> Settled {
        let Ok(position) = self.position(nonce) else { return Settled::Yes };
        let Some(slot) = self.slots.get_mut(position) else { return Settled::Yes };
        slot.promises = slot.promises.saturating_sub(1);
        if slot.promises > 0 {
            return Settled::Yes;
        }
        if slot.pending.is_none() {
            self.slots.remove(position);
        }
        Settled::No
    }

    /// Learns the nonce at the final state. Transactions below it are handed out; the caller settles the account.
    /// A nonce never goes back, unless the one known was only a guess.
    pub(crate) fn advance(&mut self, final_nonce: u64, queues: &mut Queues, removed: &mut Vec<Pending>) {
        if self.known && final_nonce <= self.final_nonce {
            return;
        }
        self.known = true;
        self.final_nonce = final_nonce;
        while self.slots.front().is_some_and(|slot| slot.nonce < final_nonce) {
            let slot = self.slots.pop_front();
            if let Some(pending) = slot.and_then(|slot| slot.pending) {
                self.forget(&pending, queues);
                removed.push(pending);
            }
        }
    }

    /// Brings the standing of every transaction up to date after anything but a plain insertion.
    ///
    /// A transaction keeps its place in line, unless the order of nonces demands a later one, or it falls behind a gap.
    pub(crate) fn settle(&mut self, now: Millis, queues: &mut Queues) {
        let mut end = self.final_nonce;
        let mut queued = 0usize;
        let mut last = None;
        for slot in &mut self.slots {
            let contiguous = slot.nonce == end;
            if contiguous {
                end = end.saturating_add(1);
            }
            let Some(pending) = &mut slot.pending else { continue };
            let standing = match (slot.promises, contiguous) {
                (1.., _) => Standing::Proposed,
                (0, true) => Standing::Ready,
                (0, false) => Standing::Queued,
            };
            let out_of_order = contiguous && last.is_some_and(|last| pending.sequence <= last);
            if pending.standing != standing || out_of_order {
                queues.leave(pending);
                if out_of_order || standing == Standing::Queued {
                    pending.sequence = queues.next();
                    pending.since = now;
                }
                if pending.standing != standing {
                    pending.waiting_since = now;
                    pending.standing = standing;
                }
                queues.enter(pending);
            }
            if contiguous {
                last = Some(pending.sequence);
            }
            if standing == Standing::Queued {
                queued = queued.saturating_add(1);
            }
        }
        self.ready_end = end;
        self.queued = queued;
    }

    /// Takes a removed transaction out of the lines and the counts.
    fn forget(&mut self, pending: &Pending, queues: &mut Queues) {
        queues.leave(pending);
        self.pooled = self.pooled.saturating_sub(1);
        if pending.standing == Standing::Queued {
            self.queued = self.queued.saturating_sub(1);
        }
    }

    fn position(&self, nonce: u64) -> Result<usize, usize> {
        // Transactions mostly come and go in order, so the ends are tried first.
        match self.slots.back() {
            Some(last) if last.nonce < nonce => return Err(self.slots.len()),
            None => return Err(0),
            Some(_) => {}
        }
        if self.slots.front().is_some_and(|first| first.nonce == nonce) {
            return Ok(0);
        }
        self.slots.binary_search_by_key(&nonce, |slot| slot.nonce)
    }
}

#[cfg(test)]
impl Account {
    /// Checks the invariants that the type names.
    pub(crate) fn assert_sound(&self) {
        let mut end = self.final_nonce;
        let mut previous = None;
        let mut last_ready = None;
        let (mut pooled, mut queued) = (0, 0);
        for slot in &self.slots {
            assert!(previous < Some(slot.nonce) && slot.nonce >= self.final_nonce, "slots rise from the final nonce");
            previous = Some(slot.nonce);
            assert!(slot.promises > 0 || slot.pending.is_some(), "nonce {} is neither pooled nor promised", slot.nonce);
            let contiguous = slot.nonce == end;
            end += u64::from(contiguous);
            let Some(pending) = &slot.pending else { continue };
            pooled += 1;
            let expected = match (slot.promises > 0, contiguous) {
                (true, _) => Standing::Proposed,
                (false, true) => Standing::Ready,
                (false, false) => Standing::Queued,
            };
            assert_eq!(pending.standing, expected, "nonce {}", slot.nonce);
            queued += usize::from(expected == Standing::Queued);
            if expected == Standing::Ready {
                assert!(last_ready < Some(pending.sequence), "nonce order is place order");
                last_ready = Some(pending.sequence);
            }
        }
        assert_eq!((self.ready_end, self.pooled, self.queued), (end, pooled, queued));
    }
}
