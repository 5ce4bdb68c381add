//! The core's thread, without the thread.

use super::{Node, outbox::Item, work::Work};
use crate::{
    event::{NodeEvent, NodeId},
    message::{Checked, Envelope},
    sim::Sim,
    wallet::{self, Name},
};
use alloy_primitives::TxHash;
use lian_crypto::VerifiedTransaction;
use lian_executor::StateReader;
use lian_group::{
    VOTE_LOG_RENEWAL, account_view,
    core::{Candidate, ConsensusStatus, Effect, GroupMessage, Input, Offence, Recipient, SyncWork},
};
use lian_txpool::{Body, Origin, PoolMessage};
use lian_types::{BlockNumber, Millis, Transaction};
use std::sync::Arc;

/// The longest sleep of the core's thread, in milliseconds; the driver's.
const SLEEP_MS_MAX: u64 = 500;
/// How late a timer comes at most, in microseconds.
const TIMER_LATE_US: u64 = 800;
/// Timers that a core may ask for in a second. One that asks for more would keep a processor busy for nothing.
const TICKS_PER_SECOND_MAX: u32 = 1_500;
/// What may wait in a node's queues: some windows of everything that a height needs.
const QUEUED_MAX: usize = 20_000;

impl Node {
    /// A message arrives that the network's worker threads have decoded.
    pub(crate) fn on_message(&mut self, sim: &mut Sim, from: NodeId, envelope: &Envelope) {
        let key = sim.chain.publics[from];
        if let Some(traitor) = sim.traitors.get_mut(&self.id) {
            traitor.observe(envelope.payload());
        }
        match envelope.payload() {
            GroupMessage::Consensus(message) => match self.verified(sim, envelope) {
                Some((Ok(verified), is_first)) => {
                    if is_first {
                        sim.oracle.votes.verified(message);
                    }
                    self.step(sim, Input::Consensus { from: key, message: verified });
                }
                // Its sender may know of a change of members that is not known here.
                Some((Err(error), _)) if sim.chain.can_change() && !error.is_misbehaviour() => {
                    sim.count("messages of unknown epochs");
                }
                // As the driver does: the message is dropped, its sender blamed.
                Some((Err(error), _)) => {
                    sim.count("messages refused");
                    sim.fail_at(from, "messages", || format!("n{} refuses {message:?} of n{from}: {error}", self.id));
                }
                None => {}
            },
            GroupMessage::Raft(message) => {
                let Some(known) = self.run.as_ref().map(|run| run.core.members().get()) else { return };
                let members_at = |height| known.committees.at(height).map(|one| Arc::clone(&one.members));
                match lian_raft::verify(crate::chain::SUITE, &sim.chain.info.context, &members_at, message.clone()) {
                    Ok(message) => self.step(sim, Input::Raft { from: key, message: Box::new(message) }),
                    Err(error) if error.is_misbehaviour() => {
                        sim.fail("messages", || format!("n{} refuses {message:?} of n{from}: {error}", self.id));
                    }
                    Err(_) => sim.count("messages not checked"),
                }
            }
            GroupMessage::Pool(PoolMessage::Request(hashes)) if !sim.is_honest(self.id) => {
                // It has whatever it proposed, also what its machine's pool would not keep.
                let known = |hash: &TxHash| wallet::known(*hash).map(|known| Body::from(&known));
                let transactions = hashes.iter().filter_map(known).collect();
                let bodies = PoolMessage::Bodies { transactions, unknown: Vec::new() };
                sim.send(self.id, Recipient::One(key), &GroupMessage::Pool(bodies));
            }
            GroupMessage::Pool(PoolMessage::Request(hashes)) => {
                self.step(sim, Input::BodiesWanted { from: key, hashes: hashes.clone() });
            }
            GroupMessage::Pool(PoolMessage::Transactions(transactions)) => {
                let transactions = self.candidates(transactions);
                self.step(sim, Input::Transactions { from: key, transactions, unknown: Vec::new() });
            }
            GroupMessage::Pool(PoolMessage::Bodies { transactions, unknown }) => {
                let transactions = self.candidates(transactions);
                self.step(sim, Input::Transactions { from: key, transactions, unknown: unknown.clone() });
            }
            // A simulated node begins with block 0, and nobody serves snapshots.
            GroupMessage::Snapshot(_) => {}
            GroupMessage::Report(report) => self.step(sim, Input::Report { from: key, report: report.clone() }),
            GroupMessage::Sync(message) => self.step(sim, Input::Sync { from: key, message: message.clone() }),
        }
    }

    /// A consensus message with its signatures checked by the members that this node knows.
    fn verified(&self, sim: &Sim, envelope: &Envelope) -> Option<Checked> {
        let known = self.run.as_ref()?.core.members().get();
        envelope.verified(&sim.chain.rules, &known.committees, &sim.checked)
    }

    /// The core is told something as it is.
    pub(crate) fn input(&mut self, sim: &mut Sim, input: Input) {
        self.step(sim, input);
    }

    /// A client gives a transaction.
    pub(crate) fn on_submit(&mut self, sim: &mut Sim, name: Name) {
        let transaction = wallet::transaction(name);
        let Some(run) = &mut self.run else { return };
        let ticket = run.next_ticket;
        run.next_ticket += 1;
        run.replies.insert(ticket, name);
        let state = Arc::clone(&run.ledger.head().parent.state);
        match account_view(state.as_ref(), &transaction, Origin::Local) {
            Ok(account) => {
                self.step(sim, Input::Submit { ticket, candidate: Candidate { transaction, account } });
            }
            Err(error) => self.stop(format!("the state cannot be read: {error}")),
        }
    }

    /// What a peer sent and is not here yet, with senders and what the state says about them.
    fn candidates(&mut self, bodies: &[Body]) -> Vec<Candidate> {
        let Some(run) = &self.run else { return Vec::new() };
        let new: Vec<_> = {
            let pool = run.pool.lock();
            let is_new = |transaction: &&Arc<Transaction>| pool.get(&transaction.hash()).is_none();
            bodies.iter().map(|body| &body.transaction).filter(is_new).collect()
        };
        let state = Arc::clone(&run.ledger.head().parent.state);
        let candidate = |transaction| {
            let transaction = recover(transaction)?;
            let account =
                account_view(state.as_ref(), &transaction, Origin::Peer).map_err(|error| error.to_string())?;
            Ok(Candidate { transaction, account })
        };
        match new.into_iter().map(candidate).collect::<Result<_, String>>() {
            Ok(candidates) => candidates,
            Err(error) => {
                self.stop(format!("transactions of a peer: {error}"));
                Vec::new()
            }
        }
    }

    pub(super) fn on_tick(&mut self, sim: &mut Sim) {
        let second = sim.now.0 / 1_000_000;
        let Some(run) = &mut self.run else { return };
        // A timer that was set anew meanwhile.
        if run.tick_at.is_none_or(|at| at > sim.now) {
            return;
        }
        run.tick_at = None;
        run.ticks = if run.ticks.0 == second { (second, run.ticks.1 + 1) } else { (second, 1) };
        if run.ticks.1 > TICKS_PER_SECOND_MAX {
            let deadline = run.core.deadline();
            sim.fail_at(self.id, "timers", || format!("n{} asks for its timer all the time: {deadline:?}", self.id));
        }
        self.step(sim, Input::Tick);
    }

    /// Steps the core, and again with every signature that it asks for; hands its effects on in order.
    pub(super) fn step(&mut self, sim: &mut Sim, input: Input) {
        if self.is_ending() {
            return;
        }
        let clock = self.clock(sim);
        let chain = Arc::clone(&sim.chain);
        let Some(run) = &mut self.run else { return };
        let before = sim.story.is_kept().then(|| run.core.status());
        let now = run.clock.step(clock, Millis(sim.now.ms()));
        let mut inputs = vec![input];
        let mut effects = Vec::new();
        let mut handed = Vec::new();
        while let Some(input) = inputs.pop() {
            run.core.step(now, input, &mut effects);
            for effect in effects.drain(..) {
                if let Effect::Sign(statement) = effect {
                    let signature =
                        sim.checked.sign(&chain.keys[self.id], &statement.signing_bytes(&chain.info.context));
                    inputs.insert(0, Input::Signed { statement, signature });
                } else {
                    handed.push(effect);
                }
            }
        }
        if let Some(before) = before {
            self.tell_views(sim, &before);
        }
        handed.into_iter().for_each(|effect| self.hand_on(sim, effect));
        self.renew_votes();
        self.watch_memory(sim);
        self.work_on(sim);
        self.write_out(sim);
        self.set_timer(sim);
    }

    fn hand_on(&mut self, sim: &mut Sim, effect: Effect) {
        let Some(run) = &mut self.run else { return };
        let item = match effect {
            Effect::Execute(proposal) => return run.working.push(Work::Execute(proposal)),
            Effect::DiscardFrom(height) => return run.working.push(Work::DiscardFrom(height)),
            Effect::Sync(SyncWork::Apply(blocks)) => return run.working.push(Work::Apply(blocks)),
            Effect::Sync(SyncWork::Verify { batch, parent, blocks }) => {
                return run.working.push(Work::Verify { batch, parent, blocks });
            }
            Effect::Sync(SyncWork::Serve { to, request }) => return run.working.push(Work::Serve { to, request }),
            Effect::Halt(divergence) => Item::Diverged(divergence),
            Effect::Outdated(unknown) => return self.stop(unknown.to_string()),
            Effect::Misbehaved { peer, what } => return self.accuse(sim, peer, &what),
            Effect::Reply { ticket, result } => {
                let Some(name) = run.replies.remove(&ticket) else { return };
                Item::Reply(name, result)
            }
            Effect::Persist(records) => Item::Persist(records),
            Effect::Send { to, message } => Item::Send { to, message },
            Effect::Append { proposal, hash, certificate } => Item::Append { proposal, hash, certificate },
            Effect::Pooled(_) | Effect::Sign(_) => return,
        };
        run.outbox.push(item);
    }

    /// An honest node accuses no other honest node of anything but slowness.
    fn accuse(&self, sim: &mut Sim, peer: lian_types::ConsensusKey, what: &Offence) {
        let peer = sim.chain.node_of(&peer);
        sim.tell(|| format!("n{} accuses {peer:?} of {what:?}", self.id));
        sim.count("accusations");
        let is_slowness = matches!(
            what,
            Offence::Sync(
                lian_sync::Misbehaviour::Unresponsive(_)
                    | lian_sync::Misbehaviour::ShortAnswers(_)
                    | lian_sync::Misbehaviour::Withheld { .. }
            )
        );
        let is_fair = !sim.is_honest(self.id) || peer.is_some_and(|peer| !sim.is_honest(peer));
        if is_fair {
            sim.count("accusations of Byzantine members");
        } else if !is_slowness {
            sim.fail("accusations", || format!("n{} accuses the honest {peer:?} of {what:?}", self.id));
        }
    }

    fn renew_votes(&mut self) {
        let Some(run) = &mut self.run else { return };
        let height = run.core.status().height;
        if height.0 >= run.renewed_at.0.saturating_add(VOTE_LOG_RENEWAL) {
            run.renewed_at = height;
            run.outbox.push(Item::Renew { live: run.core.live_records(), below: height });
        }
    }

    fn watch_memory(&self, sim: &mut Sim) {
        let Some(run) = &self.run else { return };
        let queued = run.queued();
        if queued > QUEUED_MAX {
            sim.fail_at(self.id, "memory", || format!("n{}: {queued} things wait in its queues", self.id));
        }
        let (counts, bounds) = (run.core.pool_counts(), run.pool.lock().config().clone());
        if counts.pending + counts.queued > bounds.transactions_max || counts.bytes > bounds.bytes_max {
            sim.fail_at(self.id, "memory", || format!("n{}: its pool holds {counts:?}", self.id));
        }
    }

    /// Sets the timer for the core's deadline, as the core's thread sleeps.
    fn set_timer(&mut self, sim: &mut Sim) {
        let Some(run) = &mut self.run else { return };
        let longest = sim.now.after_ms(SLEEP_MS_MAX);
        let now = run.clock.now();
        let due = run.core.deadline().map_or(longest, |due| sim.now.after_ms(due.since(now).0));
        let due = due.min(longest);
        if run.tick_at.is_some_and(|at| at <= due.after_us(TIMER_LATE_US)) {
            return;
        }
        let after = due.0 - sim.now.0 + sim.random.between((50, TIMER_LATE_US));
        run.tick_at = Some(sim.now.after_us(after));
        sim.later(self.id, self.life, after, NodeEvent::Tick);
    }

    fn tell_views(&self, sim: &mut Sim, before: &ConsensusStatus) {
        let Some(run) = &self.run else { return };
        let after = run.core.status();
        if after.promised > before.promised {
            sim.tell(|| format!("n{} leaves for view {} at height {}", self.id, after.promised, after.height));
        }
        if after.view > before.view {
            sim.tell(|| format!("n{} enters view {} at height {}", self.id, after.view, after.height));
        }
        if before.abstains_until.is_some() && after.abstains_until.is_none() {
            sim.tell(|| format!("n{} votes again at height {}", self.id, after.height));
        }
    }

    /// A client reads an account from the newest final state.
    pub(crate) fn read(&self, account: usize) -> Option<Result<(BlockNumber, Reading), String>> {
        let head = self.run.as_ref()?.ledger.head();
        Some(Reading::of(head.parent.state.as_ref(), account).map(|reading| (head.number, reading)))
    }
}

/// What a client sees of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) nonce: u64,
    pub(crate) balance: alloy_primitives::U256,
    pub(crate) tokens: alloy_primitives::U256,
}

impl Reading {
    /// Reads an account.
    pub(crate) fn of(state: &dyn StateReader, account: usize) -> Result<Self, String> {
        let found = state.account(wallet::address(account)).map_err(|error| error.to_string())?;
        let found = found.ok_or("an account is gone")?;
        let tokens = state.storage(wallet::TOKEN, wallet::slot(account)).map_err(|error| error.to_string())?;
        Ok(Self { nonce: found.nonce, balance: found.balance, tokens })
    }
}

/// The sender of a transaction. It was recovered when the wallet signed it; anything else is recovered here.
fn recover(transaction: &Arc<Transaction>) -> Result<Arc<VerifiedTransaction>, String> {
    let known = wallet::known(transaction.hash());
    match known {
        Some(known) => Ok(known),
        None => {
            crate::chain::SUITE.recover_sender(Arc::clone(transaction)).map(Arc::new).map_err(|error| error.to_string())
        }
    }
}
